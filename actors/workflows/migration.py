"""Migration: a live run moved to another definition, where what it did already is the same there.

A step that did not begin may change, come or go. One that began must be there and do the same; how it is
tried again, taken back, or who comes first may change. The budget stays what the run began with.
Pure. Not responsible for writing it down: see `book.py`. Invariant: a run that was moved stands where the
other definition could have brought it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ...bus.errors import ConfigError
from ...bus.value import JsonObject
from .branch import Stage, StepState
from .dag import Dag
from .definition import Workflow
from .inputs import take_inputs
from .problem import InvalidWorkflow
from .record import Started
from .snapshot import Snapshot
from .step import Step

_LATER: Final = frozenset({"retry", "priority", "effect", "undo", "depends_on"})  # read after a step began
_OVER: Final = _LATER | {"timeout", "approve"}  # read no more when it is over


class Incompatible(ConfigError):
    """Raised where a run cannot be moved to a definition; it goes on with its own.

    Attributes:
        fields: `run`, and in `steps` those that differ.
    """

    code = "incompatible"


def migrated(taken: Snapshot, workflow: Workflow) -> Snapshot:
    """A run's state as the definition has it.

    Args:
        taken: Where the run stands.
        workflow: A definition that was checked.

    Raises:
        Incompatible: What the run did, does or was given does not fit it: all of it is told, step by step.
    """
    started, dag = taken.started, Dag(workflow)
    wrong = {step_id: why for step_id in taken.steps if (why := _misfit(taken, dag, step_id))}
    told = [*_about_the_run(taken, workflow), *(f"step {step_id} {why}" for step_id, why in wrong.items())]
    inputs: JsonObject = {}
    try:
        inputs = _inputs(started, workflow)
    except InvalidWorkflow as error:
        told += [str(problem) for problem in error.problems]
    if told:
        text = "; ".join(told)
        raise Incompatible(
            f"{started.run} cannot go on with definition {workflow.hash}: {text}",
            run=started.run,
            steps=",".join(wrong),
        )
    steps = {step_id: taken.steps.get(step_id) or StepState() for step_id in dag.steps}
    return msgspec.structs.replace(
        taken, started=msgspec.structs.replace(started, inputs=inputs), steps=steps
    )


def _about_the_run(taken: Snapshot, workflow: Workflow) -> Iterator[str]:
    if taken.ended is not None:
        yield "it is over: fork it, or retry a step, with --latest"
    elif taken.closing is not None:
        yield "it turns to its end already"
    if workflow.name != taken.started.workflow.name:
        yield f"that is workflow {workflow.name}, and this a run of {taken.started.workflow.name}"


def _inputs(started: Started, workflow: Workflow) -> JsonObject:
    """What the run was given, as the definition takes it; an input that it has no more is dropped."""
    given = {
        name: value for name, value in started.inputs.items() if name in workflow.inputs and value is not None
    }
    return take_inputs(workflow, given)


def _misfit(taken: Snapshot, dag: Dag, step_id: str) -> str:
    """Why the definition cannot take over a step as it stands; empty: it can."""
    state, after = taken.steps[step_id], dag.steps.get(step_id)
    if state.stage is Stage.WAITING:
        return ""
    if after is None:
        return f"is {state.stage}, and not there any more"
    before = next(step for step in taken.started.workflow.steps if step.id == step_id)
    if differing := _differing(before, after, _OVER if state.settled else _LATER):
        return f"is {state.stage}, and differs in {', '.join(differing)}"
    waiting = [need for need in dag.needs[step_id] if not _is_over(taken, need)]
    return f"is {state.stage}, and would have to wait for {', '.join(waiting)}" if waiting else ""


def _differing(before: Step, after: Step, free: frozenset[str]) -> list[str]:
    """Fields that are not the same, of those that count: that there is an undo always does."""
    names = [name for name in Step.__struct_fields__ if name not in free]
    differing = [name for name in names if getattr(before, name) != getattr(after, name)]
    return [*differing, *(["undo"] if bool(before.undo) != bool(after.undo) else [])]


def _is_over(taken: Snapshot, step_id: str) -> bool:
    state = taken.steps.get(step_id)
    return state is not None and state.settled
