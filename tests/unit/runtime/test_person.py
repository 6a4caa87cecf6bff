"""Whoever sits at a terminal: what is put to him, and what no longer is."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from actorium import App, Client
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.config import Agent
from actorium.actors.runs.tool import tool
from actorium.runtime.memory import in_memory
from actorium.runtime.person import Keyboard, Manner, Person
from actorium.runtime.views.run_screen import LineScreen
from actorium.runtime.views.run_watch import RunWatch
from eventually import eventually


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


SENT: list[int] = []


@tool(effect="irreversible", risk="low", timeout=0.05)
async def send(number: int) -> str:
    """Send, and never say so."""
    SENT.append(number)
    return await asyncio.get_running_loop().create_future()


sender = in_order(call(("send", {"number": 1})), say("done"))
payer = in_order(call(("pay", {"amount": 7}), ("pay", {"amount": 8})), say("done"))
APP = App(
    Agent("payer", model=f"scripted:{__name__}:payer", tools=[pay]),
    Agent("sender", model=f"scripted:{__name__}:sender", tools=[send]),
)
Read = Callable[[], Awaitable[str]]


@asynccontextmanager
async def asking(
    manner: Manner, read: Read, agent: str = "payer"
) -> AsyncIterator[tuple[Client, io.StringIO]]:
    """A run with questions, two of the payer's, watched by a person who reads and answers as given."""
    out = io.StringIO()
    async with in_memory(APP) as client, RunWatch(client.names, agent, "t1") as watch:
        screen = LineScreen(out)
        person = Person(
            client.desk,
            screen,
            manner=manner,
            name="ann",
            shown=lambda pending: f"question {pending.question.id} {pending.question.arguments}",
            read=read,
        )

        async def follow() -> None:
            async for told in watch.records():
                person.hear(told)

        await client.tell(agent, "do it", task_id="t1")
        following, attending = asyncio.create_task(follow()), asyncio.create_task(person.attend())
        try:
            yield client, out
            await asyncio.wait_for(following, 10)
        finally:
            following.cancel()
            attending.cancel()


async def never() -> str:
    return await asyncio.get_running_loop().create_future()


async def settled(client: Client) -> list[tuple[str, str, object]]:
    """What was decided about both questions, once it was."""

    async def both() -> list[tuple[str, str, object]]:
        found = [pending.decision for pending in await client.approvals(open_only=False)]
        decided = [one for one in found if one is not None]
        return sorted((one.verdict, one.by, one.arguments) for one in decided) if len(decided) == 2 else []

    return await eventually(both)


def lines_of(*lines: str) -> Read:
    left = list(lines)

    async def read() -> str:
        return left.pop(0) if left else ""

    return read


async def test_questions_are_put_one_after_the_other():
    async with asking(Manner.ASK, lines_of("accept\n", 'edit {"amount": 9}\n')) as (client, out):
        assert await settled(client) == [("accept", "ann", None), ("edit", "ann", {"amount": 9})]
        assert out.getvalue().count("> ") == 2


async def test_a_question_that_somebody_else_answered_is_put_no_more():
    async with asking(Manner.ASK, never) as (client, out):
        await eventually(lambda: out.getvalue().count("> ") == 1)

        async def both() -> bool:
            return len(await client.approvals()) == 2

        await eventually(both)
        for pending in reversed(await client.approvals()):  # the one that is being put comes last
            await client.answer(pending.question.id, "deny", by="bob")
        await eventually(lambda: "was answered elsewhere" in out.getvalue())
        assert out.getvalue().count("> ") == 1


async def test_who_types_nothing_more_is_told_the_command():
    async with asking(Manner.ASK, lines_of()) as (client, out):
        await eventually(lambda: out.getvalue().count("actorium approvals accept") == 2)
        for pending in await client.approvals():
            assert f"actorium approvals accept {pending.question.id}" in out.getvalue()
            await client.answer(pending.question.id, "deny")


async def test_with_yes_everything_is_accepted_in_a_name():
    async with asking(Manner.ACCEPT, never) as (client, _):
        assert await settled(client) == [("accept", "ann", None)] * 2


async def test_with_yes_what_may_have_happened_is_not_done_again():
    SENT.clear()
    async with asking(Manner.ACCEPT, never, "sender") as (client, out):
        await eventually(lambda: "actorium approvals" in out.getvalue())
        (pending,) = await client.approvals()
        assert (pending.question.about, SENT) == ("unknown", [1])
        await client.answer(pending.question.id, "respond", text="it was sent")
    assert SENT == [1]


@pytest.mark.parametrize("pieces", [[b"one\ntwo\nth", b"ree\nrest"], [b"one\n", b"two\nthree\nrest"]])
async def test_a_keyboard_gives_lines_however_they_come(pieces: list[bytes]):
    reading, writing = os.pipe()
    keyboard = Keyboard(reading)
    for piece in pieces:
        os.write(writing, piece)
    os.close(writing)
    found = [await keyboard.line() for _ in range(5)]
    os.close(reading)
    assert found == ["one\n", "two\n", "three\n", "rest", ""]


async def test_a_keyboard_that_is_waited_for_no_more_keeps_what_was_typed():
    reading, writing = os.pipe()
    keyboard = Keyboard(reading)
    waiting = asyncio.create_task(keyboard.line())
    os.write(writing, b"half")
    await eventually(lambda: keyboard._typed == b"half")
    waiting.cancel()
    await asyncio.wait([waiting])
    os.write(writing, b" a line\n")
    assert await keyboard.line() == "half a line\n"
    os.close(reading)
    os.close(writing)
