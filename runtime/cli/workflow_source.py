"""WorkflowSource: the workflow that a command names by a file: TOML, JSON, or a Python program.

Not responsible for whether it can work. Invariant: a file that is not there, or makes no workflow or several,
is wrong usage, told in one line before anything starts.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from .program import line_of, similar

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ...actors.workflows.definition import Workflow
    from ...actors.workflows.lines import Lines
    from ...actors.workflows.source import Source
    from ..app import App

ENDINGS: Final = (".toml", ".json", ".py")


class Made(NamedTuple):
    """What a file makes.

    Attributes:
        app: The file, where it is also the program that has the workflow's agents; empty: it is none.
        definitions: All of that program.
    """

    source: "Source"
    app: str = ""
    definitions: "tuple[Definition, ...]" = ()


def is_file(which: str) -> bool:
    """Whether FILE|NAME means a file: by its ending, or because there is one."""
    return _place(which).suffix in ENDINGS or Path(which).is_file()


def scan_file(which: str) -> Made:
    """As much of a file's workflow as fits.

    Args:
        which: `FILE`, or `FILE.py:NAME` where it makes several.

    Raises:
        UsageError: There is no such file, or it makes no workflow, or not that one.
        ConfigError: It does not read.
        InvalidWorkflow: A Python program could not build it.
    """
    from ...actors.workflows.source import scan_source

    place = _place(which)
    if not place.is_file():
        raise click.UsageError(f"there is no file {place}{similar(place, *ENDINGS)}")
    return _python(which, place) if place.suffix == ".py" else Made(scan_source(place))


def read_file(which: str) -> Made:
    """The workflow of a file, all of which fits. Raises as `scan_file`, and InvalidWorkflow."""
    from ...actors.workflows.problem import invalid

    made = scan_file(which)
    if made.source.misfits:
        raise invalid(made.source.workflow.name or which, made.source.problems())
    return made


def _place(which: str) -> Path:
    head, colon, _ = which.rpartition(":")
    return Path(head if colon and head.endswith(".py") else which)


def _python(which: str, place: Path) -> Made:
    """The workflow of a program: the one that is called so, or the only one."""
    names, apps = _loaded(place)
    found = dict(_workflows(names, apps))
    asked = which.removeprefix(str(place)).removeprefix(":")
    told = {source.workflow.name: name for name, source in found.items()}
    if not asked and len(told) == 1:
        asked = next(iter(told.values()))
    asked = asked if asked in found else told.get(asked, asked)
    if asked not in found:
        raise click.UsageError(_missing(place, asked, list(told)))
    program = next((app for app in apps if _carries(app, found[asked])), None)
    return Made(found[asked], str(place), program.definitions) if program else Made(found[asked])


def _missing(place: Path, asked: str, there: list[str]) -> str:
    from ...actors.workflows.nearest import nearest

    if asked:
        return f"{place} makes no workflow {asked!r}{nearest(asked, there)}"
    if there:
        return f"{place} makes {len(there)} workflows: name one of them, such as {place}:{there[0]}"
    return f"{place} makes no workflow: call its build() at the top level, or give it to an App"


def _loaded(place: Path) -> "tuple[Mapping[str, object], list[App]]":
    """What a program defines at its top level, and the Apps that it makes."""
    from ...bus.errors import ConfigError
    from ..app import App, _load_file

    App.loading = []
    try:
        return vars(_load_file(place)), App.loading
    except ConfigError:
        raise
    except Exception as error:  # the user's own code: anything can come, and is his to see
        told = f"{line_of(error, str(place))}: {type(error).__name__}: {error}"
        raise ConfigError(told, app=str(place)) from error
    finally:
        App.loading = None


def _workflows(names: Mapping[str, object], apps: "list[App]") -> "Iterator[tuple[str, Source]]":
    """Workflows by the name of their variable, or their own; a draft tells the lines of what it built."""
    from ...actors.workflows.builder import Draft
    from ...actors.workflows.definition import Workflow
    from ...actors.workflows.source import Source
    from ..workflow_parts import workflows_in

    drafts = {one.name: one.source() for one in names.values() if isinstance(one, Draft)}
    for app in apps:
        for name, workflow in workflows_in(app.definitions).items():
            yield name, Source(workflow, _lines(drafts, workflow))
    for name, one in names.items():
        if isinstance(one, Draft):
            yield name, one.source()
        elif isinstance(one, Workflow):
            yield name, Source(one, _lines(drafts, one))


def _lines(drafts: "Mapping[str, Source]", workflow: "Workflow") -> "Lines | None":
    draft = drafts.get(workflow.name)
    return draft.lines if draft else None


def _carries(app: "App", source: "Source") -> bool:
    from ..workflow_parts import workflows_in

    return source.workflow.name in workflows_in(app.definitions)
