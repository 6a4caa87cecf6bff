"""WorkflowParts: the workflows of a program: values that its App is given, and files that its TOML names.

Not responsible for agents. Invariant: nothing of workflows is imported for a program that has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..actors.definition import Definition
from ..bus.errors import ConfigError
from ..bus.value import Json

if TYPE_CHECKING:
    from ..actors.workflows.definition import Workflow
    from ..actors.workflows.source import Source

RUNNER: Final = "actorium.actors.workflows.runner:Runner"  # the kind of every agent that carries a workflow
EXECUTE: Final = "execute_workflow"  # the action that starts a run


def is_workflow(definition: Definition) -> bool:
    """Whether an agent carries a workflow."""
    return definition.kind == RUNNER


def workflow_part(part: object) -> Definition:
    """The agent that carries a workflow of a program.

    Raises:
        ConfigError: It is no workflow.
        InvalidWorkflow: It cannot work; it tells all that is wrong.
    """
    from ..actors.workflows.builder import Draft
    from ..actors.workflows.definition import Workflow
    from ..actors.workflows.runner import deployed

    if isinstance(part, Draft):
        raise ConfigError(f"workflow {part.name} is still a draft: give the App what its build() returns")
    if not isinstance(part, Workflow):
        raise ConfigError(f"an App is made of agents, groups and workflows, and was given {part!r:.80}")
    return deployed(part)


def read_workflows(told: Json, file: Path) -> "list[Source]":
    """The workflows that a program's TOML names: paths from where it stands; `*` is any name.

    Raises:
        ConfigError: There is no such file, or it cannot be read.
        InvalidWorkflow: One cannot work, whatever agents there are: all that is wrong with it, with lines.
    """
    from ..actors.workflows.problem import invalid
    from ..actors.workflows.source import read_source

    if not isinstance(told, list) or not all(isinstance(path, str) for path in told):
        raise ConfigError(f'{file}: workflows must be a list of paths, such as ["digest.toml"]')
    found = [read_source(path) for pattern in told for path in _paths(pattern, file)]
    for source in found:
        if problems := source.problems():
            raise invalid(source.workflow.name, problems)
    return found


def workflow_problems(definitions: Sequence[Definition], sources: "Mapping[str, Source]") -> list[str]:
    """What is wrong with the workflows among the agents of a program, a line each.

    Args:
        sources: The files they were read from, by name: what is wrong in one is told with its line.
    """
    there = workflows_in(definitions)
    if not there:
        return []
    from ..actors.workflows.validation.validate import validate

    agents = {definition.name for definition in definitions}
    return [
        f"workflow {name}: {problem}"
        for name, workflow in there.items()
        for problem in validate(workflow, agents, there, sources[name].lines if name in sources else None)
    ]


def workflows_in(definitions: Iterable[Definition]) -> "dict[str, Workflow]":
    """The workflows among the agents of a program or a namespace, by name."""
    carried = [one for one in definitions if is_workflow(one)]
    if not carried:
        return {}
    from ..actors.workflows.runner import workflow_of

    return {one.name: workflow_of(one) for one in carried}


def _paths(pattern: str, file: Path) -> list[Path]:
    if "*" not in pattern:
        return [file.parent / pattern]
    found = sorted(file.parent.glob(pattern))
    if not found:
        raise ConfigError(f"{file}: no file fits {pattern!r}, which workflows names", file=str(file))
    return found
