"""Scope: what the templates of a run can name.

Invariant: a step that is not over, or was skipped, has a result too, whose data is null: what refers to it
after the run turned to its end reads null, not an error.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ...bus.task import Result
from ...bus.value import Json, JsonObject
from .branch import StepState
from .state import WorkflowState
from .step import ForEach

_EMPTY: Final[JsonObject] = {"data": None, "error": None, "failure": None, "artifacts": [], "metrics": {}}


class _Views(Mapping[str, Json]):
    """Results by step: of those that are over, and nothing of the others; one may be shown otherwise."""

    def __init__(self, state: WorkflowState, other: Mapping[str, JsonObject]) -> None:
        self._state = state
        self._other = other

    def __getitem__(self, step_id: str) -> JsonObject:
        if step_id in self._other:
            return self._other[step_id]
        return self._state.views.get(step_id) or view(self._state.steps[step_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.steps)

    def __len__(self) -> int:
        return len(self._state.steps)


def scope_of(state: WorkflowState, *, own: Mapping[str, JsonObject] | None = None) -> JsonObject:
    """What a template of a step, or of the outputs, can name.

    Args:
        own: What is shown of a step instead of its result: to its undo, the result of the branch.
    """
    started = state.started
    return {
        "inputs": started.inputs if started else {},
        "run": {"id": state.run},
        "steps": _Views(state, own or {}),
    }


def with_item(scope: JsonObject, each: ForEach, item: Json, index: int) -> JsonObject:
    """The same in a fan-out, for one of its items."""
    return {**scope, each.item: item, "index": index}


def view(step: StepState) -> JsonObject:
    """What templates see of a step: its result, and its stage where it has none."""
    if step.result is None:
        return {**_EMPTY, "status": step.stage.value}
    return view_of_result(step.result)


def view_of_result(result: Result) -> JsonObject:
    """What templates see of a result."""
    return {
        "data": result.data,
        "status": result.status.value,
        "error": result.error,
        "failure": msgspec.to_builtins(result.failure),
        "artifacts": msgspec.to_builtins(result.artifacts),
        "metrics": msgspec.to_builtins(result.metrics),
    }
