"""Runs of workflows on the command line: start one from a file or a name, again from a step, or as a fork.

Not responsible for how a run shows (`workflow_screen.py`). Invariant: inputs that do not fit are told before
anything starts; the result alone stands on stdout; a run that is not watched any more goes on.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ..bus.value import JsonObject
from .cli_answer import Answer, end, result_status
from .cli_connection import common, connected, settings_of
from .cli_seconds import SECONDS
from .cli_task import _plain as plain
from .cli_workflow_inputs import is_file, read_inputs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from ..actors.workflows.definition import Workflow
    from ..actors.workflows.source import Source
    from ..bus.task import Result, Task
    from .client import Client, Handle
    from .workflow_screen import WorkflowScreen
    from .workflow_watch import WorkflowWatch

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


_run = click.argument("name", metavar="RUN")
_waits = (
    click.option(
        "--wait/--detach", "wait", default=True, help="Watch it to its end [default], or only start it."
    ),
    click.option("--timeout", type=SECONDS, help="Seconds to wait; it goes on then."),
    click.option("--run-id", default="", metavar="ID", help="The same id twice is the same run."),
)


def _waiting(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_waits):
        command = option(command)
    return command


@click.command(short_help="Start a run and watch it.")
@common
@click.argument("which", metavar="FILE|NAME")
@click.argument("source", required=False, default="", metavar="[APP]")
@click.option("--input", "pairs", multiple=True, metavar="NAME=VALUE", help="VALUE is JSON, else text.")
@click.option("--input-file", "file", metavar="FILE", help="Inputs as a JSON object; - reads stdin.")
@_waiting
def run(
    answer: Answer,
    *,
    which: str,
    source: str,
    pairs: tuple[str, ...],
    file: str | None,
    wait: bool,
    timeout: float | None,
    run_id: str,
) -> None:
    """Start a run of the workflow in FILE, which is deployed first, or of the one that is deployed as NAME.

    Runs on the workers that are up; with APP, where none are, on some of its own, which end with it. Progress
    is on stderr, the result on stdout. After Ctrl-C or a timeout the run goes on. It ends 0 where all was
    done, 1 failed, 4 over budget or denied, 5 after --timeout, 130 interrupted.
    """
    from ..actors.workflows.inputs import take_inputs
    from ..actors.workflows.source import read_source
    from ..bus.task import Task

    inputs = read_inputs(pairs, file)
    read = read_source(Path(which)) if is_file(which) else None
    if read is not None:
        take_inputs(read.workflow, inputs)

    async def begin(client: "Client") -> "tuple[str, Task]":
        flow = await _deployed(client, read) if read is not None else await client.workflows.find(which)
        take_inputs(flow, inputs)
        return flow.name, Task(inputs=inputs)

    _start(answer, begin, source, wait=wait, timeout=timeout, run_id=run_id)


@click.command(short_help="Do a step again, and all behind it, in a new run.")
@common
@_run
@click.argument("step")
@click.option("--latest", is_flag=True, help="By the workflow as it is deployed now.")
@_waiting
def retry(
    answer: Answer, *, name: str, step: str, latest: bool, wait: bool, timeout: float | None, run_id: str
) -> None:
    """Start a run that does STEP of RUN again, and all that depends on it; the rest stands as it was."""

    async def begin(client: "Client") -> "tuple[str, Task]":
        from ..actors.workflows.nearest import nearest
        from .workflows import retry_task

        flow, before = await client.runs.find(name)
        steps = (await client.workflows.state(flow, before)).steps
        if step not in steps:
            raise click.UsageError(f"{flow}/{before} has no step {step!r}{nearest(step, steps)}")
        return flow, retry_task(before, step, latest=latest)

    _start(answer, begin, "", wait=wait, timeout=timeout, run_id=run_id)


@click.command(short_help="Go on from a page of a run, in a new one.")
@common
@_run
@click.option("--page", type=click.IntRange(1), help="Of its pages the last that counts; all without.")
@click.option("--latest", is_flag=True, help="By the workflow as it is deployed now.")
@_waiting
def fork(
    answer: Answer,
    *,
    name: str,
    page: int | None,
    latest: bool,
    wait: bool,
    timeout: float | None,
    run_id: str,
) -> None:
    """Start a run that goes on from RUN as it stood after a page: what was done then is not done again."""

    async def begin(client: "Client") -> "tuple[str, Task]":
        from .workflows import fork_task

        flow, before = await client.runs.find(name)
        await client.workflows.state(flow, before, pages=page)
        return flow, fork_task(before, page, latest=latest)

    _start(answer, begin, "", wait=wait, timeout=timeout, run_id=run_id)


async def _deployed(client: "Client", read: "Source") -> "Workflow":
    await client.workflows.deploy(read.workflow, read.lines)
    return read.workflow


def _start(
    answer: Answer, begin: Begin, source: str, *, wait: bool, timeout: float | None, run_id: str
) -> None:
    """Start a run wherever there is room for it, and tell its result."""
    import secrets

    told: list[tuple[str, Result | None]] = []

    async def work(client: "Client") -> None:
        order = _Order(*await begin(client), run_id or secrets.token_hex(6))
        told.append((order.name, None))
        if wait:
            told.append((order.name, await _watched(answer, client, order, timeout)))
        else:
            await client.tell(order.workflow, order.task, task_id=order.run_id)

    _placed(answer, source, work, wait=wait)
    if not told or (wait and told[-1][1] is None):
        raise KeyboardInterrupt
    _tell(answer, *told[-1])


def _placed(answer: Answer, source: str, work: "Callable[[Client], Awaitable[None]]", *, wait: bool) -> None:
    """Do it with the workers that are up, or with some of a program's own."""
    import asyncio

    from ..bus.errors import ConfigError
    from .lodging import as_guest, at_home, found
    from .telemetry import set_up_logs

    settings = settings_of(answer)
    there = asyncio.run(found(settings)) if source or wait else settings
    if not source and there is not None:
        connected(answer, work)
        return
    if not source:
        told = "no worker is up: start one with actorium dev APP, or name the program: ... run FILE APP"
        raise ConfigError(told)
    from .cli_program import _load as load_program

    set_up_logs(settings)
    definitions = load_program(source).definitions
    if there is not None:
        asyncio.run(as_guest(there, definitions, lambda client, _: work(client), ours=False))
    elif wait:
        at_home(settings, definitions, source, lambda client, _: work(client))
    else:
        raise click.UsageError("--detach needs workers that stay: start them with actorium dev APP")


async def _watched(answer: Answer, client: "Client", order: _Order, timeout: float | None) -> "Result":
    """Start a run and show it until its result is there."""
    import asyncio

    from .workflow_watch import WorkflowWatch

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
    if watch.begun:
        watch.look()
        await asyncio.wait([watching], timeout=LAST_WORDS)
    return result


async def _show(answer: Answer, watch: "WorkflowWatch", screen: "WorkflowScreen") -> None:
    from ..bus.errors import ActoriumError

    try:
        async for told in watch.news():
            if watch.begun:
                screen.show(told, lambda: watch.shown)
    except ActoriumError as error:  # the run goes on, and its result comes all the same
        answer.note(f"cannot be watched: {error.message}")


def _screen(answer: Answer) -> "WorkflowScreen":
    from .workflow_screen import LineScreen, TreeScreen

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
