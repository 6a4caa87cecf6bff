"""RunState: where a run stands, folded from its records and from nothing else.

Pure: two workers that read the same records see the same state. Not responsible for what to do next: see
`plan.py`. Invariant: what a record says was done is in the state, so it is not done again.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import assert_never

import msgspec

from ...bus.errors import Failure
from ..models.port import Role, StopReason, ToolResult, Turn, user
from .approval import Verdict
from .budget import NOTHING, Budget, Cost
from .call import Bill, Call, Stage, bill
from .conversation import elide, opening, words
from .effect import Risk
from .order import ordered
from .record import (
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

REMEMBERED = 8  # steps whose mark is kept, to see a doom loop
_SILENT = (StopReason.REFUSAL, StopReason.CONTEXT_OVERFLOW)  # calls of such an answer are not made


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a run.

    Attributes:
        step: Turns of the model so far.
        asking: The model call that is under way.
        tries: Model calls since the last answer.
        turns: The conversation as the model sees it.
        calls: Tool calls of the latest answer, in order, until all are settled.
        stop: Why the latest answer stopped.
        prompt: Tokens of the conversation up to the latest answer.
        priced: Whether all that was spent has a known price.
        bills: What was settled since the last request; the shared account may not know it yet.
        marks: Calls and results of the newest steps, as hashes.
        fruitless: Steps in a row of which no call worked.
        errors: Model calls in a row without an answer.
        refused: The call that did not fit the budget.
    """

    started: Started | None = None
    step: int = 0
    asking: Requested | None = None
    tries: int = 0
    turns: tuple[Turn, ...] = ()
    calls: tuple[Call, ...] = ()
    stop: StopReason | None = None
    prompt: int = 0
    spent: Cost = NOTHING
    priced: bool = True
    bills: tuple[Bill, ...] = ()
    marks: tuple[str, ...] = ()
    fruitless: int = 0
    errors: int = 0
    objected: int = 0
    failure: Failure | None = None
    refused: Failed | None = None
    ended: Ended | None = None

    @property
    def budget(self) -> Budget:
        """What it may spend."""
        return self.started.budget if self.started else Budget()

    @property
    def risk(self) -> Risk:
        """The highest risk that needs no approval."""
        return self.started.risk if self.started else Risk.LOW

    @property
    def open_calls(self) -> tuple[Call, ...]:
        """Calls that are not settled."""
        return tuple(call for call in self.calls if call.stage is not Stage.SETTLED)

    @property
    def held(self) -> Cost:
        """What is spent, and what is reserved for calls that are not settled."""
        asking = self.asking.reserved if self.asking else NOTHING
        return sum((call.reserved for call in self.open_calls), self.spent + asking)

    @property
    def text(self) -> str:
        """The newest words of the model."""
        said = (words(turn) for turn in reversed(self.turns) if turn.role is Role.ASSISTANT)
        return next(filter(None, said), "")

    @property
    def owed(self) -> Iterator[Bill]:
        """What the shared account may not know yet; of a run that ended, also what it never settled."""
        yield from self.bills
        if self.ended is not None:
            yield Bill(model_key(self), self.asking.reserved if self.asking else NOTHING)
            yield from (bill(call, call.reserved) for call in self.open_calls)

    def call(self, call_id: str) -> Call:
        """The call of that id in the latest answer."""
        return next(call for call in self.calls if call.id == call_id)


def fold(state: RunState, record: RunRecord) -> RunState:
    """The state after one more record."""
    replace = msgspec.structs.replace
    state = replace(state, spent=state.spent + Cost(seconds=record.seconds))
    match record:
        case Started():
            return _started(state, record)
        case Requested():
            return replace(state, asking=record, tries=state.tries + 1, bills=())
        case Answered():
            return _answered(state, record)
        case Unanswered():
            return _unanswered(state, record)
        case Objected():
            return replace(
                state, turns=(*state.turns, user(record.text)), objected=state.objected + 1, stop=None
            )
        case Compacted():
            return replace(
                state, turns=elide(state.turns, record.keep), prompt=0, stop=None, failure=None, errors=0
            )
        case Ended():
            return replace(state, ended=record)
        case _:
            return _fold_call(state, record)


def _started(state: RunState, record: Started) -> RunState:
    """The run as it begins: with a conversation, or with the one call that was ordered."""
    order = ordered(record.task)
    calls = (Call(id="0/1", wanted=order, arguments=order.arguments),) if order else ()
    opened = (opening(record.task, record.before),)
    return msgspec.structs.replace(state, started=record, turns=opened, calls=calls)


