"""`python -m actorium.runtime.server`: get a nats-server, say where it is, or run it."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .fetch import ServerNotFound, data_home, fetch, resolve
from .nats_server import DataUnusable, NatsServer
from .process import ServerNotStarted


async def _run(data_dir: Path, port: int) -> None:
    """Keep a server up until SIGINT or SIGTERM."""
    server = await NatsServer.start(data_dir, port=port)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(server.wait())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, waiting.cancel)
        sys.stdout.write(f"{server.url}\n")  # after the handlers: whoever reads it may signal at once
        sys.stdout.flush()
    await server.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Get a nats-server, say where it is, or run it."""
    parser = argparse.ArgumentParser(prog="python -m actorium.runtime.server", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="print the path of a nats-server, fetching one if there is none")
    commands.add_parser("path", help="print the path of the nats-server that is here")
    commands.add_parser("fetch", help="get one version, for tests").add_argument("version")
    run = commands.add_parser("run", help="run one in the foreground")
    run.add_argument("--data-dir", type=Path, default=data_home() / "nats")
    run.add_argument("--port", type=int, default=0)
    told = parser.parse_args(argv)
    try:
        if told.command == "run":
            asyncio.run(_run(told.data_dir.absolute(), told.port))
        else:
            found = (
                fetch(told.version) if told.command == "fetch" else resolve(download=told.command == "ensure")
            )
            sys.stdout.write(f"{found}\n")
    except (ServerNotFound, ServerNotStarted, DataUnusable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
