"""How long from `actorium dev app.py` on an empty machine to the first reply, server included?"""

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from metric import Goal, Metric, Run
from node import APP

from actorium import ActoriumError, Client
from actorium.runtime.config import Settings, load_settings
from actorium.runtime.server.embedded import running_url

STOP = 5.0  # seconds
slow_stops: list[int] = []
LAUNCH = "import sys; from actorium.runtime.cli import main; sys.argv[0] = 'actorium'; main()"
HELLO = '''"""The smallest program: what a first day looks like."""

from actorium import Actor, App, Context


class Hello(Actor):
    """Greets."""

    async def receive(self, message: str, ctx: Context) -> str:
        return f"hello {message}"


app = App(Hello.named("echo"))
'''


async def measure(run: Run) -> list[Metric]:
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as home:
        program = Path(home) / "hello.py"
        program.write_text(HELLO)
        small = [await _start(program) for _ in range(run.count(7, 3))]
        large = [await _start(APP) for _ in range(run.count(3, 1))]
    return [
        Metric(
            name="actorium dev: first reply, server included", value=statistics.median(small), unit="s",
            goal=Goal(limit=1.0),
            detail={"min_s": min(small), "max_s": max(small), "with_352_agents_s": statistics.median(large),
                "stops_that_took_over_5_s": len(slow_stops)},
        )
    ]  # fmt: skip


async def _start(program: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="actorium-bench-", ignore_cleanup_errors=True) as home:
        environment = os.environ | {"ACTORIUM_DATA": home}
        begun = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LAUNCH, "dev", str(program), env=environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _first_reply(process, load_settings(environment=environment))
            return time.perf_counter() - begun
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """A program that does not stop in time is killed: its server and workers go with it."""
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        slow_stops.append(process.pid)
        process.kill()
        await process.wait()


async def _first_reply(process: asyncio.subprocess.Process, settings: Settings) -> None:
    while process.returncode is None:
        with suppress(ActoriumError):
            url = await running_url(settings)
            if url is not None:
                async with Client(url) as client:
                    await _asked(process, client)
                    return
        await asyncio.sleep(0.005)
    raise RuntimeError(f"actorium dev ended with {process.returncode}")


async def _asked(process: asyncio.subprocess.Process, client: Client) -> None:
    """Ask until it is answered: before its definition is written, there is no such agent."""
    while process.returncode is None:
        with suppress(ActoriumError):
            (await client.ask("echo", "you", timeout=5.0)).unwrap()
            return
        await asyncio.sleep(0.005)
    raise RuntimeError(f"actorium dev ended with {process.returncode}")
