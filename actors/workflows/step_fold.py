"""What a fact about a step does to the state. Invariant: as that of `fold.py`."""

from collections.abc import Callable
from typing import Any, Final

from ...bus.task import Result, Status
from .branch import Stage, StepState
from .fact import Asked, Decided, FannedOut, Heard, Listened, Opened, Skipped, Slept
from .index import index_ready
from .scope import view
from .state import WorkflowState


def _skipped(state: WorkflowState, fact: Skipped) -> None:
    state.steps[fact.step].why = fact.why
    settle(state, fact.step, Stage.SKIPPED, None)


def _opened(state: WorkflowState, fact: Opened) -> None:
    open_step(state, fact.step)


def _fanned_out(state: WorkflowState, fact: FannedOut) -> None:
    step = state.steps[fact.step]
    step.items, step.left = fact.items, len(fact.items)
    if fact.items:
        open_step(state, fact.step)
    else:
        settle(state, fact.step, Stage.DONE, Result(status=Status.SUCCESS, data=[]))


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
    settle(state, fact.step, Stage.DONE, Result(status=Status.SUCCESS, data=taken.data))


def _begun(state: WorkflowState, step_id: str, stage: Stage) -> StepState:
    """A step is begun: nothing more is to be decided of it for now."""
    step = state.steps[step_id]
    step.stage, step.began_ms = stage, step.began_ms or state.at_ms
    state.agenda.set_fresh(state.dag.rank(step_id), fresh=False)
    return step


def open_step(state: WorkflowState, step_id: str) -> None:
    """A step has branches to begin; its time counts from the first of them."""
    state.steps[step_id].stage = Stage.RUNNING
    state.agenda.set_fresh(state.dag.rank(step_id), fresh=False)
    index_ready(state, step_id)


def settle(state: WorkflowState, step_id: str, stage: Stage, result: Result | None) -> None:
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


OF_STEPS: Final[dict[type, Callable[[WorkflowState, Any], None]]] = {
    Skipped: _skipped,
    Opened: _opened,
    FannedOut: _fanned_out,
    Asked: _asked,
    Decided: _decided,
    Slept: _slept,
    Listened: _listened,
    Heard: _heard,
}
