"""Setback: what follows the end of an attempt: it is done, it is tried again, or it failed for good.

Pure: chance is an argument, and what it decided is in the fact. Invariant: an attempt of which nobody knows
whether it happened is made again only where the step's effect allows that.
"""

from typing import Final

import msgspec

from ...bus.errors import Effect, Failure
from ...bus.task import Result, Status
from ..runs.effect import EffectClass
from .branch import Place
from .fact import Done, Failed, Retried, UndoFailed, Undone, UndoRetried
from .record import Closing, Why, WorkflowFact
from .retry import Retry
from .state import WorkflowState
from .step import Step

ACCOUNT_CODE: Final = f"run_{Why.ACCOUNT}"
HOPELESS: Final = frozenset(
    {
        "bad_message",
        "bad_task",
        "cancelled",
        "config_error",
        "denied",
        "expression_error",
        "invalid_workflow",
        "rejected",
        "unknown_agent",
        "unknown_kind",
        ACCOUNT_CODE,
    }
)  # codes of failures that say themselves that another attempt would end the same
_AGAIN: Final = frozenset({EffectClass.PURE, EffectClass.IDEMPOTENT})


def settled(
    state: WorkflowState, place: Place, result: Result, now_ms: int, chance: float
) -> list[WorkflowFact]:
    """What follows the end of an attempt.

    Args:
        chance: From 0 to 1, for the jitter of a retry.
    """
    if place.undo:
        return [_undo_settled(state, place, result, now_ms, chance)]
    facts: list[WorkflowFact] = [_settled(state, place, result, now_ms, chance)]
    failure = result.failure
    if failure is not None and failure.code == ACCOUNT_CODE:
        limit = failure.fields.get("limit", "")
        told = f"step {place.step}: {failure.message}"
        facts.append(Closing(why=Why.ACCOUNT, error=told, step=place.step, limit=limit, failure=failure))
    return facts


def _settled(
    state: WorkflowState, place: Place, result: Result, now_ms: int, chance: float
) -> Done | Retried | Failed:
    step_id, item = place.step, place.item
    if result.status is not Status.FAILURE:
        return Done(step=step_id, item=item, result=result)
    step, attempt = state.dag.steps[step_id], state.branch(place).attempt
    failure = _failure(result)
    if state.closing is None and _retryable(step.retry, attempt, failure):
        if _may_repeat(step, failure):
            due_ms = _due(step.retry, attempt, now_ms, chance)
            return Retried(step=step_id, item=item, result=result, due_ms=due_ms)
        result = _doubtful(step, result, failure)
    return Failed(step=step_id, item=item, result=result)


def _undo_settled(
    state: WorkflowState, place: Place, result: Result, now_ms: int, chance: float
) -> Undone | UndoRetried | UndoFailed:
    """An undo may be made again whatever is known of the attempt before: it takes back what is there."""
    step_id, item = place.step, place.item
    if result.status is not Status.FAILURE:
        return Undone(step=step_id, item=item, result=result)
    step, undo = state.dag.steps[step_id], state.branch(place).undo
    attempt = undo.attempt if undo else 1
    if step.undo and _retryable(step.undo.retry, attempt, _failure(result)):
        due_ms = _due(step.undo.retry, attempt, now_ms, chance)
        return UndoRetried(step=step_id, item=item, result=result, due_ms=due_ms)
    return UndoFailed(step=step_id, item=item, result=result)


def _retryable(retry: Retry, attempt: int, failure: Failure) -> bool:
    """Whether there is an attempt left, and it could end otherwise."""
    return attempt <= retry.max and failure.code not in HOPELESS and failure.code not in retry.non_retryable


def _may_repeat(step: Step, failure: Failure) -> bool:
    return failure.effect is Effect.NO or step.effect in _AGAIN


def _doubtful(step: Step, result: Result, failure: Failure) -> Result:
    """The failure of an attempt that is not made again because it may have happened."""
    told = (
        f"{failure.message}; whether it happened is not known, so it is not tried again: "
        f'a step whose task may be repeated says so with effect = "idempotent" (it is {step.effect})'
    )
    return msgspec.structs.replace(result, error=told, failure=msgspec.structs.replace(failure, message=told))


def _failure(result: Result) -> Failure:
    return result.failure or Failure(code="error", message=result.error or "it failed")


def _due(retry: Retry, attempt: int, now_ms: int, chance: float) -> int:
    return now_ms + int(retry.delay(attempt, chance) * 1000)
