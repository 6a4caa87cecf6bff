"""What a new owner reads of an actor: its state, its open task, and what was called off."""

import asyncio

import pytest

from actorium.actors.ledger import ActorLedger
from actorium.actors.progress import FOLDED
from actorium.bus.task import Result, Status, Task
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryBlobs, MemoryLedger

SUBJECT = "led.7.default.clerk"
DONE = Result(status=Status.SUCCESS)


class World:
    """The storage of one actor, and its owners one after the other."""

    def __init__(self) -> None:
        self.ledger, self.blobs, self.epoch = MemoryLedger(), MemoryBlobs(), 0

    async def next_owner(self) -> ActorLedger:
        self.epoch += 1
        return await ActorLedger.open(self.ledger, self.blobs, SUBJECT, self.epoch)


async def complete(ledger: ActorLedger, seq: int, *, cancelled: bool = False) -> bool:
    return await ledger.completed(seq, f"t{seq}", DONE, b"{}", cancelled=cancelled)


async def test_what_was_called_off_is_known_to_every_later_owner_until_it_ended() -> None:
    """However many records with state stand between the cancel and its turn."""
    world = World()
    ledger = await world.next_owner()
    await complete(ledger, 1)
    assert await ledger.cancelled(9, "t9")
    for seq in range(2, 2 + 2 * FOLDED):
        if seq != 9:
            await ledger.answered(f"q{seq}", b"{}")
    for _ in range(2):
        assert set((await world.next_owner()).progress.cancelled) == {(9, "t9")}
    ledger = await world.next_owner()
    assert await complete(ledger, 9, cancelled=True)
    later = await world.next_owner()
    assert later.progress.cancelled == {}
    assert later.progress.since > 2


async def test_a_cancel_is_known_where_nothing_else_was_ever_written() -> None:
    """Beside an attempt of the first task of all, whose count is kept too."""
    world = World()
    ledger = await world.next_owner()
    await ledger.started(1, "t1", Task(), 1)
    assert await ledger.cancelled(2, "t2")
    assert await ledger.cancelled(2, "t2")
    progress = (await world.next_owner()).progress
    assert (set(progress.cancelled), progress.open_seq, progress.attempts) == ({(2, "t2")}, 1, 1)
    assert [len(chain) for chain in world.ledger._chains.values()] == [3]  # started, cancelled, epoch


async def test_what_was_called_off_ends_in_no_other_way() -> None:
    """An outcome that comes a moment later is refused; one that came before stands."""
    ledger = await World().next_owner()
    await ledger.cancelled(1, "t1")
    assert not await complete(ledger, 1)
    assert await complete(ledger, 1, cancelled=True)
    assert await complete(ledger, 2)
    assert not await ledger.cancelled(2, "t2")


async def test_two_writers_of_one_owner_take_turns() -> None:
    """A task is called off while the outcome of another is being written."""
    ledger = await World().next_owner()
    stood = await asyncio.gather(complete(ledger, 1), ledger.cancelled(2, "t2"), complete(ledger, 2))
    assert stood == [True, True, False]


@pytest.mark.parametrize("stands", [True, False])
async def test_a_cancel_without_an_answer_costs_nobody_else_his_record(stands: bool) -> None:
    """Its sender is told that it is not known; what is written next makes it sure."""

    class Silent(MemoryLedger):
        silent = False

        async def append(self, subject: str, record: bytes, *, after: int) -> int:
            silent, self.silent = self.silent, False
            sequence = await super().append(subject, record, after=after) if stands or not silent else 0
            if silent:
                raise StoreUnavailable("no answer")
            return sequence

    world = World()
    world.ledger = Silent()
    ledger = await world.next_owner()
    await ledger.started(1, "t1", Task(), 1)
    world.ledger.silent = True
    with pytest.raises(StoreUnavailable):
        await ledger.cancelled(2, "t2")
    assert await complete(ledger, 1)
    assert set(ledger.progress.cancelled) == {(2, "t2")}
    assert set((await world.next_owner()).progress.cancelled) == {(2, "t2")}
