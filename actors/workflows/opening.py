"""Opening: what becomes of a step whose dependencies are all over.

Pure. It is skipped, asked about, opened, put to sleep, or it fails because a template of it has no value. Not
responsible for when its tasks are delegated: see `scheduling.py`. Invariant: what is decided is a fact, so it
is decided once.
"""

import math
from datetime import datetime
from typing import assert_never

import msgspec

from ...bus.errors import DeadlineExceeded, Failure
from ...bus.task import Result, Status, Task
from ...bus.value import Json
from ..runs.approval import About, Decision, OnExpiry, Question, Verdict, digest, question_id
from .branch import Place, Stage
from .duration import seconds
from .errand import agent_of, task_of
from .expressions.error import ExpressionError
from .expressions.template import condition, resolve
from .fact import Asked, Done, Failed, FannedOut, Listened, Opened, Skipped, Slept, StepFact
from .gathering import failed_result
from .record import Closing, Why
from .scope import scope_of
from .state import WorkflowState
from .step import Approval, Kind, Step

DENIED = "denied"
Decided = StepFact | Done | Failed | Closing


def opening(state: WorkflowState, step_id: str, now_ms: int) -> Decided:
    """The next fact about a step that is fresh: nothing was decided of it, or a person has just answered."""
    try:
        if state.steps[step_id].stage is Stage.CLEARED:
            return _cleared(state, step_id, now_ms)
        return _skipped(state, step_id) or _asked(state, step_id, now_ms) or _opened(state, step_id, now_ms)
    except ExpressionError as error:
        return Failed(step=step_id, result=failed_result(error.failure()))


def too_late(state: WorkflowState, step_id: str) -> Failed:
    """The signal a step waited for did not come in time."""
    signal = state.dag.steps[step_id].wait_signal
    told = f"signal {signal} did not come in time"
    failure = Failure(code=DeadlineExceeded.code, message=told, retryable=True)
    return Failed(step=step_id, result=failed_result(failure))


def _skipped(state: WorkflowState, step_id: str) -> Skipped | None:
    step, needs = state.dag.steps[step_id], [state.steps[need] for need in state.dag.needs[step_id]]
    if any(need.stage in (Stage.FAILED, Stage.CANCELLED) or need.why == "failed" for need in needs):
        return Skipped(step=step_id, why="failed")
    if needs and all(need.stage is Stage.SKIPPED for need in needs):
        return Skipped(step=step_id, why="skipped")
    if step.when and not condition(step.when, scope_of(state), f"steps.{step_id}.when"):
        return Skipped(step=step_id, why="when")
    return None


def _asked(state: WorkflowState, step_id: str, now_ms: int) -> Asked | Failed | None:
    """The question before a step, where it wants one."""
    step = state.dag.steps[step_id]
    if step.approve is None:
        return None
    items = _items(state, step)
    if isinstance(items, Failed):
        return items
    return Asked(step=step_id, question=_question(state, step, step.approve, items, now_ms), items=items)


def _question(
    state: WorkflowState, step: Step, approve: Approval, items: list[Json] | None, now_ms: int
) -> Question:
    arguments = (
        msgspec.to_builtins(task_of(state, Place(step.id)))
        if _delegated(state, step) and items is None
        else {}
    )
    if items is not None:
        arguments = {"action": step.action, "items": items}
    tool = ".".join(filter(None, (agent_of(step), step.action))) or step.id
    binding = digest(state.run, step.id, tool, arguments)
    return Question(
        id=question_id(binding, About.APPROVAL, 1),
        run=state.run,
        agent=state.workflow.name,
        call=step.id,
        tool=tool,
        arguments=arguments,
        hash=binding,
        risk=approve.risk,
        reasoning=str(resolve(approve.question, scope_of(state), f"steps.{step.id}.approve.question")),
        approver=approve.approver,
        asked_ms=now_ms,
        ttl=approve.ttl,
        reminders=approve.reminders,
        on_expiry=approve.on_expiry,
        escalate_to=approve.escalate_to,
    )


