"""Runs of workflows on the command line: start one from a file or a name, again from a step, or as a fork.

Not responsible for starting and watching it (`workflow_begin.py`). Invariant: inputs that do not fit are
told before anything starts.
"""

from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .answer import Answer
from .connection import common
from .workflow_begin import begin_run, waiting
from .workflow_choice import run_of
from .workflow_inputs import as_declared, read_inputs
from .workflow_source import is_file, read_file

if TYPE_CHECKING:
    from ...bus.task import Task
    from ..client import Client

_run = click.argument("name", metavar="RUN")


@click.command(short_help="Start a run and watch it.")
@common
@click.argument("which", metavar="FILE|NAME")
@click.argument("source", required=False, default="", metavar="[APP]")
@click.option(
    "--input",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="VALUE is JSON; text where it is none, or text is wanted.",
)
@click.option("--input-file", "file", metavar="FILE", help="Inputs as a JSON object; - reads stdin.")
@waiting
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

    FILE is TOML, JSON, or Python: FILE.py, or FILE.py:NAME where it makes several. Runs on the workers that
    are up; where none are, with APP, or an App in FILE.py, on some of its own, which end with it. Progress
    is on stderr, the result on stdout. After Ctrl-C or a timeout the run goes on. It ends 0 where all was
    done, 1 failed, 4 over budget or denied, 5 after --timeout, 130 interrupted.
    """
    from ...actors.workflows.inputs import take_inputs
    from ...bus.task import Task

    inputs = read_inputs(pairs, file)
    made = read_file(which) if is_file(which) else None
    if made is not None:
        take_inputs(made.source.workflow, as_declared(made.source.workflow, inputs, pairs))

    async def begin(client: "Client") -> "tuple[str, Task]":
        flow = made.source.workflow if made else await client.workflows.find(which)
        given = as_declared(flow, inputs, pairs)
        take_inputs(flow, given)
        if run_id:
            await _must_be_the_same(client, flow.name, run_id, given)
        if made:
            await client.workflows.deploy(flow, made.source.lines)
        return flow.name, Task(inputs=given)

    home = made.app if made else ""
    begin_run(answer, begin, source, home=home, wait=wait, timeout=timeout, run_id=run_id)


@click.command(short_help="Do a step again, and all behind it, in a new run.")
@common
@_run
@click.argument("step")
@click.option("--latest", is_flag=True, help="By the workflow as it is deployed now.")
@waiting
def retry(
    answer: Answer, *, name: str, step: str, latest: bool, wait: bool, timeout: float | None, run_id: str
) -> None:
    """Start a run that does STEP of RUN again, and all that depends on it; the rest stands as it was."""

    async def begin(client: "Client") -> "tuple[str, Task]":
        from ...actors.workflows.nearest import nearest
        from ..workflows import retry_task

        flow, before = await run_of(client, name)
        steps = (await client.workflows.state(flow, before)).steps
        if step not in steps:
            raise click.UsageError(f"{flow}/{before} has no step {step!r}{nearest(step, steps)}")
        return flow, retry_task(before, step, latest=latest)

    begin_run(answer, begin, wait=wait, timeout=timeout, run_id=run_id)


@click.command(short_help="Go on from a page of a run, in a new one.")
@common
@_run
@click.option("--page", type=click.IntRange(1), help="Of its pages the last that counts; all without.")
@click.option("--latest", is_flag=True, help="By the workflow as it is deployed now.")
@waiting
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
        from ..workflows import fork_task

        flow, before = await run_of(client, name)
        await client.workflows.state(flow, before, pages=page)
        return flow, fork_task(before, page, latest=latest)

    begin_run(answer, begin, wait=wait, timeout=timeout, run_id=run_id)


async def _must_be_the_same(client: "Client", flow: str, run_id: str, inputs: JsonObject) -> None:
    from ..workflow_repeat import OtherRun, must_be_the_same

    try:
        await must_be_the_same(client.workflows, flow, run_id, inputs)
    except OtherRun as error:
        raise click.UsageError(error.message) from error
