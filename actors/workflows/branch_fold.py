"""What a fact about a branch or its undo does to the state. Invariant: as that of `fold.py`."""

from collections.abc import Callable
from typing import Any, Final

from ...bus.errors import Effect
from ...bus.task import Result
from ..runs.budget import NOTHING
from .branch import Branch, Place, Stage, Undoing
from .definition import OnFailure
from .fact import Done, Failed, Retried, Scheduled, Stopped, UndoFailed, Undone, UndoRetried, UndoScheduled
from .gathering import cost_of, gathered, is_priced
from .index import index_ready
from .state import WorkflowState
from .step_fold import open_step, settle


def _scheduled(state: WorkflowState, fact: Scheduled) -> None:
    step, agenda = state.steps[fact.step], state.agenda
    if step.stage is not Stage.RUNNING:
        open_step(state, fact.step)
    step.began_ms = step.began_ms or state.at_ms
    if fact.item == step.begun:
        step.branches.append(Branch(stage=Stage.RUNNING, began_ms=state.at_ms))
    branch = step.branches[fact.item]
    agenda.drop_timer(branch.due_ms, fact.step, fact.item)
    branch.stage, branch.attempt, branch.due_ms = Stage.RUNNING, fact.attempt, 0
    branch.task = fact.task or branch.task
    agenda.begin(Place(fact.step, fact.item))
    index_ready(state, fact.step)


def _done(state: WorkflowState, fact: Done) -> None:
    if state.steps[fact.step].stage is Stage.RUNNING:
        _end_branch(state, fact.step, fact.item, Stage.DONE, fact.result)
    else:
        settle(state, fact.step, Stage.DONE, fact.result)


def _failed(state: WorkflowState, fact: Failed) -> None:
    step = state.steps[fact.step]
    if step.stage is not Stage.RUNNING:
        settle(state, fact.step, Stage.FAILED, fact.result)
        return
    if fact.item == step.begun:  # it could not even be given its task
        step.branches.append(Branch(stage=Stage.RUNNING, began_ms=state.at_ms))
    _end_branch(state, fact.step, fact.item, Stage.FAILED, fact.result)


def _retried(state: WorkflowState, fact: Retried) -> None:
    branch = state.steps[fact.step].branches[fact.item]
    branch.stage, branch.result, branch.due_ms = Stage.SLEEPING, fact.result, fact.due_ms
    _spend(state, fact.result)
    state.agenda.end(Place(fact.step, fact.item))
    state.agenda.add_timer(fact.due_ms, fact.step, fact.item)
    index_ready(state, fact.step)


def _stopped(state: WorkflowState, fact: Stopped) -> None:
    _end_branch(state, fact.step, fact.item, Stage.CANCELLED, None)


def _end_branch(state: WorkflowState, step_id: str, item: int, stage: Stage, result: Result | None) -> None:
    """A branch is over; with the last one so is its step."""
    step = state.steps[step_id]
    branch = step.branches[item]
    branch.stage, branch.task, branch.ended_ms = stage, None, state.at_ms
    if result is not None:
        branch.result = result
        _spend(state, result)
    place = Place(step_id, item)
    state.agenda.end(place)
    if is_to_undo(state, step_id, branch):
        state.completed.append(place)
    if stage is Stage.FAILED:
        step.failed += 1
        state.agenda.failed[step_id] = None
    step.left -= 1
    if step.left:
        index_ready(state, step_id)
    else:
        settle(state, step_id, *gathered(step))


def is_to_undo(state: WorkflowState, step_id: str, branch: Branch) -> bool:
    """Whether a saga must take a branch back: it happened, or nobody knows that it did not."""
    if state.workflow.on_failure is not OnFailure.COMPENSATE or state.dag.steps[step_id].undo is None:
        return False
    if branch.stage is not Stage.FAILED:
        return not branch.open
    failure = branch.result.failure if branch.result else None
    return failure is not None and failure.effect is not Effect.NO


def _undo_scheduled(state: WorkflowState, fact: UndoScheduled) -> None:
    branch = state.steps[fact.step].branches[fact.item]
    undo = branch.undo = branch.undo or Undoing(stage=Stage.RUNNING)
    state.agenda.drop_timer(undo.due_ms, fact.step, fact.item)
    undo.stage, undo.attempt, undo.due_ms = Stage.RUNNING, fact.attempt, 0
    undo.task = fact.task or undo.task
    state.agenda.begin(Place(fact.step, fact.item, undo=True))


def _undo_retried(state: WorkflowState, fact: UndoRetried) -> None:
    undo = _end_undo(state, fact, Stage.SLEEPING)
    undo.due_ms = fact.due_ms
    state.agenda.add_timer(fact.due_ms, fact.step, fact.item)


def _undone(state: WorkflowState, fact: Undone) -> None:
    _end_undo(state, fact, Stage.DONE)
    state.completed.pop()


def _undo_failed(state: WorkflowState, fact: UndoFailed) -> None:
    _end_undo(state, fact, Stage.FAILED)
    state.completed.pop()


def _end_undo(state: WorkflowState, fact: Undone | UndoRetried | UndoFailed, stage: Stage) -> Undoing:
    branch = state.steps[fact.step].branches[fact.item]
    undo = branch.undo = branch.undo or Undoing(stage=stage)
    undo.stage, undo.error = stage, fact.result.error or ""
    _spend(state, fact.result)
    state.agenda.end(Place(fact.step, fact.item, undo=True))
    return undo


def _spend(state: WorkflowState, result: Result) -> None:
    cost = cost_of(result)
    if cost is not NOTHING:
        state.spent += cost
        state.priced = state.priced and is_priced(result)


OF_BRANCHES: Final[dict[type, Callable[[WorkflowState, Any], None]]] = {
    Scheduled: _scheduled,
    Done: _done,
    Failed: _failed,
    Retried: _retried,
    Stopped: _stopped,
    UndoScheduled: _undo_scheduled,
    UndoRetried: _undo_retried,
    Undone: _undone,
    UndoFailed: _undo_failed,
}