def _cleared(state: WorkflowState, step_id: str, now_ms: int) -> Decided:
    """What an answer makes of the step that was asked about."""
    step = state.steps[step_id]
    decision = step.decision
    if decision is None or step.question is None:
        return _opened(state, step_id, now_ms)
    match decision.verdict:
        case Verdict.ACCEPT | Verdict.EDIT:
            return _opened(state, step_id, now_ms, decision)
        case Verdict.RESPOND:
            return Done(step=step_id, result=Result(status=Status.SUCCESS, data=decision.text))
        case Verdict.DENY:
            by = decision.by or "a person"
            return _denied(step_id, f"denied by {by}. {decision.text}".strip())
        case Verdict.EXPIRE:
            if step.question.on_expiry is OnExpiry.HALT:
                told = f"nobody answered in time whether {step_id} may run"
                return Closing(why=Why.EXPIRED, error=told, step=step_id)
            return _denied(step_id, "nobody approved it in time, so it was denied")
        case _:
            assert_never(decision.verdict)


def _opened(state: WorkflowState, step_id: str, now_ms: int, decision: Decision | None = None) -> Decided:
    """How a step begins that may."""
    step = state.dag.steps[step_id]
    match state.dag.kinds[step_id]:
        case Kind.AGENT | Kind.WORKFLOW:
            items = _edited(decision) or _items(state, step)
            if isinstance(items, Failed):
                return items
            return Opened(step=step_id) if items is None else FannedOut(step=step_id, items=items)
        case Kind.SLEEP:
            return Slept(step=step_id, due_ms=_wakes(state, step, now_ms))
        case Kind.SIGNAL:
            due_ms = now_ms + int(step.timeout * 1000) if step.timeout else 0
            return Listened(step=step_id, signal=step.wait_signal, due_ms=due_ms)
        case Kind.GATE:
            by, text = (decision.by, decision.text) if decision else ("", "")
            return Done(step=step_id, result=Result(status=Status.SUCCESS, data={"by": by, "text": text}))
        case kind:
            assert_never(kind)


def edited_task(state: WorkflowState, step_id: str) -> Task | None:
    """The task as a person wrote it, where one did.

    Raises:
        ExpressionError: It is no task.
    """
    decision = state.steps[step_id].decision
    if decision is None or decision.verdict is not Verdict.EDIT or state.steps[step_id].items is not None:
        return None
    try:
        return msgspec.convert(decision.arguments, Task)
    except msgspec.ValidationError as error:
        told = f"steps.{step_id}: {decision.by or 'a person'} changed the task to none: {error}"
        raise ExpressionError(told) from error


def _edited(decision: Decision | None) -> list[Json] | None:
    """The items as a person wrote them, where one did."""
    if decision is None or decision.verdict is not Verdict.EDIT or decision.arguments is None:
        return None
    items = decision.arguments.get("items")
    return items if isinstance(items, list) else None


def _items(state: WorkflowState, step: Step) -> list[Json] | Failed | None:
    """What a fan-out goes over; None: it is none."""
    if step.for_each is None:
        return None
    if (asked := state.steps[step.id].items) is not None:
        return asked
    where = f"steps.{step.id}.for_each.items"
    items = resolve(step.for_each.items, scope_of(state), where)
    if not isinstance(items, list | tuple):
        raise ExpressionError(f"{where}: a list was expected, not {items!r:.100}", where=where)
    if len(items) > step.for_each.limit:
        told = f"{where}: {len(items)} items, and its limit is {step.for_each.limit}: nothing of it was done"
        return Failed(step=step.id, result=failed_result(Failure(code="too_many_items", message=told)))
    return list(items)


def _wakes(state: WorkflowState, step: Step, now_ms: int) -> int:
    """When a step that sleeps goes on."""
    where = f"steps.{step.id}"
    try:
        if step.until:
            moment = datetime.fromisoformat(str(resolve(step.until, scope_of(state), f"{where}.until")))
            if moment.tzinfo is None:
                raise ExpressionError(
                    f"{where}.until: {moment} has no time zone: write Z or +02:00 behind it"
                )
            return math.ceil(moment.timestamp() * 1000)
        return now_ms + math.ceil(seconds(resolve(step.sleep, scope_of(state), f"{where}.sleep")) * 1000)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"{where}: {error}", where=where) from error


def _denied(step_id: str, told: str) -> Failed:
    return Failed(step=step_id, result=failed_result(Failure(code=DENIED, message=told)))


def _delegated(state: WorkflowState, step: Step) -> bool:
    return state.dag.kinds[step.id] in (Kind.AGENT, Kind.WORKFLOW)
