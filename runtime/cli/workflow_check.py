"""Validate: the command that finds all that is wrong with workflow files before anything starts.

Invariant: all of it is told at once, each problem with file and line; nothing is changed anywhere.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .answer import Answer, Exit, end
from .connection import common, connected
from .workflow_source import Made, scan_file

if TYPE_CHECKING:
    from ...actors.workflows.definition import Workflow
    from ...actors.workflows.problem import Problem
    from ..workflow_known import Known


@click.command()
@common
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--app", "app", metavar="APP", help="Also hold them against the agents of this program.")
@click.option("--deployed", is_flag=True, help="Also hold them against the agents that are deployed.")
def validate(answer: Answer, *, files: tuple[str, ...], app: str | None, deployed: bool) -> None:
    """Find all that is wrong with each FILE before anything starts: a line each, and exit status 1.

    Cycles, unknown names, missing inputs, steps that never run, times that never come. A FILE is TOML, JSON,
    or Python: FILE.py, or FILE.py:NAME where it makes several. Agents are not known without --app or
    --deployed, or an App in the same Python file. Several FILEs are held against each other.
    """
    made, found = _read(files)
    known = _known(answer, app, deployed=deployed)
    beside = {one.source.workflow.name: one.source.workflow for one in made}
    for one in made:
        found += _problems(one, known or _of_program(one), beside, alone=len(files) == 1)
    found = list(map(_near, found))
    if known is None and not any(one.app for one in made):
        answer.note("agents were not looked up: --app APP does, or --deployed")
    fine = [
        f"{file}: {one.source.workflow.name} can work: {_count(one.source.workflow)}"
        for file, one in zip(files, made, strict=False)
    ]
    answer.data(found, "\n".join(map(str, found) if found else fine))
    end(Exit.FAILED if found else Exit.OK)


def _read(files: Sequence[str]) -> "tuple[list[Made], list[Problem]]":
    """The workflows of files, and why a program could not make its own."""
    from ...actors.workflows.problem import InvalidWorkflow

    made: list[Made] = []
    found: list[Problem] = []
    for file in files:
        try:
            made.append(scan_file(file))
        except InvalidWorkflow as error:
            found += error.problems
    return made, found


def _known(answer: Answer, app: str | None, *, deployed: bool) -> "Known | None":
    """The agents and workflows there are; None: nobody said."""
    if deployed:
        return connected(answer, lambda client: client.workflows.known())
    if app is None:
        return None
    from ..workflow_known import Known
    from .program import load_program

    return Known.of(load_program(app).definitions)


def _of_program(made: Made) -> "Known | None":
    from ..workflow_known import Known

    return Known.of(made.definitions) if made.app else None


def _problems(
    made: Made, known: "Known | None", beside: "dict[str, Workflow]", *, alone: bool
) -> "list[Problem]":
    now = datetime.now(UTC)
    if known is not None:
        known = known.including(beside)
        return made.source.problems(known.agents, known.workflows, now)
    return made.source.problems(None, None if alone else beside, now)


def _near(problem: "Problem") -> "Problem":
    """With its file as people name it who stand here: a Python program knows only its whole path."""
    import msgspec

    path = Path(problem.file)
    if not path.is_absolute() or not path.is_relative_to(Path.cwd()):
        return problem
    return msgspec.structs.replace(problem, file=str(path.relative_to(Path.cwd())))


def _count(workflow: "Workflow") -> str:
    return f"{len(workflow.steps)} step{'s' * (len(workflow.steps) != 1)}"
