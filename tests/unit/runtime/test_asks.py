"""An ask that takes long is looked after, and given up only when nobody has it."""

import asyncio
from collections.abc import Collection

import pytest

from actorium import Actor, App, Context
from actorium.bus.errors import BusLost, NoOwner
from actorium.bus.port import Message
from actorium.runtime.asks import Asks
from actorium.runtime.memory import in_memory
from eventually import eventually

SOON = 0.01  # seconds between two looks


class Owners:
    """What owners answer, look by look; the last answer is repeated."""

    def __init__(self, *answers: Collection[str] | Exception) -> None:
        self._answers = list(answers)
        self.looks: list[list[str]] = []

    async def missing(self, agent: str, task_ids: list[str]) -> Collection[str]:
        self.looks.append(task_ids)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_an_ask_that_owners_miss_twice_is_lost() -> None:
    """One look alone is not believed: the answer may be on its way."""
    owners = Owners(["t"])
    asks = Asks(owners.missing, SOON)
    with pytest.raises(BusLost, match="'a' was replaced"):
        await asks.answer("a", "t", asyncio.Future[Message]())
    assert owners.looks == [["t"], ["t"]]


async def test_an_ask_that_an_owner_has_again_is_not_lost() -> None:
    """What was said of it before does not count any more."""
    owners = Owners(["t"], [], ["t"], [])
    asks = Asks(owners.missing, SOON)
    request: asyncio.Future[Message] = asyncio.Future()
    answer = asyncio.create_task(asks.answer("a", "t", request))
    await eventually(lambda: len(owners.looks) > 6)
    request.set_result(Message("x", b"late"))
    assert (await answer).payload == b"late"


async def test_while_nobody_owns_the_agent_nothing_is_known() -> None:
    """Its next owner may have got the ask."""
    owners = Owners(NoOwner("nobody"), NoOwner("nobody"), NoOwner("nobody"), ["t"])
    asks = Asks(owners.missing, SOON)
    with pytest.raises(BusLost):
        await asks.answer("a", "t", asyncio.Future[Message]())
    assert len(owners.looks) == 5


async def test_nobody_is_looked_after_when_nothing_waits() -> None:
    """What is answered at once costs no message, and no task stays."""
    owners = Owners(["t"])
    asks = Asks(owners.missing, SOON)
    request: asyncio.Future[Message] = asyncio.Future()
    request.set_result(Message("x", b""))
    await asks.answer("a", "t", request)
    await eventually(lambda: len(asyncio.all_tasks()) == 1)
    assert owners.looks == []
    await asks.close()


async def test_a_wait_that_is_cancelled_is_cancelled() -> None:
    """Neither a timeout of the caller nor his end is taken for a lost ask."""
    asks = Asks(Owners(["t"]).missing, SOON)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON / 2):
            await asks.answer("a", "t", asyncio.Future[Message]())
    await asks.close()


class Slow(Actor):
    """Takes longer than many looks."""

    async def receive(self, message: str, ctx: Context) -> str:
        await asyncio.sleep(0.3)
        return message


async def test_an_owner_has_what_waits_and_what_runs() -> None:
    """A slow answer, and those behind it in the mailbox, are waited for."""
    async with in_memory(App(Slow.named("slow"))) as client:
        client.courier._asks._every = SOON
        answers = await asyncio.gather(*(client.ask("slow", f"{n}") for n in range(3)))
    assert [answer.data for answer in answers] == ["0", "1", "2"]