def model_key(state: RunState) -> str:
    """The key of the model call that is under way, or comes next."""
    tries = state.tries if state.asking else state.tries + 1
    return f"{state.step + 1}/model/{tries}"


def _answered(state: RunState, record: Answered) -> RunState:
    response, usage = record.response, record.response.usage
    silent = response.stop in _SILENT
    calls = tuple(
        Call(id=f"{record.step}/{number}", wanted=wanted, arguments=wanted.arguments)
        for number, wanted in enumerate(() if silent else response.tool_calls, 1)
    )
    overflow = response.stop is StopReason.CONTEXT_OVERFLOW
    return msgspec.structs.replace(
        state,
        step=record.step,
        turns=state.turns if overflow else (*state.turns, response.turn()),
        calls=calls,
        stop=response.stop,
        prompt=usage.input + usage.output if usage else 0,
        spent=state.spent + record.cost,
        priced=state.priced and record.priced,
        bills=(*state.bills, Bill(model_key(state), record.cost)),
        asking=None,
        tries=0,
        errors=0,
        failure=None,
    )


def _unanswered(state: RunState, record: Unanswered) -> RunState:
    return msgspec.structs.replace(
        state,
        spent=state.spent + record.cost,
        priced=state.priced and record.priced,
        bills=(*state.bills, Bill(model_key(state), record.cost)),
        asking=None,
        errors=state.errors + (record.failure is not None),
        failure=record.failure,
    )


def _fold_call(state: RunState, record: CallFact) -> RunState:
    match record:
        case Intended():
            return _with(
                state,
                record.call,
                stage=Stage.INTENDED,
                attempt=record.attempt,
                arguments=record.arguments,
                reserved=record.reserved,
                grant=record.grant,
                decision=None,  # it allowed this attempt, and no other
            )
        case Undone():
            return _with(state, record.call, stage=Stage.CLEARED)
        case Done() | Failed():
            return _settled(state, record)
        case Unknown() | Asked():
            return _with(state, record.call, stage=Stage.WAITING, question=record.question)
        case Decided():
            return _decided(state, record)
        case _:
            assert_never(record)


def _decided(state: RunState, record: Decided) -> RunState:
    """An answer for the question's hash clears the call; any other changes nothing."""
    call, decision = state.call(record.call), record.decision
    if call.question is None or decision.hash != call.question.hash:
        return state
    cleared = _with(state, record.call, stage=Stage.CLEARED, decision=decision)
    if decision.verdict is Verdict.EDIT and decision.arguments is not None:
        by = decision.by or "a person"
        return _with(cleared, record.call, arguments=decision.arguments, edited_by=by)
    return cleared


def _settled(state: RunState, record: Done | Failed) -> RunState:
    """One call is settled; when all are, their results are the next turn, in the order of the calls."""
    failed, call = isinstance(record, Failed), state.call(record.call)
    content = record.error if isinstance(record, Failed) else record.content
    if call.edited_by:
        told = msgspec.json.encode(call.arguments).decode()
        content = f"[{call.edited_by} changed the arguments to {told}]\n{content}"
    refused = record if isinstance(record, Failed) and record.limit else state.refused
    state = msgspec.structs.replace(
        _with(state, record.call, stage=Stage.SETTLED, content=content, failed=failed),
        spent=state.spent + record.cost,
        priced=state.priced and record.priced,
        bills=(*state.bills, bill(call, record.cost)),
        refused=refused,
    )
    return state if state.open_calls else _observed(state)


def _observed(state: RunState) -> RunState:
    """All calls of the answer are settled."""
    results = tuple(
        ToolResult(id=call.wanted.id, content=call.content, is_error=call.failed) for call in state.calls
    )
    fruitless = all(call.failed for call in state.calls)
    return msgspec.structs.replace(
        state,
        turns=(*state.turns, user(*results)),
        calls=(),
        marks=(*state.marks, _mark(state.calls))[-REMEMBERED:],
        fruitless=state.fruitless + 1 if fruitless else 0,
    )


def _mark(calls: tuple[Call, ...]) -> str:
    """What a step did and what came of it, whatever the order of its calls."""
    told = sorted(
        msgspec.json.encode([call.wanted.name, call.arguments, call.content], order="sorted")
        for call in calls
    )
    return sha256(b"\n".join(told)).hexdigest()[:16]


def _with(state: RunState, call_id: str, **changes: object) -> RunState:
    calls = tuple(
        msgspec.structs.replace(call, **changes) if call.id == call_id else call for call in state.calls
    )
    return msgspec.structs.replace(state, calls=calls)
