"""Fold: the state after one more page.

The only place where a state changes. Evaluates nothing and asks nobody: what no fact says did not happen.
Invariant: each fact costs the same, however many steps the run has.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..runs.budget import Cost
from .branch import Place, Stage, StepState
from .branch_fold import OF_BRANCHES, is_to_undo
from .index import index
from .record import (
    Adopted,
    Closing,
    Continued,
    Ended,
    Migrated,
    Page,
    Paused,
    Restored,
    Resumed,
    Signalled,
    Started,
    WorkflowFact,
)
from .state import WorkflowState
from .step_fold import OF_STEPS


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
        if is_to_undo(state, step_id, branch)
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
    **OF_STEPS,
    **OF_BRANCHES,
}
