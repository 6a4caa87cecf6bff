"""Ending: how a run ended, with its outputs and times.

Pure. The status is that of the seeds: success where every step that ran succeeded, partial where some of them
did, failure where none did; and failure where the run was to fail as a whole, or to be taken back. Not
responsible for when a run ends: see `plan.py`.
"""

from collections.abc import Iterable

from ...bus.errors import DeadlineExceeded, Effect, Failure
from ...bus.task import Metrics, Result, Status
from ...bus.value import Json
from ..errors import Cancelled
from .branch import Stage, StepState
from .definition import OnFailure
from .expressions.error import ExpressionError
from .expressions.template import resolve
from .record import Closing, Ended, Took, Why
from .saga import not_undone
from .scope import scope_of
from .state import WorkflowState

_WHOLE = (Why.FAILED, Why.CANCELLED, Why.FAULT)  # a run that ends so is a failure, whatever it had done


def ending(state: WorkflowState, now_ms: int) -> Ended:
    """The last fact of a run that has nothing more to do."""
    closing = state.closing
    outputs, wrong = _outputs(state)
    status = _status(state, closing)
    if wrong is not None and status is Status.SUCCESS:
        status = Status.PARTIAL
    failure = _failure(state, closing, wrong)
    ms = max(0, now_ms - state.began_ms)
    result = Result(
        status=status,
        data=outputs,
        error=failure.message if failure else None,
        failure=failure,
        metrics=_metrics(state, ms),
    )
    steps = {step_id: took(step, now_ms) for step_id, step in state.steps.items()}
    why = closing.why if closing else Why.COMPLETED
    return Ended(why=why, result=result, steps=steps, ms=ms, limit=closing.limit if closing else "")


def took(step: StepState, now_ms: int) -> Took:
    """What became of a step, and its time until it ended, or until now."""
    ms = (step.ended_ms or now_ms) - step.began_ms if step.began_ms else 0
    status = step.result.status.value if step.result else step.stage.value
    return Took(
        status=status,
        ms=max(0, ms),
        attempts=step.attempts,
        items=None if step.items is None else len(step.items),
        error=(step.result.error or "") if step.result else "",
    )


def _status(state: WorkflowState, closing: Closing | None) -> Status:
    useful = any(step.stage is Stage.DONE for step in state.steps.values())
    if closing is not None:
        whole = closing.why in _WHOLE or state.workflow.on_failure is OnFailure.COMPENSATE
        return Status.FAILURE if whole or not useful else Status.PARTIAL
    if state.agenda.failed:
        return Status.PARTIAL if useful else Status.FAILURE
    partial = any(step.partial for step in state.steps.values())
    return Status.PARTIAL if partial else Status.SUCCESS


def _outputs(state: WorkflowState) -> tuple[Json, Failure | None]:
    """What the definition says; else the data of the steps on which no other depends."""
    if state.workflow.outputs:
        try:
            return resolve(state.workflow.outputs, scope_of(state), "outputs"), None
        except ExpressionError as error:
            return _data(state, state.dag.sinks), error.failure()
    return _data(state, state.dag.sinks), None


def _data(state: WorkflowState, steps: Iterable[str]) -> Json:
    results = {step_id: state.steps[step_id].result for step_id in steps}
    return {step_id: result.data for step_id, result in results.items() if result is not None}


def _failure(state: WorkflowState, closing: Closing | None, wrong: Failure | None) -> Failure | None:
    if closing is None:
        return _failed_steps(state) or _partial_steps(state) or wrong
    told = "; ".join([closing.error, *not_undone(state)])
    fields = {"step": closing.step} if closing.step else {}
    if closing.limit:
        fields["limit"] = closing.limit
    match closing.why:
        case Why.CANCELLED:
            return Failure(code=Cancelled.code, message=told, effect=Effect.YES, fields=fields)
        case Why.DEADLINE:
            return Failure(code=DeadlineExceeded.code, message=told, effect=Effect.YES, fields=fields)
        case Why.FAILED if closing.failure is not None:
            return Failure(code=closing.failure.code, message=told, effect=Effect.YES, fields=fields)
        case why:
            return Failure(code=f"run_{why}", message=told, effect=Effect.YES, fields=fields)


def _failed_steps(state: WorkflowState) -> Failure | None:
    """Of a run that went on: which steps failed."""
    results = ((step_id, state.steps[step_id].result) for step_id in state.agenda.failed)
    told = [f"step {step_id} failed: {result.error}" for step_id, result in results if result]
    if not told:
        return None
    return Failure(code="steps_failed", message="; ".join(told[:10]), effect=Effect.YES)


def _partial_steps(state: WorkflowState) -> Failure | None:
    """Which steps are done only in part."""
    partial = (step_id for step_id, step in state.steps.items() if step.partial)
    told = [
        f"step {step_id} is partial: {result.error}"
        for step_id in partial
        if (result := state.steps[step_id].result)
    ]
    return Failure(code="steps_partial", message="; ".join(told[:10]), effect=Effect.YES) if told else None


def _metrics(state: WorkflowState, ms: int) -> Metrics:
    """What the steps' agents spent; of models where none was called: nothing, not zero."""
    spent = state.spent
    if not any((spent.steps, spent.tool_calls, spent.tokens, spent.usd)):
        return Metrics(execution_time_ms=ms)
    return Metrics(
        execution_time_ms=ms,
        tokens_used=spent.tokens,
        usd=spent.usd if state.priced else None,
        steps=spent.steps,
        tool_calls=spent.tool_calls,
    )
