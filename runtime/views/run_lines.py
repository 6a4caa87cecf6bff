"""RunLines: one line of text for each record of a run, as `actorium run logs` prints them.

Pure. Not responsible for the picture of a whole run: see `live_tree.py`. Invariant: a line holds no secret
that can be recognised, and no character that could command a terminal.
"""

import time
from typing import assert_never

import msgspec

from ...actors.runs.approval import About
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
from ...bus.value import Json
from .redaction import printable, redact, redact_text
from .run_reader import Told

SHORT = 160  # characters of arguments, words and results


def line(told: Told) -> str:
    """A record as a line: time, run, what happened."""
    seconds, milliseconds = divmod(told.at_ms, 1000)
    at = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{milliseconds:03d}"
    text = says(told.record) if told.record is not None else "owner     a new owner took it over"
    return f"{at} {'  ' * told.depth}{safe(told.run, 80)} {text}"


def says(record: RunRecord) -> str:
    """What a record says: a word and its particulars."""
    match record:
        case Started(task=task):
            return f"started   {brief(task.spec)}"
        case Requested(step=step, model=model):
            return f"step {step:<4} asks {safe(model)}"
        case Answered(step=step, cost=cost, response=response):
            wants = "".join(f", wants {safe(call.name, 64)}" for call in response.tool_calls)
            return f"step {step:<4} answered: {amount(cost.tokens, cost.usd)}{wants}"
        case Unanswered(step=step, failure=failure):
            return f"step {step:<4} no answer: {safe(failure.message) if failure else 'the process died'}"
        case Objected(text=text):
            return f"objected  {safe(text)}"
        case Compacted(keep=keep):
            return f"compacted old results are cut, the newest {keep} turns stay"
        case Ended(why=why, result=result):
            return f"ended     {result.status}: {why}{safe(f', {result.error}' if result.error else '')}"
        case _:
            return _says_of_call(record)


def _says_of_call(record: CallFact) -> str:
    match record:
        case Intended(call=call, tool=tool, arguments=arguments, attempt=attempt):
            again = f" attempt {attempt}" if attempt > 1 else ""
            return f"tool      {call} {safe(tool)} {brief(arguments)}{again}"
        case Undone(call=call):
            return f"undone    {call} was taken back, to run again"
        case Done(call=call, content=content):
            return f"done      {call} {safe(content)}"
        case Failed(call=call, error=error):
            return f"failed    {call} {safe(error)}"
        case Asked(question=question) | Unknown(question=question):
            about = (
                "it may have happened; accept runs it again"
                if question.about is About.UNKNOWN
                else f"risk {question.risk or 'unknown'}"
            )
            return f"asks      {question.id} {safe(question.tool)} {brief(question.arguments)} ({about})"
        case Decided(call=call, decision=decision):
            return f"decided   {call} {decision.verdict} by {safe(decision.by or 'somebody')}"
        case _:
            assert_never(record)


def amount(tokens: int, usd: float, *, priced: bool = True) -> str:
    """Tokens and money, for people."""
    money = f", ${usd:.4f}" if usd else ""
    return f"{tokens:,} tokens{money}{'' if priced else ' (price not known)'}"


def brief(value: Json, length: int = SHORT) -> str:
    """A JSON value in one line, without its secrets."""
    if isinstance(value, str):
        return safe(value, length)
    return safe(msgspec.json.encode(redact(value)).decode(), length)


def safe(text: str, length: int = SHORT) -> str:
    """A text in one line, without its secrets."""
    flat = printable(" ".join(redact_text(text).split()))
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"
