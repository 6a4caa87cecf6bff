"""Call: one tool call of a run, how far it has come, and what it costs the shared account.

Not responsible for what becomes of it: see `clearance.py`. Invariant: its id is its place in the run, so that
no two calls of a run ever share one, whatever ids the model gives.
"""

from enum import StrEnum

import msgspec

from ..models.port import JsonObject, ToolCall
from .approval import Decision, Question
from .budget import NOTHING, Cost
from .delegation import Grant


class Stage(StrEnum):
    """How far a call has come."""

    WANTED = "wanted"
    WAITING = "waiting"
    CLEARED = "cleared"
    INTENDED = "intended"
    SETTLED = "settled"


class Bill(msgspec.Struct, frozen=True):
    """What a call cost the shared account; `key` is `step/call` or `step/model/try`."""

    key: str
    cost: Cost


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of the latest answer.

    Attributes:
        id: `step/number`: unlike the model's own ids never twice in a run.
        arguments: What it runs with: the model's, or a person's.
        question: What is asked about it.
        decision: What was answered, until it is acted upon.
        edited_by: The person who changed the arguments.
        content: What the model reads of it, once it is settled.
    """

    id: str
    wanted: ToolCall
    arguments: JsonObject
    stage: Stage = Stage.WANTED
    attempt: int = 0
    reserved: Cost = NOTHING
    grant: Grant | None = None
    question: Question | None = None
    decision: Decision | None = None
    edited_by: str = ""
    content: str = ""
    failed: bool = False


def bill(call: Call, cost: Cost) -> Bill:
    """What a tool call costs the shared account: what a delegate spends, it settles itself."""
    return Bill(call.id, Cost(tool_calls=cost.tool_calls) if call.grant else cost)
