"""A chain's writer knows what stands last, or knows that it does not know."""

import asyncio
from itertools import count

import pytest

from actorium.bus.errors import InternalError
from actorium.storage.chain import Chain
from actorium.storage.errors import Corrupt, Fenced, StoreUnavailable
from actorium.storage.memory import MemoryLedger
from actorium.storage.record import decode_record, digest

SUBJECT = "led.7.acme.writer"


class SlowLedger(MemoryLedger):
    """Stores at once and answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        sequence = await super().append(subject, record, after=after)
        await self.let_go.wait()
        return sequence


class SilentLedger(MemoryLedger):
    """Stores, and does not answer."""

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        await super().append(subject, record, after=after)
        raise StoreUnavailable("no answer")


async def open_chain(ledger: MemoryLedger, epoch: int = 1) -> Chain:
    ids = count(1)
    return await Chain.open(ledger, SUBJECT, epoch, now=lambda: 12.5, new_id=lambda: f"id-{next(ids)}")


async def test_each_record_is_sealed_to_the_one_before() -> None:
    """Records carry their place, epoch, time and the digest of the bytes before them."""
    ledger = MemoryLedger()
    chain = await open_chain(ledger, epoch=4)

    first = await chain.append("started", {"task": "t"}, in_seq=9)
    second = await chain.append("done")

    stored = [entry.value async for entry in chain.records()]
    assert [decode_record(data) for data in stored] == [first, second]
    assert (first.n, first.kind, first.epoch, first.in_seq, first.at_ms) == (1, "started", 4, 9, 12500)
    assert (first.id, second.id) == ("id-1", "id-2")
    assert (first.prev, second.prev) == ("", digest(stored[0]))
    assert (chain.count, chain.head, chain.last) == (2, digest(stored[1]), second)


async def test_a_new_writer_continues_the_chain() -> None:
    """A chain opened again goes on behind its last record."""
    ledger = MemoryLedger()
    last = await (await open_chain(ledger)).append("step")

    chain = await open_chain(ledger, epoch=2)
    assert (chain.last, chain.sequence) == (last, 1)
    head = chain.head
    record = await chain.append("step")

    assert (record.n, record.epoch, record.prev) == (2, 2, head)


async def test_a_writer_sees_its_record_as_readers_do() -> None:
    """The newest record holds the body as JSON gives it back, so that state built from it is equal."""
    chain = await open_chain(MemoryLedger())
    await chain.append("step", {"pair": (1, 2), "raw": b"x"})

    assert chain.last is not None
    assert chain.last.body == {"pair": [1, 2], "raw": "eA=="}


async def test_an_older_epoch_cannot_open_the_chain() -> None:
    """A writer learns that a newer owner wrote as soon as it opens."""
    ledger = MemoryLedger()
    await (await open_chain(ledger, epoch=5)).append("step")

    with pytest.raises(Fenced, match="epoch 5, ours is 4"):
        await open_chain(ledger, epoch=4)


async def test_a_record_of_another_chain_is_corrupt() -> None:
    """A record that was copied from another chain is not continued."""
    other = MemoryLedger()
    await (await Chain.open(other, "led.7.acme.reader", 1)).append("step")
    moved = await other.last("led.7.acme.reader")
    ledger = MemoryLedger()
    await ledger.append(SUBJECT, moved.value if moved else b"", after=0)

    with pytest.raises(Corrupt, match=r"belongs to led\.7\.acme\.reader"):
        await open_chain(ledger)


async def test_two_appends_at_once_are_a_bug() -> None:
    """A chain has one writer; a second append before the first has ended is refused as our own mistake."""
    ledger = SlowLedger()
    chain = await open_chain(ledger)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(chain.append("first"))
        await asyncio.sleep(0)
        with pytest.raises(InternalError):
            await chain.append("second")
        ledger.let_go.set()

    assert first.result().kind == "first"
    assert (await chain.append("third")).n == 2


async def test_a_body_that_is_no_json_changes_nothing() -> None:
    """A body that cannot be stored is refused before anything is written, and the chain goes on."""
    chain = await open_chain(MemoryLedger())

    with pytest.raises(TypeError):
        await chain.append("step", object())

    assert (await chain.append("step")).n == 1


async def test_a_cancelled_append_ends_the_writer() -> None:
    """After a cancellation the writer knows nothing and appends no more; opened again it sees the record."""
    ledger = SlowLedger()
    chain = await open_chain(ledger)
    append = asyncio.ensure_future(chain.append("first"))
    await asyncio.sleep(0)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append

    with pytest.raises(StoreUnavailable, match="open it again"):
        await chain.append("second")

    again = await open_chain(ledger)
    assert again.count == 1


async def test_an_append_without_an_answer_ends_the_writer() -> None:
    """After no answer the writer appends no more: its next record could stand behind one it does not know."""
    chain = await open_chain(SilentLedger())

    with pytest.raises(StoreUnavailable, match="no answer"):
        await chain.append("first")
    with pytest.raises(StoreUnavailable, match="open it again"):
        await chain.append("second")
