"""Approvals: list and show the questions that runs put to people, and answer them.

Not responsible for what an answer does to its run. Invariant: an answer is for the arguments that were shown.
"""

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .answer import Answer, columns
from .connection import common, connected

if TYPE_CHECKING:
    from ...actors.runs.approval import Pending
    from ..client import Client

MAY_HAVE = (
    "nobody knows whether it happened: accept runs it AGAIN, respond tells its result, deny that it failed"
)
FEW = 60  # characters of arguments in a list

_question = click.argument("question", metavar="ID")
_hash = click.option(
    "--hash", "seen", default="", metavar="HASH", help="Only if it still asks for just this."
)
_by = click.option("--by", default="", metavar="NAME", help="Who answers; your login name otherwise.")


@click.group(short_help="Questions of runs to people.")
def approvals() -> None:
    """Approvals: what runs may not do before a person has said so.

    An answer counts once, for the arguments that were shown, and until the question expires; its run goes on
    at once, or when a worker carries it again.
    """


@approvals.command(name="ls")
@common
@click.option("--all", "every", is_flag=True, help="Also those that were answered.")
def list_questions(answer: Answer, *, every: bool) -> None:
    """List open questions, oldest first."""
    from ..approval_desk import described

    found = connected(answer, lambda client: client.approvals(open_only=not every))
    if not found:
        answer.note("nobody is asked anything")
    now = time.time()
    head = ("ID", "RUN", "TOOL", "RISK", "ARGUMENTS", "LEFT" if not every else "STATE")
    rows = [head, *(_row(pending, now, every=every) for pending in found)]
    answer.data([described(pending, now) for pending in found], columns(rows) if found else "")


@approvals.command()
@common
@_question
def show(answer: Answer, *, question: str) -> None:
    """Show a question: the exact arguments, why the agent wants it, and what happens when nobody answers."""
    pending = connected(answer, lambda client: client.desk.find(question))
    _tell(answer, pending)


@approvals.command()
@common
@_question
@_hash
@_by
def accept(answer: Answer, *, question: str, seen: str, by: str) -> None:
    """Let the call run as it was shown. One that may have happened runs once more."""
    _answer(answer, question, "accept", seen=seen, by=by)


@approvals.command()
@common
@_question
@click.option("--arguments", required=True, metavar="JSON", help="What it runs with; @FILE reads a file.")
@_hash
@_by
def edit(answer: Answer, *, question: str, arguments: str, seen: str, by: str) -> None:
    """Let the call run with other arguments; the agent is told so."""
    _answer(answer, question, "edit", arguments=read_arguments(arguments), seen=seen, by=by)


@approvals.command()
@common
@_question
@click.argument("text")
@_hash
@_by
def respond(answer: Answer, *, question: str, text: str, seen: str, by: str) -> None:
    """Do not let it run: the agent reads TEXT as its result. So also where it had happened."""
    _answer(answer, question, "respond", text=text, seen=seen, by=by)


@approvals.command()
@common
@_question
@click.argument("text", required=False, default="")
@_hash
@_by
def deny(answer: Answer, *, question: str, text: str, seen: str, by: str) -> None:
    """Do not let it run: the agent reads that it was denied, and TEXT."""
    _answer(answer, question, "deny", text=text, seen=seen, by=by)


def _answer(
    answer: Answer,
    question: str,
    verdict: str,
    *,
    seen: str,
    by: str,
    arguments: JsonObject | None = None,
    text: str = "",
) -> None:
    name = by or login_name()

    async def said(client: "Client") -> "Pending":
        return await client.answer(question, verdict, seen=seen, arguments=arguments, text=text, by=name)

    _tell(answer, connected(answer, said))


def read_arguments(text: str) -> JsonObject:
    """A JSON object from a command line, or from the file that `@FILE` names. Raises UsageError."""
    import msgspec

    try:
        body = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(body, type=JsonObject)
    except OSError as error:
        raise click.UsageError(f"cannot read {text[1:]}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"--arguments must be a JSON object: {error}") from error


def login_name() -> str:
    """Who sits at this terminal, as far as the system knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without users
        return "somebody"


def _tell(answer: Answer, pending: "Pending") -> None:
    from ..approval_desk import described

    now = time.time()
    answer.data(described(pending, now), "\n".join(lines(pending, now)))


def lines(pending: "Pending", now: float) -> list[str]:
    """A question in full; nothing of its arguments is left out or masked: that is what an answer allows."""
    import msgspec

    from ..views.redaction import printable

    question = pending.question
    asks = MAY_HAVE if question.about == "unknown" else "may it run?"
    rows = [
        ("question", f"{question.id}: {asks}"),
        ("run", question.run),
        ("tool", f"{question.tool}{f', risk {question.risk}' if question.risk else ''}"),
        ("asks", question.approver or "anybody"),
        ("because", " ".join(question.reasoning.split())),
        ("expires", _expiry(pending, now)),
        ("state", _state(pending)),
        ("hash", question.hash),
    ]
    arguments = msgspec.json.format(msgspec.json.encode(question.arguments)).decode()
    return [printable(columns([row for row in rows if row[1]])), "arguments", printable(arguments)]


def _row(pending: "Pending", now: float, *, every: bool) -> tuple[str, ...]:
    from ..views.run_lines import brief, safe

    question = pending.question
    waits = f"{left(pending, now)} left" if every else left(pending, now)
    last = waits if pending.decision is None else _state(pending)
    risk = "may have happened" if question.about == "unknown" else question.risk
    return question.id, safe(question.run), safe(question.tool), risk, brief(question.arguments, FEW), last


def _state(pending: "Pending") -> str:
    decision = pending.decision
    if decision is None:
        return f"escalated to {pending.question.escalate_to}" if pending.escalated else "open"
    by = f" by {decision.by}" if decision.by else ""
    said = "expired" if decision.verdict == "expire" else str(decision.verdict)
    return f"{said}{by}{f': {decision.text}' if decision.text else ''}"


def _expiry(pending: "Pending", now: float) -> str:
    if pending.decision is not None:
        return ""
    question = pending.question
    escalates = question.on_expiry == "escalate" and not pending.escalated
    then = {
        "deny": "it is denied",
        "halt": "the run ends with what there is",
        "escalate": f"{question.escalate_to} is asked" if escalates else "it is denied",
    }[question.on_expiry]
    return f"in {left(pending, now)}; then {then}"


def left(pending: "Pending", now: float) -> str:
    """How much time a question has, for people."""
    from ..approval_desk import expires_ms

    seconds = max(0, int(expires_ms(pending) / 1000 - now))
    hours, minutes = divmod(seconds // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
