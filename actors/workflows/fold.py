"""Fold: the state after one more page.

The only place where a state changes. Evaluates nothing and asks nobody: what no fact says did not happen.
Invariant: each fact costs the same, however many steps the run has.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ...bus.errors import Effect
from ...bus.task import Result, Status
from ..runs.budget import NOTHING, Cost
from .branch import Branch, Place, Stage, StepState, Undoing
from .definition import OnFailure
from .gathering import cost_of, gathered, is_priced
from .index import index, index_ready
from .record import (
    Adopted,
    Asked,
    Closing,
    Continued,
    Decided,
    Done,
    Ended,
    Failed,
    FannedOut,
    Heard,
    Listened,
    Migrated,
    Opened,
    Page,
    Paused,
    Restored,
    Resumed,
    Retried,
    Scheduled,
    Signalled,
    Skipped,
    Slept,
    Started,
    Stopped,
    UndoFailed,
    Undone,
    UndoRetried,
    UndoScheduled,
    WorkflowFact,
)
from .scope import view
from .state import WorkflowState


def fold(state: WorkflowState, page: Page) -> WorkflowState:
    """The state after a page; the same object."""
    turn(state, page.at_ms, page.seconds)
    for fact in page.facts:
        apply(state, fact)
    return state


def turn(state: WorkflowState, at_ms: int, seconds: float = 0.0) -> None:
    """A page begins at that moment: facts that are applied from now on stand on it."""
    state.at_ms = max(at_ms, state.at_ms)
    if seconds:
        state.spent += Cost(seconds=seconds)


def apply(state: WorkflowState, fact: WorkflowFact) -> None:
    """The state after one more fact."""
    _APPLIED[type(fact)](state, fact)


# --- the run ----------------------------------------------------------------------------------------------


def _started(state: WorkflowState, fact: Started) -> None:
    state.started = fact
    state.began_ms = state.at_ms
    state.steps = {step.id: StepState() for step in fact.workflow.steps}
    index(state)


def _adopted(state: WorkflowState, fact: Adopted) -> None:
    for step_id, step in fact.steps.items():
        state.steps[step_id] = msgspec.convert(msgspec.to_builtins(step), StepState)  # ours to change
    ended = [
        (branch.ended_ms, Place(step_id, item))
        for step_id, step in state.steps.items()
        for item, branch in enumerate(step.branches)
        if _to_undo(state, step_id, branch)
    ]
    state.completed = [place for _, place in sorted(ended)]
    index(state)


def _paused(state: WorkflowState, _: Paused) -> None:
    state.paused = True


def _resumed(state: WorkflowState, _: Resumed) -> None:
    state.paused = False


def _signalled(state: WorkflowState, fact: Signalled) -> None:
    if fact.id not in state.signal_ids:
        state.signal_ids[fact.id] = None
        state.signals.setdefault(fact.name, []).append(fact)


def _closing(state: WorkflowState, fact: Closing) -> None:
    state.closing = state.closing or fact


def _ended(state: WorkflowState, fact: Ended) -> None:
    state.ended = fact
    for step in state.steps.values():
        if not step.settled:
            step.stage = Stage.FAILED if step.failed else Stage.CANCELLED if step.began_ms else Stage.SKIPPED
            step.why = step.why or "the run ended"
            step.ended_ms = state.at_ms if step.began_ms else 0


def _nothing(_: WorkflowState, __: WorkflowFact) -> None:
    """It is about the chain, not about the run."""


# --- a step -----------------------------------------------------------------------------------------------


def _skipped(state: WorkflowState, fact: Skipped) -> None:
    state.steps[fact.step].why = fact.why
    _settle(state, fact.step, Stage.SKIPPED, None)


def _opened(state: WorkflowState, fact: Opened) -> None:
    _open(state, fact.step)


def _fanned_out(state: WorkflowState, fact: FannedOut) -> None:
    step = state.steps[fact.step]
    step.items, step.left = fact.items, len(fact.items)
    if fact.items:
        _open(state, fact.step)
    else:
        _settle(state, fact.step, Stage.DONE, Result(status=Status.SUCCESS, data=[]))


def _asked(state: WorkflowState, fact: Asked) -> None:
    step = _begun(state, fact.step, Stage.ASKED)
    step.question, step.items = fact.question, fact.items
    state.agenda.asked[fact.step] = None


def _decided(state: WorkflowState, fact: Decided) -> None:
    """An answer for the question's hash settles it; any other changes nothing."""
    step = state.steps[fact.step]
    if step.stage is not Stage.ASKED or step.question is None or fact.decision.hash != step.question.hash:
        return
    step.stage, step.decision = Stage.CLEARED, fact.decision
    del state.agenda.asked[fact.step]
    state.agenda.set_fresh(state.dag.rank(fact.step), fresh=True)


