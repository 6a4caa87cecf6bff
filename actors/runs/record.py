"""What a run writes down: each kind of record, with its fields.

A record stands before what it says takes effect; what it says happened is never made again. Not responsible
for the chain they stand in: see `storage/chain.py`. Fields are added with defaults and never renamed.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from ...bus.errors import Failure
from ...bus.task import Result, Task
from ..models.port import JsonObject, ModelResponse
from .approval import Decision, Question
from .budget import NOTHING, Budget, Cost
from .delegation import Grant
from .effect import EffectClass, Risk


class Why(StrEnum):
    """How a run can end."""

    COMPLETED = "completed"
    BUDGET = "budget"
    ACCOUNT = "account"  # the shared budget
    PRICE = "price"  # money is limited, and what the model costs is not known
    DOOM_LOOP = "doom_loop"
    NO_PROGRESS = "no_progress"
    REFUSED = "refused"
    CONTEXT = "context"
    MODEL = "model"
    MAX_TOKENS = "max_tokens"
    OUTPUT = "output"  # the answer does not fit the schema, or is empty
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    TOOL = "tool"  # the call that it was failed
    FAULT = "fault"  # it could not be carried on


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every record says.

    Attributes:
        seconds: Wall time since the record before, while the run was carried.
    """

    seconds: float = 0.0


class Started(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="started"):
    """The run begins.

    Attributes:
        agent: Who carries it.
        definition: Hash of the agent's definition: the run is pinned to it.
        budget: What it may spend: the agent's own and the caller's slice, whichever is lower.
        before: What the previous run of the same objective left as its summary.
        at_ms: Wall clock, for people.
        risk: The highest risk that needs no approval.
        account: The shared budget it also pays from; empty: none.
        parent: The run that delegated it, `agent/task`.
        tools: The only tools that may be called for this task; None: all that the agent has.
    """

    agent: str
    task_id: str
    task: Task
    definition: str
    budget: Budget
    before: str = ""
    reply_to: str = ""
    correlation_id: str = ""
    at_ms: int = 0
    parent: str = ""
    tools: tuple[str, ...] | None = None
    risk: Risk = Risk.MEDIUM
    account: str = ""


class Requested(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="requested"):
    """The model is about to be asked for turn `step`; the worst case is reserved."""

    step: int
    model: str
    reserved: Cost
    priced: bool = True


class Answered(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="answered"):
    """The model answered; the reservation is settled with what it cost.

    Attributes:
        priced: Whether all of the cost in US dollars is known.
    """

    step: int
    response: ModelResponse
    cost: Cost
    priced: bool = True


class Unanswered(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="unanswered"):
    """The model gave no answer; `cost` is what may have been billed all the same.

    Attributes:
        failure: None: the process died, or its time was over, before there was an answer.
    """

    step: int
    failure: Failure | None = None
    cost: Cost = NOTHING
    priced: bool = True


class Objected(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="objected"):
    """The answer was none: the model is told what is wrong with it, once."""

    text: str


class Compacted(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="compacted"):
    """Tool results before the newest `keep` turns were cut, because the model's window is full."""

    keep: int


class Intended(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="intended"):
    """A tool is about to run with these arguments.

    Attributes:
        key: `run/step/call`: the same on every attempt, for the tool's own idempotency.
        attempt: 1, or more after a crash where the effect class or a person allows it.
        grant: What a delegate is allowed.
    """

    call: str
    tool: str
    arguments: JsonObject
    key: str
    effect: EffectClass
    reserved: Cost
    attempt: int = 1
    grant: Grant | None = None


class Undone(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="undone"):
    """What an interrupted call may have done is taken back; it may run again."""

    call: str


class Done(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A tool returned; this is what the model reads."""

    call: str
    content: str
    cost: Cost = NOTHING
    priced: bool = True


class Failed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="failed"):
    """A tool did not run, or raised; this is what the model reads instead of a result.

    Attributes:
        limit: The limit that it would have passed: the run ends with this step.
        account: That limit is one of the shared budget.
    """

    call: str
    error: str
    cost: Cost = NOTHING
    priced: bool = True
    limit: str = ""
    account: bool = False


class Unknown(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="unknown"):
    """It is open whether a call happened that must not happen twice: a person is asked."""

    call: str
    question: Question


class Asked(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="asked"):
    """A call waits for approval; nothing runs, and no process waits."""

    call: str
    question: Question


class Decided(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="decided"):
    """A question was answered, by a person or by its expiry."""

    call: str
    decision: Decision


class Ended(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="ended"):
    """The run is over: completed, partial or failed, with its result.

    Attributes:
        limit: The limit that ended it, where one did.
        summary: What the next run of the same objective is told.
    """

    why: Why
    result: Result
    summary: str = ""
    limit: str = ""


RunFact: TypeAlias = Started | Requested | Answered | Unanswered | Objected | Compacted | Ended
CallFact: TypeAlias = Intended | Undone | Done | Failed | Unknown | Asked | Decided
RunRecord: TypeAlias = RunFact | CallFact
