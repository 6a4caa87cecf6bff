"""Saga: taking back what a run did, the latest first, one at a time.

Pure. Invariant: an undo begins only when the one before it is over, and each stands in the records before and
after. Undone is also what was cancelled or failed in a way that leaves open whether it happened: an undo must
bear that there is nothing to take back.
"""

from .branch import Place, Stage
from .errand import key_of, undo_task_of
from .expressions.error import ExpressionError
from .fact import UndoFailed, UndoScheduled
from .gathering import failed_result
from .state import WorkflowState


def next_undo(state: WorkflowState, now_ms: int) -> UndoScheduled | UndoFailed | None:
    """The undo that begins now; None: one is under way or waits for its time, or there is none."""
    place = state.completed[-1]._replace(undo=True)
    undo = state.branch(place).undo
    if undo is None:
        return _first(state, place)
    if undo.stage is Stage.SLEEPING and undo.due_ms <= now_ms:
        attempt = undo.attempt + 1
        key = key_of(state, place, attempt)
        return UndoScheduled(step=place.step, item=place.item, attempt=attempt, key=key)
    return None


def not_undone(state: WorkflowState) -> list[str]:
    """What was not taken back and should have been, as a person reads it."""
    found = [f"{place.step} was not undone" for place in state.completed]
    for step_id, step in state.steps.items():
        for item, branch in enumerate(step.branches):
            if branch.undo is not None and branch.undo.stage is Stage.FAILED:
                name = step_id if step.items is None else f"{step_id}[{item}]"
                found.append(f"{name} could not be undone: {branch.undo.error}")
    return found


def _first(state: WorkflowState, place: Place) -> UndoScheduled | UndoFailed:
    try:
        task = undo_task_of(state, place)
    except ExpressionError as error:
        return UndoFailed(step=place.step, item=place.item, result=failed_result(error.failure()))
    return UndoScheduled(step=place.step, item=place.item, key=key_of(state, place, 1), task=task)