def _slept(state: WorkflowState, fact: Slept) -> None:
    step = _begun(state, fact.step, Stage.SLEEPING)
    step.due_ms = fact.due_ms
    state.agenda.add_timer(fact.due_ms, fact.step)


def _listened(state: WorkflowState, fact: Listened) -> None:
    step = _begun(state, fact.step, Stage.LISTENING)
    state.agenda.listening.setdefault(fact.signal, {})[fact.step] = None
    if fact.due_ms:
        step.due_ms = fact.due_ms
        state.agenda.add_timer(fact.due_ms, fact.step)


def _heard(state: WorkflowState, fact: Heard) -> None:
    waiting = state.signals[fact.signal]
    taken = waiting.pop(0)
    if not waiting:
        del state.signals[fact.signal]
    _begun(state, fact.step, Stage.LISTENING)
    _settle(state, fact.step, Stage.DONE, Result(status=Status.SUCCESS, data=taken.data))


# --- a branch ---------------------------------------------------------------------------------------------


def _scheduled(state: WorkflowState, fact: Scheduled) -> None:
    step, agenda = state.steps[fact.step], state.agenda
    if step.stage is not Stage.RUNNING:
        _open(state, fact.step)
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
        _settle(state, fact.step, Stage.DONE, fact.result)


def _failed(state: WorkflowState, fact: Failed) -> None:
    step = state.steps[fact.step]
    if step.stage is not Stage.RUNNING:
        _settle(state, fact.step, Stage.FAILED, fact.result)
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
    if _to_undo(state, step_id, branch):
        state.completed.append(place)
    if stage is Stage.FAILED:
        step.failed += 1
        state.agenda.failed[step_id] = None
    step.left -= 1
    if step.left:
        index_ready(state, step_id)
    else:
        _settle(state, step_id, *gathered(step))


def _to_undo(state: WorkflowState, step_id: str, branch: Branch) -> bool:
    """Whether a saga must take a branch back: it happened, or nobody knows that it did not."""
    if state.workflow.on_failure is not OnFailure.COMPENSATE or state.dag.steps[step_id].undo is None:
        return False
    if branch.stage is not Stage.FAILED:
        return not branch.open
    failure = branch.result.failure if branch.result else None
    return failure is not None and failure.effect is not Effect.NO


# --- an undo ----------------------------------------------------------------------------------------------


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


# --- what several have in common --------------------------------------------------------------------------


def _begun(state: WorkflowState, step_id: str, stage: Stage) -> StepState:
    """A step is begun: nothing more is to be decided of it for now."""
    step = state.steps[step_id]
    step.stage, step.began_ms = stage, step.began_ms or state.at_ms
    state.agenda.set_fresh(state.dag.rank(step_id), fresh=False)
    return step


def _open(state: WorkflowState, step_id: str) -> None:
    """A step has branches to begin; its time counts from the first of them."""
    state.steps[step_id].stage = Stage.RUNNING
    state.agenda.set_fresh(state.dag.rank(step_id), fresh=False)
    index_ready(state, step_id)


def _settle(state: WorkflowState, step_id: str, stage: Stage, result: Result | None) -> None:
    """A step is over, and those that waited for nothing else are fresh."""
    step, agenda = _begun(state, step_id, stage), state.agenda
    step.result, step.ended_ms = result, state.at_ms
    agenda.drop_timer(step.due_ms, step_id)
    agenda.listening.get(state.dag.steps[step_id].wait_signal, {}).pop(step_id, None)
    agenda.set_ready(state.dag.rank(step_id), ready=False)
    agenda.unsettled -= 1
    if stage is Stage.FAILED:
        agenda.failed[step_id] = None
    state.views[step_id] = view(step)
    for waiting in state.dag.needed_by[step_id]:
        agenda.unmet[waiting] -= 1
        if not agenda.unmet[waiting]:
            agenda.set_fresh(state.dag.rank(waiting), fresh=True)


def _spend(state: WorkflowState, result: Result) -> None:
    cost = cost_of(result)
    if cost is not NOTHING:
        state.spent += cost
        state.priced = state.priced and is_priced(result)


_APPLIED: Final[dict[type, Callable[[WorkflowState, Any], None]]] = {
    Started: _started,
    Adopted: _adopted,
    Migrated: _nothing,
    Continued: _nothing,
    Restored: _nothing,
    Paused: _paused,
    Resumed: _resumed,
    Signalled: _signalled,
    Closing: _closing,
    Ended: _ended,
    Skipped: _skipped,
    Opened: _opened,
    FannedOut: _fanned_out,
    Asked: _asked,
    Decided: _decided,
    Slept: _slept,
    Listened: _listened,
    Heard: _heard,
    Scheduled: _scheduled,
    Done: _done,
    Retried: _retried,
    Failed: _failed,
    Stopped: _stopped,
    UndoScheduled: _undo_scheduled,
    Undone: _undone,
    UndoRetried: _undo_retried,
    UndoFailed: _undo_failed,
}
