"""dev and up: an app on this machine, with or without a server of its own, until it is told to stop.

Not responsible for what runs in the workers. Invariant: however it ends, nothing that it started is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ..actors.definition import Definition
from ..bus.errors import ActoriumError, first_error
from .config import Settings, load_settings
from .forks import Forks
from .interrupts import Interrupts
from .readiness import check_models, check_strangers, look_at_addresses
from .server.embedded import find_server, with_server
from .supervisor import NodeSupervisor
from .telemetry import set_up_logs

Started = Callable[[Settings, NodeSupervisor], Awaitable[None]]
INTERRUPTED = 130  # exit status, as shells have it


async def _say_nothing(settings: Settings, supervisor: NodeSupervisor) -> None:
    """What a program does once it runs, where it was given nothing to do."""


def run(
    definitions: Sequence[Definition],
    source: str,
    settings: Settings,
    *,
    embed: bool,
    started: Started = _say_nothing,
) -> None:
    """Run a program until SIGTERM or Ctrl-C, then drain. Blocks; outside of any event loop.

    Args:
        definitions: Its agents.
        source: Where the workers load it from.
        embed: Start a NATS of our own where the settings name none.
        started: Runs beside the workers from when they are up; it is cancelled when they stop.

    Raises:
        ActoriumError: It cannot start, workers ended too often, or an agent has no model that can be asked.
        KeyboardInterrupt: Ctrl-C cut the start, or (a second one) the wait for what was in hand.
    """
    check_models(definitions, settings)
    binary = find_server(settings) if embed else None
    if not asyncio.run(serve(definitions, source, settings, embed=embed, binary=binary, started=started)):
        raise KeyboardInterrupt


async def serve(
    definitions: Sequence[Definition],
    source: str,
    settings: Settings,
    *,
    embed: bool,
    binary: Path | None = None,
    started: Started = _say_nothing,
) -> bool:
    """As `run`, in an event loop whose signals it takes; `binary` is the nats-server to start.

    Returns:
        Whether it ended in order; False where Ctrl-C cut something short.
    """
    interrupts = Interrupts()
    try:
        async with AsyncExitStack() as stack:
            forks = Forks(source, settings.drain)
            stack.push_async_callback(forks.close)
            await forks.begin()  # it imports while the server starts
            server = None
            if embed:
                settings, server = await with_server(settings, binary)
                if server is not None:
                    stack.push_async_callback(server.stop)
            await check_strangers(definitions, settings, embedded=server is not None)
            supervisor = NodeSupervisor(definitions, source, settings, forks=forks)
            look = partial(look_at_addresses, definitions, settings)
            await _run_beside(supervisor, settings, interrupts, started, look)
    except asyncio.CancelledError:
        if not interrupts.ended_start:
            raise
    except BaseExceptionGroup as group:
        raise first_error(group) from group
    return not interrupts.cut


async def _run_beside(
    supervisor: NodeSupervisor,
    settings: Settings,
    interrupts: Interrupts,
    started: Started,
    look: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    interrupts.hurried_by(supervisor.hurry)

    async def beside() -> None:
        await supervisor.ready.wait()
        interrupts.running(supervisor.stop)
        await started(settings, supervisor)

    async with asyncio.TaskGroup() as tasks:
        others = (tasks.create_task(beside()), tasks.create_task(look()))
        await supervisor.run()
        for other in others:
            other.cancel()


def run_program(definitions: Sequence[Definition], source: str) -> None:
    """`App.run`: everything in one go.

    Raises:
        SystemExit: It could not start, which is said in a line; or Ctrl-C cut something short.
    """
    try:
        settings = load_settings()
        set_up_logs(settings)
        run(definitions, source, settings, embed=True)
    except ActoriumError as error:
        raise SystemExit(f"error: {error.message}") from error
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
