"""What a run answers: its data, its summary, and what is wrong with an answer.

Pure. Not responsible for when a run ends: see `plan.py`. Invariant: an answer that does not fit what was
asked for is never a success.
"""

from collections import Counter
from typing import Any

import msgspec

from ...bus.errors import Failure
from ...bus.task import Metrics, Result, Status
from ..errors import Cancelled
from ..models.port import Json, JsonObject, ToolCall, ToolResult, Turn
from .conversation import words
from .record import Why
from .schema import misfit
from .state import RunState

SUMMARY_LIMIT = 2000  # characters


def objection(turn: Turn, output: JsonObject | None) -> str:
    """What is wrong with an answer, in words for the model that gave it; empty: nothing."""
    text = words(turn)
    if not text.strip():
        return "Your answer was empty. Give the answer, or call a tool."
    if output is None:
        return ""
    try:
        wrong = misfit(read_json(text), output)
    except msgspec.DecodeError as error:
        wrong = str(error)
    return f"Your answer must be JSON that fits the schema, and nothing else: {wrong}." if wrong else ""


def read_json(text: str) -> Json:
    """The JSON of an answer, which some models put between fences. Raises `msgspec.DecodeError`."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare.strip("`").removeprefix("json")
    value: Json = msgspec.json.decode(bare)
    return value


def result_of(
    state: RunState, why: Why, status: Status, error: str, limit: str, *, structured: bool
) -> Result:
    """How a run ended, with what there is."""
    spent = state.held
    return Result(
        status=status,
        data=_data(state, why, structured=structured),
        error=error or None,
        failure=_failure(state, why, error, limit) if error else None,
        metrics=Metrics(
            execution_time_ms=int(spent.seconds * 1000),
            tokens_used=spent.tokens,
            usd=spent.usd if state.priced else None,
            steps=spent.steps,
            tool_calls=spent.tool_calls,
        ),
    )


def summary(state: RunState, why: Why, error: str) -> str:
    """What the next run of the same objective is told."""
    calls = Counter(part.name for turn in state.turns for part in turn.parts if isinstance(part, ToolCall))
    told = [f"It ended: {why}. {error}".strip()]
    if calls:
        told.append("It called " + ", ".join(f"{name} ({times})" for name, times in calls.items()) + ".")
    if state.text:
        told.append(f"Its last words: {state.text}")
    return "\n".join(told)[:SUMMARY_LIMIT]


def _failure(state: RunState, why: Why, error: str, limit: str) -> Failure:
    if why in (Why.MODEL, Why.REFUSED) and state.failure is not None:
        return state.failure
    fields = {"limit": limit} if limit else {}
    code = Cancelled.code if why is Why.CANCELLED else f"run_{why}"
    return Failure(code=code, message=error, fields=fields)


def _data(state: RunState, why: Why, *, structured: bool) -> Any:
    """The answer: JSON where it was asked for; of a run cut short its newest words, else newest results."""
    if structured and why is Why.COMPLETED:
        return read_json(state.text)
    return state.text or newest_results(state.turns) or None


def newest_results(turns: tuple[Turn, ...], *, failed: bool = False) -> list[str]:
    """What the newest calls that worked, or that failed, returned."""
    for turn in reversed(turns):
        results = [part for part in turn.parts if isinstance(part, ToolResult) and part.is_error is failed]
        if results:
            return [result.content for result in results]
    return []
