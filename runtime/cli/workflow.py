"""Workflow on the command line: draw and deploy files; list, show and steer runs.

Not responsible for checking files (`workflow_check.py`) nor for starting runs (`workflow_run.py`).
"""

import sys
from typing import TYPE_CHECKING

import click

from ...bus.value import Json
from .answer import Answer, Exit, columns, end
from .approvals import login_name
from .connection import common, connected
from .workflow_check import validate
from .workflow_choice import must_be_heard, run_of
from .workflow_migrate import migrate
from .workflow_run import fork, retry, run

if TYPE_CHECKING:
    from ...actors.receipt import Receipt
    from ...actors.workflows.definition import Workflow
    from ..client import Client
    from ..workflow_told import ListedRun
    from ..workflows import Deployment

_file = click.argument("file", metavar="FILE")
_which = click.argument("which", metavar="FILE|NAME")
_run = click.argument("name", metavar="RUN")


@click.group(short_help="DAGs of steps: check, draw, deploy, run and watch them.")
def workflow() -> None:
    """Workflows: steps for agents in TOML, JSON or Python, run in parallel where they can be, over any death.

    RUN below is WORKFLOW/ID, or the run's id, or the beginning of either where it is unique.
    """


workflow.add_command(validate)
workflow.add_command(run)
workflow.add_command(retry)
workflow.add_command(fork)
workflow.add_command(migrate)


@workflow.command()
@common
@_which
@click.option("--mermaid", "as_mermaid", is_flag=True, help="A flowchart for documents and issues.")
def graph(answer: Answer, *, which: str, as_mermaid: bool) -> None:
    """Draw FILE, or the workflow that is deployed as NAME: layers of steps, for a terminal or as Mermaid."""
    from ...actors.workflows.drawing import drawing
    from ...actors.workflows.mermaid import mermaid

    drawn = _found(answer, which)
    told = {"name": drawn.name, "mermaid": mermaid(drawn), "drawing": drawing(drawn)}
    answer.data(told, (told["mermaid"] if as_mermaid else drawing(drawn, _width())).rstrip("\n"))


@workflow.command()
@common
@_file
def deploy(answer: Answer, *, file: str) -> None:
    """Make FILE known by its name: runs that begin from now on follow it, live ones go on with their own."""
    from .workflow_source import read_file

    source = read_file(file).source

    async def deployed(client: "Client") -> "Deployment":
        return await client.workflows.deploy(source.workflow, source.lines)

    told = connected(answer, deployed)
    if not told.changed:
        answer.note(f"{told.name} was deployed before as it stands")
    answer.data(told, f"{told.name} {told.definition}")


@workflow.command(name="ls")
@common
@click.option("--all", "every", is_flag=True, help="Also runs that ended lately.")
@click.option("--deployed", is_flag=True, help="Workflows instead of runs.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Of those that ended.")
def list_runs(answer: Answer, *, every: bool, deployed: bool, limit: int) -> None:
    """List live runs, oldest first; or the workflows that are deployed."""
    if deployed:
        _list_workflows(answer)
        return

    async def find(client: "Client") -> "list[ListedRun]":
        live = await client.workflows.live()
        known = {one.run for one in live}
        ended = await client.workflows.ended(limit) if every else []
        return [*(one for one in ended if one.run not in known), *live]

    found = connected(answer, find)
    if not found:
        answer.note("no run is live: actorium workflow ls --all, or --deployed for what can be run")
    from .workflow_view import RUNS, run_row

    answer.data(found, columns([RUNS, *map(run_row, found)]) if found else "")


@workflow.command()
@common
@_run
def show(answer: Answer, *, name: str) -> None:
    """Show RUN: its steps on a line of time, how long each took, and what it waits for."""
    from ..views.redaction import redact
    from .workflow_view import timeline

    async def find(client: "Client") -> Json:
        return await client.show(*await run_of(client, name))

    told = connected(answer, find)
    answer.data(redact(told), "\n".join(timeline(told, _width())))


@workflow.command()
@common
@_run
@click.argument("signal_name", metavar="SIGNAL")
@click.argument("data", required=False)
@click.option("--id", "signal_id", default="", metavar="ID", help="The same id twice is the same signal.")
@click.option("--by", default="", help="Who sends it; you, where it is left out.")
def signal(answer: Answer, *, name: str, signal_name: str, data: str | None, signal_id: str, by: str) -> None:
    """Send RUN a signal with DATA, JSON where it is and text otherwise; it ends 1 where the run is over."""
    from .workflow_inputs import value_of

    async def send(client: "Client") -> tuple[str, bool]:
        flow, run_id = await run_of(client, name)
        await must_be_heard(client, flow, run_id, signal_name)
        told = None if data is None else value_of(data)
        counts = await client.signal(
            flow, run_id, signal_name, told, signal_id=signal_id or None, by=by or login_name()
        )
        return f"{flow}/{run_id}", counts

    _counted(answer, *connected(answer, send), f"has the signal {signal_name}")


@workflow.command()
@common
@_run
@click.option("--by", default="", help="Who pauses it; you, where it is left out.")
def pause(answer: Answer, *, name: str, by: str) -> None:
    """Have RUN begin no more steps until it is resumed; what runs goes on."""

    async def told(client: "Client") -> tuple[str, bool]:
        flow, run_id = await run_of(client, name)
        return f"{flow}/{run_id}", await client.pause(flow, run_id, by=by or login_name())

    _counted(answer, *connected(answer, told), "is paused")


@workflow.command()
@common
@_run
@click.option("--by", default="", help="Who resumes it; you, where it is left out.")
def resume(answer: Answer, *, name: str, by: str) -> None:
    """Have RUN go on after a pause."""

    async def told(client: "Client") -> tuple[str, bool]:
        flow, run_id = await run_of(client, name)
        return f"{flow}/{run_id}", await client.resume(flow, run_id, by=by or login_name())

    _counted(answer, *connected(answer, told), "goes on")


@workflow.command()
@common
@_run
@click.option("--reason", default="", help="What its record says.")
def cancel(answer: Answer, *, name: str, reason: str) -> None:
    """Cancel RUN and all that its steps gave to others; what was done is undone where its file says so."""
    from ..one_shot import receipt_lines

    async def cut(client: "Client") -> "Receipt":
        return await client.cancel(*await run_of(client, name), reason)

    receipt = connected(answer, cut)
    answer.data(receipt, "\n".join(receipt_lines(receipt)))
    end(Exit.OK if receipt else Exit.FAILED)


def _found(answer: Answer, which: str) -> "Workflow":
    """A workflow by its file, or the one that is deployed."""
    from .workflow_source import is_file, read_file

    if is_file(which):
        return read_file(which).source.workflow
    return connected(answer, lambda client: client.workflows.find(which))


def _list_workflows(answer: Answer) -> None:
    from .workflow_view import WORKFLOWS, workflow_row

    found = connected(answer, lambda client: client.workflows.all())
    if not found:
        answer.note("no workflow is deployed: actorium workflow deploy FILE")
    told = [{"definition": one.hash, "workflow": one} for one in found]
    answer.data(told, columns([WORKFLOWS, *map(workflow_row, found)]) if found else "")


def _counted(answer: Answer, run_name: str, counts: bool, became: str) -> None:
    answer.data({"run": run_name, "counts": counts}, f"{run_name} {became if counts else 'is over'}")
    end(Exit.OK if counts else Exit.FAILED)


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
