"""Node: a nats-server and a node of a program for one benchmark, in a directory that goes away with it.

The supervisor runs in the benchmark's own process, which is where the asks come from; workers are processes.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec

from actorium import ActoriumError, Client
from actorium.runtime.app import load_app
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.server.nats_server import NatsServer
from actorium.runtime.supervisor import NodeSupervisor

HERE = Path(__file__).resolve().parent
APP = HERE / "app.py"
THINKING = HERE / "app_thinking.py"
FLOWS = HERE / "app_flows.py"
START = 30.0  # seconds


class Node(msgspec.Struct, frozen=True):
    """What runs; `server` is the pid of nats-server, `home` a directory that goes away with the node."""

    url: str
    server: int
    settings: Settings
    supervisor: NodeSupervisor
    home: Path

    @property
    def workers(self) -> list[int]:
        """Pids of the live workers."""
        return list(self.supervisor.workers.values())


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="actorium-bench-", ignore_cleanup_errors=True)


@asynccontextmanager
async def nats_server() -> AsyncIterator[NatsServer]:
    """A nats-server on a port of the kernel's choice, with nothing stored."""
    with _directory() as home:
        server = await NatsServer.start(Path(home) / "nats")
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def node(*, workers: int = 1, source: Path = APP, first: str = "echo") -> AsyncIterator[Node]:
    """A node of a program, ready to answer.

    Args:
        source: The program.
        first: The agent of it that answers when it is ready.
    """
    quiet = logging.getLogger("actorium")
    quiet.setLevel(logging.CRITICAL)
    quiet.addHandler(logging.NullHandler())
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(_directory()))
        server = await stack.enter_async_context(nats_server())
        settings = Settings(
            nats=NatsSettings(url=server.url), node="bench", workers=workers, log_level="error", drain=5.0
        )
        supervisor = NodeSupervisor(load_app(str(source)).definitions, str(source), settings)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervisor.run())
            try:
                async with asyncio.timeout(START):
                    await supervisor.ready.wait()
                    await answering(server.url, first)
                yield Node(server.url, server.at.pid, settings, supervisor, home)
            finally:
                supervisor.stop()


async def answering(url: str, agent: str) -> None:
    """Return when the agent has answered once."""
    async with Client(url) as client:
        while True:
            with suppress(ActoriumError):
                await client.ask(agent, "hello", timeout=5.0)
                return
            await asyncio.sleep(0.01)
