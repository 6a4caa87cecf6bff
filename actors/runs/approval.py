"""Approval: a question to a person about one call, bound to its exact arguments, and the answer.

Not responsible for keeping questions, nor for waiting: see `approvals.py`. Invariant: an answer counts only
for the hash it was given for; what runs are the arguments that were shown, or those that the person wrote.
"""

from enum import StrEnum
from hashlib import sha256

import msgspec

from ...bus.subjects import DEFAULT_TENANT
from ..models.port import JsonObject
from .schema import misfit

TTL = 86_400.0  # seconds: a day


class Verdict(StrEnum):
    """What a person, or the passing of time, said.

    About a call that may have happened (`unknown`): accept runs it, edit runs it with other arguments,
    respond gives its result, deny says that it failed.
    """

    ACCEPT = "accept"
    EDIT = "edit"
    RESPOND = "respond"
    DENY = "deny"
    EXPIRE = "expire"


ANSWERS = tuple(verdict for verdict in Verdict if verdict is not Verdict.EXPIRE)  # what people may say


class OnExpiry(StrEnum):
    """What follows when nobody answered in time."""

    DENY = "deny"
    ESCALATE = "escalate"
    HALT = "halt"


class About(StrEnum):
    """What is asked: whether it may run, or whether it happened."""

    APPROVAL = "approval"
    UNKNOWN = "unknown"


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked.

    Attributes:
        id: Names it everywhere.
        hash: SHA-256 of run, call, tool and arguments: what an answer is bound to.
        reasoning: What the model said when it wanted the call; with `unknown`, what is known.
        asked_ms: Wall clock; it expires `ttl` seconds later.
        reminders: Seconds after asking at which it is said again.
        escalate_to: Who is named when it expires with `escalate`.
        schema: What the arguments must fit, also those of an edit.
    """

    id: str
    run: str
    agent: str
    call: str
    tool: str
    arguments: JsonObject
    hash: str
    about: About = About.APPROVAL
    risk: str = ""
    reasoning: str = ""
    approver: str = ""
    asked_ms: int = 0
    ttl: float = TTL
    reminders: tuple[float, ...] = (3600.0,)
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: str = ""
    schema: JsonObject = {}

    @property
    def tenant(self) -> str:
        """The tenant of its run."""
        tenant, colon, _ = self.run.partition("/")[0].partition(":")
        return tenant if colon else DEFAULT_TENANT


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer.

    Attributes:
        hash: The question's hash, as the one who answers saw it.
        arguments: With `edit`: the arguments to run with.
        text: With `respond`: what the model is told as the result; with `deny`: why.
    """

    verdict: Verdict
    hash: str
    by: str = ""
    arguments: JsonObject | None = None
    text: str = ""


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question as it is kept: with its answer, once there is one, and the reminders that were sent.

    Attributes:
        reminded: Reminders that were sent, or passed by, since it was asked or escalated.
        escalated: It expired once and went to `escalate_to` for another `ttl`.
    """

    question: Question
    decision: Decision | None = None
    reminded: int = 0
    escalated: bool = False


class Remind(msgspec.Struct, frozen=True):
    """Say it again; with this one so many reminders are sent."""

    number: int


class Escalate(msgspec.Struct, frozen=True):
    """Ask somebody else, for as long again."""

    to: str


class Expire(msgspec.Struct, frozen=True):
    """Nobody answered in time."""


Due = Remind | Escalate | Expire


def due(pending: Pending, now: float) -> Due | None:
    """What time has made of a question; `now` is wall clock, seconds since 1970. None: nothing yet.

    Reminders that were slept through are sent as one.
    """
    question = pending.question
    if pending.decision is not None:
        return None
    began = question.asked_ms / 1000 + (question.ttl if pending.escalated else 0.0)
    if now >= began + question.ttl:
        escalates = question.on_expiry is OnExpiry.ESCALATE and question.escalate_to and not pending.escalated
        return Escalate(question.escalate_to) if escalates else Expire()
    passed = sum(now >= began + after for after in question.reminders)
    return Remind(passed) if passed > pending.reminded else None


def passed(pending: Pending, what: Due) -> Pending:
    """The question after what was due is done."""
    replace = msgspec.structs.replace
    match what:
        case Remind(number):
            return replace(pending, reminded=number)
        case Escalate():
            return replace(pending, escalated=True, reminded=0)
        case Expire():
            return replace(pending, decision=Decision(verdict=Verdict.EXPIRE, hash=pending.question.hash))


def refusal(pending: Pending, decision: Decision, now: float) -> str:
    """Why an answer does not count; empty: it does."""
    question = pending.question
    if pending.decision is not None:
        by = pending.decision.by or "somebody"
        return f"{question.id} was answered by {by}: {pending.decision.verdict}"
    if decision.hash != question.hash:
        return f"{question.id}: the answer is for other arguments; look at it again"
    if decision.verdict is Verdict.EXPIRE:
        return f"{question.id}: only time lets a question expire; deny it"
    if isinstance(due(pending, now), Expire):
        return f"{question.id} expired; nothing was done"
    if decision.verdict is Verdict.EDIT:
        return _unfit(question, decision.arguments)
    return ""


def _unfit(question: Question, arguments: JsonObject | None) -> str:
    """Why an edit does not count: the question stays open, and whoever answers may mend it."""
    if arguments is None:
        return f"{question.id}: edit needs the new arguments"
    wrong = misfit(arguments, question.schema) if question.schema else ""
    return f"{question.id}: the new arguments do not fit {question.tool}: {wrong}" if wrong else ""


def digest(run: str, call: str, tool: str, arguments: JsonObject) -> str:
    """What an answer is bound to."""
    told = msgspec.json.encode([run, call, tool, arguments], order="sorted")
    return sha256(told).hexdigest()


def question_id(binding: str, about: About, attempt: int) -> str:
    """A name for a question: the same whenever the same is asked."""
    return sha256(f"{binding}/{about}/{attempt}".encode()).hexdigest()[:16]
