"""RunFold: the view of a run after one more of its records.

Pure. Not responsible for reading records (`run_reader.py`). Invariant: records that were read twice would be
counted twice, so each is folded once, in order.
"""

from typing import assert_never

import msgspec

from ...actors.card import run_name
from ...actors.context import child_id
from ...actors.models.port import StopReason
from ...actors.runs.budget import Cost
from ...actors.runs.conversation import words
from ...actors.runs.delegation import delegate_of
from ...actors.runs.record import (
    Answered,
    Asked,
    CallFact,
    Compacted,
    Decided,
    Done,
    Ended,
    Failed,
    Intended,
    Objected,
    Requested,
    RunRecord,
    Started,
    Unanswered,
    Undone,
    Unknown,
)
from .run_view import CallStage, CallView, RunStage, RunView, StepView

SILENT = (StopReason.REFUSAL, StopReason.CONTEXT_OVERFLOW)  # calls of such an answer are not made


def fold(view: RunView, record: RunRecord) -> RunView:
    """The view after one more record."""
    view = msgspec.structs.replace(view, seconds=view.seconds + record.seconds)
    match record:
        case Started():
            return _started(view, record)
        case Requested():
            return _requested(view, record)
        case Answered():
            return _answered(view, record)
        case Unanswered():
            why = (
                record.failure.message if record.failure else "no answer: the process died, or time was over"
            )
            return _in_last(_paid(view, record.cost, priced=record.priced), asking=False, note=why)
        case Objected():
            return _in_last(view, note=f"told: {record.text}")
        case Compacted():
            return _in_last(view, note=f"old results cut, the newest {record.keep} turns stay whole")
        case Ended():
            return _ended(view, record)
        case _:
            return _staged(_fold_call(view, record))


def delegate_run(run: str, record: Intended) -> str:
    """The run that a call gives its task to; empty: it is no delegation."""
    agent = delegate_of(record.tool, record.arguments) if record.grant is not None else ""
    return run_name(agent, child_id(f"{run}/{record.call}", 1)) if agent else ""


def _started(view: RunView, record: Started) -> RunView:
    task = record.task
    return msgspec.structs.replace(
        view,
        agent=record.agent,
        task_id=record.task_id,
        task={"action": task.action, "spec": task.spec} if task.action else task.spec,
        parent=record.parent,
        began_ms=record.at_ms,
        budget=record.budget,
        account=record.account,
    )


def _requested(view: RunView, record: Requested) -> RunView:
    if view.steps and view.steps[-1].number == record.step:
        return _in_last(view, asking=True)
    step = StepView(number=record.step, model=record.model, asking=True)
    return msgspec.structs.replace(view, stage=RunStage.RUNNING, steps=(*view.steps, step))


def _answered(view: RunView, record: Answered) -> RunView:
    response = record.response
    calls = tuple(
        CallView(id=f"{record.step}/{number}", tool=wanted.name, arguments=wanted.arguments)
        for number, wanted in enumerate(() if response.stop in SILENT else response.tool_calls, 1)
    )
    last = view.steps[-1]
    step = msgspec.structs.replace(
        last,
        asking=False,
        text=words(response.turn()),
        tokens=last.tokens + record.cost.tokens,
        usd=last.usd + record.cost.usd,
        calls=calls,
    )
    paid = _paid(view, record.cost, priced=record.priced)
    return msgspec.structs.replace(paid, steps=(*view.steps[:-1], step))


def _ended(view: RunView, record: Ended) -> RunView:
    result = record.result
    return msgspec.structs.replace(
        view,
        stage=RunStage(result.status),
        why=record.why,
        limit=record.limit,
        answer=result.data,
        error=result.error or "",
        code=result.failure.code if result.failure else "",
    )


def _fold_call(view: RunView, record: CallFact) -> RunView:
    match record:
        case Intended():
            return _in_call(
                view,
                record.call,
                stage=CallStage.RUNNING,
                arguments=record.arguments,
                attempt=record.attempt,
                delegate=delegate_run(view.run, record),
            )
        case Done():
            return _settled(view, record, CallStage.DONE, record.content)
        case Failed():
            return _settled(view, record, CallStage.FAILED, record.error)
        case Asked() | Unknown():
            return _in_call(view, record.call, stage=CallStage.WAITING, question=record.question)
        case Decided():
            return _in_call(view, record.call, stage=CallStage.WANTED, decision=record.decision)
        case Undone():
            return _in_last(view, note=f"{record.call} was taken back, to run again")
        case _:
            assert_never(record)


def _settled(view: RunView, record: Done | Failed, stage: CallStage, content: str) -> RunView:
    cost = record.cost
    paid = _paid(view, cost, priced=record.priced)
    return _in_call(paid, record.call, stage=stage, content=content, tokens=cost.tokens, usd=cost.usd)


def _staged(view: RunView) -> RunView:
    """A run waits when calls wait for people and no call is under way."""
    calls = view.steps[-1].calls if view.steps else ()
    stages = {call.stage for call in calls} - {CallStage.DONE, CallStage.FAILED}
    waits = stages == {CallStage.WAITING}
    return msgspec.structs.replace(view, stage=RunStage.WAITING if waits else RunStage.RUNNING)


def _paid(view: RunView, cost: Cost, *, priced: bool) -> RunView:
    return msgspec.structs.replace(
        view,
        tokens=view.tokens + cost.tokens,
        usd=view.usd + cost.usd,
        tool_calls=view.tool_calls + cost.tool_calls,
        priced=view.priced and priced,
    )


def _in_last(view: RunView, *, note: str = "", **changes: object) -> RunView:
    """The view with its last step changed; a record before the first step has nothing to change."""
    if not view.steps:
        return view
    last = view.steps[-1]
    step = msgspec.structs.replace(last, **changes, notes=(*last.notes, note) if note else last.notes)
    return msgspec.structs.replace(view, steps=(*view.steps[:-1], step))


def _in_call(view: RunView, call_id: str, **changes: object) -> RunView:
    calls = tuple(
        msgspec.structs.replace(call, **changes) if call.id == call_id else call
        for call in (view.steps[-1].calls if view.steps else ())
    )
    return _in_last(view, calls=calls)
