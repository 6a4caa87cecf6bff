"""dev and up: an app on this machine, with or without a server of its own, until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable, Sequence

from ..actors.definition import Definition
from .config import Settings, load_settings
from .embedded import with_server
from .supervisor import NodeSupervisor
from .telemetry import set_up_logs

Started = Callable[[Settings, NodeSupervisor], None]


async def serve(
    definitions: Sequence[Definition],
    source: str,
    settings: Settings,
    *,
    embed: bool,
    started: Started | None = None,
) -> None:
    """Run a program until SIGTERM or Ctrl-C, then drain.

    Args:
        definitions: Its agents.
        source: Where the workers load it from.
        embed: Start a NATS of our own where the settings name none.
        started: Called once when the workers run.

    Raises:
        ActoriumError: It cannot start, or workers ended too often.
    """
    server = None
    if embed:
        settings, server = await with_server(settings)
    supervisor = NodeSupervisor(definitions, source, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    telling = asyncio.create_task(_tell(supervisor, settings, started))
    try:
        await supervisor.run()
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        telling.cancel()
        if server is not None:
            await server.stop()


def run_program(definitions: Sequence[Definition], source: str) -> None:
    """`App.run`: everything in one go."""
    settings = load_settings()
    set_up_logs(settings)
    asyncio.run(serve(definitions, source, settings, embed=True))


async def _tell(supervisor: NodeSupervisor, settings: Settings, started: Started | None) -> None:
    await supervisor.ready.wait()
    if started is not None:
        started(settings, supervisor)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
