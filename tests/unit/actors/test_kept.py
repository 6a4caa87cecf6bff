"""What stands in an agent's outbox is not stored again, however long ago the server forgot its id."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actorium.actors.card import Card
from actorium.actors.port import Directive, Letter
from actorium.bus import subjects
from actorium.bus.envelope import TASK_ID, Envelope
from actorium.bus.errors import ActoriumError
from actorium.bus.memory import MemoryBus
from actorium.bus.memory_hub import MemoryHub
from actorium.bus.port import Feed
from actorium.bus.streams import StreamSettings
from actorium.bus.task import Result, Status
from actorium.runtime.post import REACH, HostPost, PostOffice
from actorium.storage.memory import MemoryBlobs

DONE = Result(status=Status.SUCCESS)


class Host:
    """The partition of one agent, without a feed."""

    part = 7
    feed: Feed | None = None

    def release(self, letter: Letter) -> None:
        """Nothing is held."""

    def faulted(self, key: tuple[str, str], error: ActoriumError) -> None:
        raise error


class Outbox:
    """One agent's post, and a server whose clock a test moves."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.now = 0.0
        self.bus = MemoryBus(MemoryHub(StreamSettings(), clock=lambda: self.now))
        office = PostOffice(self.bus, MemoryBlobs(), self._never, lambda: True, tasks)
        self.post = HostPost(office, Host(), ("default", "it"))

    async def _never(self, definition: object, error: str) -> Directive:
        raise AssertionError(error)

    async def publish(self, task_id: str, *, doubted: bool) -> None:
        await self.post.publish(Card(agent="it", tenant="default", task_id=task_id), DONE, doubted=doubted)

    async def ids(self) -> list[str]:
        kept = await self.bus.history(subjects.OUTBOX, subjects.public("default", "it", "outbox"), limit=9999)
        return [(past.message.headers or {})[TASK_ID] for past in kept]


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(tasks)
        yield outbox
        await outbox.bus.close()


async def test_the_result_of_a_run_that_an_earlier_owner_told_is_not_stored_again(outbox: Outbox) -> None:
    """Behind those of runs that ended later too; one that was never told is."""
    for name in ("a", "b", "c"):
        await outbox.publish(name, doubted=False)
    outbox.now += 1000.0

    for name in ("a", "c", "d"):
        await outbox.publish(name, doubted=True)

    assert await outbox.ids() == ["a", "b", "c", "d"]


async def test_the_look_at_the_outbox_is_bounded(outbox: Outbox) -> None:
    """What lies far behind the newest is as it would be without a look."""
    for number in range(REACH + 1):
        await outbox.publish(f"t{number}", doubted=False)
    outbox.now += 1000.0

    await outbox.publish("t1", doubted=True)
    await outbox.publish("t0", doubted=True)

    assert (await outbox.ids())[REACH:] == [f"t{REACH}", "t0"]


async def test_the_newest_task_is_named_and_an_answer_that_cannot_be_sent_keeps_nobody(
    outbox: Outbox,
) -> None:
    """The outbox has the result all the same."""
    assert await outbox.post.last_kept() == ""
    letter = Letter(envelope=Envelope(reply_to="no subject"), task_id="a")

    await outbox.post.settle(letter, DONE)

    assert await outbox.post.last_kept() == "a"


async def test_a_worker_that_ends_says_so() -> None:
    """What is cancelled then is cancelled by us."""
    seen: list[bool] = []

    async def look(post: HostPost) -> None:
        seen.append(post.ending())
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(post.ending())

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look(Outbox(tasks).post))
            await asyncio.sleep(0)
            raise ValueError("the end")

    assert seen == [False, True]
