"""Dlq: look at dead letters, give them to their agents again, or drop them."""

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .answer import Answer, Exit, columns, end, exit_status
from .connection import common, connected, must_exist, read_agent

if TYPE_CHECKING:
    from ...bus.dead_letters import DeadLetter, DeadLetters
    from ..client import Client

PAGE = 256
EVERY = "*"  # agents


def _of(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """Whose: an agent's, or everybody's."""
    return EVERY if value is None else read_agent(value)


_agent = click.option("--agent", metavar="AGENT", callback=_of, help="Only those of one agent.")
_number = click.argument("number", type=click.IntRange(1), metavar="NUMBER")
_numbers = click.argument("numbers", type=click.IntRange(1), nargs=-1, metavar="[NUMBER]...")
_every = click.option("--all", "every", is_flag=True, help="All there are now.")
_yes = click.option("--yes", is_flag=True, help="Do not ask whether several are meant.")

Act = Callable[["DeadLetters", int], Awaitable[JsonObject]]


@click.group(short_help="Messages that could not be handled.")
def dlq() -> None:
    """Dead letters: messages that could not be handled, until somebody redrives or drops them."""


@dlq.command(name="ls")
@common
@_agent
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
def list_letters(answer: Answer, *, agent: str, limit: int) -> None:
    """List dead letters, oldest first."""
    found = connected(answer, lambda client: _page(client, agent, 0, limit))
    rows = [("NUMBER", "AGENT", "REASON", "TRIED", "AT", "ERROR"), *map(_row, found)]
    if not found:
        answer.note("there are no dead letters")
    answer.data(found, columns(rows) if found else "")


@dlq.command()
@common
@_number
def show(answer: Answer, *, number: int) -> None:
    """Show one dead letter with its whole body."""
    from ..views.redaction import printable

    letter, body = connected(answer, lambda client: client.dead_letters.show(number))
    text = body.decode(errors="replace")
    head = columns([("agent", letter.agent), ("reason", letter.reason), ("error", letter.error)])
    marks = "\n".join(f"{name}: {value}" for name, value in letter.headers.items())
    answer.data(_with_body(letter, text), printable(f"{head}\n{marks}\n\n{text}"))


@dlq.command()
@common
@_numbers
@_every
@_agent
@_yes
def redrive(answer: Answer, *, numbers: Sequence[int], every: bool, agent: str, yes: bool) -> None:
    """Give dead letters to their agents again, as new tasks, and remove them."""

    async def again(letters: "DeadLetters", number: int) -> JsonObject:
        return {"seq": number, "task_id": await letters.redrive(number)}

    _each(answer, again, _meant(answer, numbers, every=every, agent=agent, yes=yes, verb="redrive"))


@dlq.command()
@common
@_numbers
@_every
@_agent
@_yes
def drop(answer: Answer, *, numbers: Sequence[int], every: bool, agent: str, yes: bool) -> None:
    """Remove dead letters for good."""

    async def away(letters: "DeadLetters", number: int) -> JsonObject:
        await letters.drop(number)
        return {"seq": number, "dropped": True}

    _each(answer, away, _meant(answer, numbers, every=every, agent=agent, yes=yes, verb="drop"))


def _meant(
    answer: Answer, numbers: Sequence[int], *, every: bool, agent: str, yes: bool, verb: str
) -> list[int]:
    """The dead letters a command line names; more than one only after a yes."""
    if bool(numbers) == every:
        raise click.UsageError("give the NUMBERs that `actorium dlq ls` shows, or --all")
    if numbers and agent != EVERY:
        raise click.UsageError("--agent chooses among --all; a NUMBER is one dead letter of one agent")
    chosen = connected(answer, lambda client: _numbers_of(client, agent)) if every else list(numbers)
    if len(chosen) > 1 and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"to {verb} {len(chosen)} dead letters say --yes")
        click.confirm(f"{verb} {len(chosen)} dead letters?", abort=True, err=True)
    return chosen


async def _numbers_of(client: "Client", agent: str) -> list[int]:
    """Those there are now: what dies again while we redrive is left for the next time."""
    found: list[int] = []
    while True:
        page = await _page(client, agent, found[-1] if found else 0, PAGE)
        found += [letter.seq for letter in page]
        if len(page) < PAGE:
            return found


async def _page(client: "Client", agent: str, after: int, limit: int) -> "Sequence[DeadLetter]":
    """Dead letters, oldest first; of nobody only where the agent exists: its name may be mistyped."""
    found = await client.dead_letters.list(agent=agent, after=after, limit=limit)
    if not (found or after or agent == EVERY):
        await must_exist(client, agent)
    return found


def _each(answer: Answer, act: Act, numbers: list[int]) -> None:
    """Do something with each, and go on behind one that cannot be."""
    done = connected(answer, lambda client: _done(client, act, numbers))
    for told in done:
        if failure := told.get("error"):
            answer.note(f"error: {failure['message']}")
    good = [told for told in done if "error" not in told]
    answer.data(done, "\n".join(" ".join(map(str, told.values())) for told in good))
    codes = [told["error"]["code"] for told in done if "error" in told]
    end(exit_status(codes[0]) if codes else Exit.OK)


async def _done(client: "Client", act: Act, numbers: list[int]) -> list[JsonObject]:
    import msgspec

    from ...bus.errors import ActoriumError

    done = []
    for number in numbers:
        try:
            done.append(await act(client.dead_letters, number))
        except ActoriumError as error:
            done.append({"seq": number, "error": msgspec.to_builtins(error.failure())})
    return done


def _row(letter: "DeadLetter") -> tuple[str, ...]:
    from ..views.redaction import shown

    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.at))
    error = shown(letter.error.encode(), 80)
    return str(letter.seq), letter.agent, letter.reason, str(letter.attempts), at, error


def _with_body(letter: "DeadLetter", body: str) -> JsonObject:
    import msgspec

    told: JsonObject = msgspec.to_builtins(letter)
    return told | {"body": body}
