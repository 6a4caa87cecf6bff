"""WorkflowBegin: starts a run wherever there is room for it, and shows it until its result is there.

Not responsible for what starts it (`workflow_run.py`) nor how it shows (`views/`). Invariant: the
result alone stands on stdout; a run that is not watched any more goes on.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import click

from ...bus.value import JsonObject
from .answer import Answer, end, result_status
from .connection import connected, settings_of, task_id
from .seconds import SECONDS
from .task import plain

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from ...bus.task import Result, Task
    from ..client import Client
    from ..handle import Handle
    from ..views.workflow_screen import WorkflowScreen
    from ..views.workflow_watch import WorkflowWatch

LAST_WORDS = 2.0  # seconds for what is still to be read of a run that has ended
Begin = Callable[["Client"], "Awaitable[tuple[str, Task]]"]  # the workflow, and the task that starts its run


class _Order(NamedTuple):
    """A run to be started."""

    workflow: str
    task: "Task"
    run_id: str

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.workflow}/{self.run_id}"


_waits = (
    click.option(
        "--wait/--detach", "wait", default=True, help="Watch it to its end [default], or only start it."
    ),
    click.option("--timeout", type=SECONDS, help="Seconds to wait; it goes on then."),
    click.option(
        "--run-id", default="", metavar="ID", callback=task_id, help="The same id twice is the same run."
    ),
)


def waiting(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that starts a run."""
    for option in reversed(_waits):
        command = option(command)
    return command


def begin_run(
    answer: Answer,
    begin: Begin,
    source: str = "",
    *,
    home: str = "",
    wait: bool,
    timeout: float | None,
    run_id: str,
) -> None:
    """Start a run wherever there is room for it, and tell its result.

    Args:
        begin: Which run; asked when there is a client.
        source: The program that was named.
        home: The one that stands in the workflow's own file.
    """
    import secrets

    told: list[tuple[str, Result | None]] = []

    async def work(client: "Client") -> None:
        order = _Order(*await begin(client), run_id or secrets.token_hex(6))
        told.append((order.name, None))
        if wait:
            told.append((order.name, await _watched(answer, client, order, timeout)))
        else:
            await client.tell(order.workflow, order.task, task_id=order.run_id)

    _placed(answer, source, work, home=home, wait=wait)
    if not told or (wait and told[-1][1] is None):
        raise KeyboardInterrupt
    _tell(answer, *told[-1])


def _placed(
    answer: Answer, source: str, work: "Callable[[Client], Awaitable[None]]", *, home: str, wait: bool
) -> None:
    """Do it with the workers that are up, or with some of a program's own.

    Args:
        source: The program that was named.
        home: The one that stands in the workflow's own file: used where no worker is up.
    """
    import asyncio

    from ...bus.errors import ConfigError
    from ..lodging import as_guest, at_home, found
    from ..telemetry import set_up_logs

    settings = settings_of(answer)
    there = asyncio.run(found(settings)) if source or wait else settings
    if not source and there is not None:
        connected(answer, work)
        return
    if not source and not home:
        told = "no worker is up: start one with actorium dev APP, or name the program: ... run FILE APP"
        raise ConfigError(told)
    from .program import load_program

    set_up_logs(settings)
    definitions = load_program(source or home).definitions
    if there is not None:
        embedded = not settings.nats.url
        guest = as_guest(there, definitions, lambda client, _: work(client), source=source, embedded=embedded)
        asyncio.run(guest)
    elif wait:
        at_home(settings, definitions, source or home, lambda client, _: work(client))
    else:
        raise click.UsageError("--detach needs workers that stay: start them with actorium dev APP")


async def _watched(answer: Answer, client: "Client", order: _Order, timeout: float | None) -> "Result":
    """Start a run and show it until its result is there."""
    import asyncio

    from ..views.workflow_watch import WorkflowWatch

    screen = _screen(answer)
    async with WorkflowWatch(client.names, order.workflow, order.run_id) as watch:
        handle = await client.tell(order.workflow, order.task, task_id=order.run_id)
        answer.note(f"run {order.name}")
        watching = asyncio.create_task(_show(answer, watch, screen))
        try:
            return await _result(handle, watch, watching, timeout)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            if watch.begun:
                screen.end(watch.shown)


async def _result(
    handle: "Handle", watch: "WorkflowWatch", watching: "asyncio.Task[None]", timeout: float | None
) -> "Result":
    import asyncio

    result = await handle.result(timeout=timeout)
    if watch.begun or result.failure is None:  # only what was refused has no page; one may not be read yet
        watch.look()
        await asyncio.wait([watching], timeout=LAST_WORDS)
    return result


async def _show(answer: Answer, watch: "WorkflowWatch", screen: "WorkflowScreen") -> None:
    from ...bus.errors import ActoriumError

    try:
        async for told in watch.news():
            if watch.begun:
                screen.show(told, lambda: watch.shown)
    except ActoriumError as error:  # the run goes on, and its result comes all the same
        answer.note(f"cannot be watched: {error.message}")


def _screen(answer: Answer) -> "WorkflowScreen":
    from ..views.workflow_screen import LineScreen, TreeScreen

    alive = sys.stderr.isatty() and not answer.as_json
    return TreeScreen(sys.stderr) if alive else LineScreen(sys.stderr)


def _tell(answer: Answer, name: str, result: "Result | None") -> None:
    import msgspec

    if result is None:
        answer.data({"run": name}, name)
        return
    told: JsonObject = {"run": name, **msgspec.to_builtins(result)}
    answer.data(told, plain(result.data))
    if result.error:
        answer.note(f"{result.status}: {result.error}")
    end(result_status(result))
