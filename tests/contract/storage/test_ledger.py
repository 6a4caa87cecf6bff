"""The contract of a ledger: every append stands once, behind the record its writer knew, or not at all."""

import asyncio

import pytest

from actorium.bus.errors import Effect
from actorium.bus.patience import Patience
from actorium.storage.chain import Chain
from actorium.storage.errors import Fenced, StoreUnavailable
from actorium.storage.nats import NatsLedger
from actorium.storage.port import Ledger
from actorium.storage.verifier import Verified, verify_stream


async def values(ledger: Ledger, subject: str, after: int = 0) -> list[bytes]:
    return [entry.value async for entry in ledger.read(subject, after=after)]


async def test_records_are_read_in_the_order_they_were_appended(ledger: Ledger, subject: str) -> None:
    """What was appended one behind the other is read back in that order."""
    after = 0
    for record in (b"a", b"b", b"c"):
        after = await ledger.append(subject, record, after=after)

    assert await values(ledger, subject) == [b"a", b"b", b"c"]


async def test_reading_starts_behind_a_sequence(ledger: Ledger, subject: str) -> None:
    """Reading after a record's sequence begins with the record behind it."""
    first = await ledger.append(subject, b"a", after=0)
    second = await ledger.append(subject, b"b", after=first)

    assert await values(ledger, subject, first) == [b"b"]
    assert await values(ledger, subject, second) == []


async def test_last_is_the_newest_record(ledger: Ledger, subject: str) -> None:
    """The last record is known with its sequence; an empty chain has none."""
    assert await ledger.last(subject) is None

    first = await ledger.append(subject, b"a", after=0)
    second = await ledger.append(subject, b"b", after=first)

    last = await ledger.last(subject)
    assert last is not None
    assert (last.value, last.revision) == (b"b", second)


async def test_chains_do_not_see_each_other(ledger: Ledger, subject: str) -> None:
    """An append to one chain leaves the expected sequence of another as it was."""
    first = await ledger.append(subject, b"a", after=0)
    await ledger.append(f"{subject}-2", b"x", after=0)

    await ledger.append(subject, b"b", after=first)

    assert await values(ledger, subject) == [b"a", b"b"]
    assert await values(ledger, f"{subject}-2") == [b"x"]


async def test_the_second_of_two_writers_is_fenced(ledger: Ledger, subject: str) -> None:
    """A writer whose picture of the chain is old is refused, and nothing of it is stored."""
    first = await ledger.append(subject, b"a", after=0)
    await ledger.append(subject, b"new owner", after=first)

    with pytest.raises(Fenced):
        await ledger.append(subject, b"old owner", after=first)

    assert await values(ledger, subject) == [b"a", b"new owner"]


async def test_of_many_writers_at_once_one_wins(ledger: Ledger, subject: str) -> None:
    """Sixteen writers that create the same chain at once end as one winner and fifteen fenced ones."""
    appends = (ledger.append(subject, b"writer %d" % i, after=0) for i in range(16))

    ends = await asyncio.gather(*appends, return_exceptions=True)

    assert sum(isinstance(end, int) for end in ends) == 1
    assert sum(isinstance(end, Fenced) for end in ends) == 15
    assert len(await values(ledger, subject)) == 1


async def test_a_writer_ahead_of_the_chain_is_fenced(ledger: Ledger, subject: str) -> None:
    """Appending behind a record that is not there is refused at once, not tried for ever."""
    first = await ledger.append(subject, b"a", after=0)

    with pytest.raises(Fenced):
        await ledger.append(subject, b"b", after=first + 7)


async def test_the_same_append_again_is_found(ledger: Ledger, subject: str) -> None:
    """A writer that repeats an append it was unsure of gets the sequence of the one that stands."""
    first = await ledger.append(subject, b"a", after=0)

    assert await ledger.append(subject, b"a", after=0) == first
    assert await values(ledger, subject) == [b"a"]


@pytest.mark.parametrize(
    ("losses", "sent"), [(["sent"], 1), (["unsent"], 2), (["unsent", "sent"], 2), (["sent", "sent"], 1)]
)
async def test_a_lost_ack_is_found_and_not_doubled(js, nats_ledger, subject, losses, sent) -> None:
    """Whether the record or its ack was lost, the append ends with one record standing."""
    first = await nats_ledger.append(subject, b"a", after=0)
    js.losses = list(losses)
    js.published = 0

    second = await nats_ledger.append(subject, b"b", after=first)

    assert await values(nats_ledger, subject) == [b"a", b"b"]
    assert await nats_ledger.append(subject, b"c", after=second) > second
    assert js.published == sent + 1


async def test_a_writer_unsure_of_its_append_is_fenced_by_another(js, nats_ledger, subject) -> None:
    """An append whose record was lost ends fenced when another owner's record stands there."""
    await nats_ledger.append(subject, b"new owner", after=0)
    js.losses = ["unsent"]

    with pytest.raises(Fenced):
        await nats_ledger.append(subject, b"old owner", after=0)


async def test_without_an_answer_the_end_is_unknown(js, nats_ledger, subject, unique) -> None:
    """When patience ends without an answer, the error says that the record may stand."""
    impatient = NatsLedger(js, stream_of=lambda _: f"LED_{unique}", patience=Patience(0.05))
    js.losses = ["unsent"] * 50

    with pytest.raises(StoreUnavailable) as caught:
        await impatient.append(subject, b"a", after=0)

    assert caught.value.retryable
    assert caught.value.effect is Effect.UNKNOWN


async def test_a_chain_written_by_several_owners_is_whole(ledger: Ledger, subject: str) -> None:
    """A chain handed from owner to owner verifies from its stored bytes, and against its checkpoint."""
    for epoch in (1, 2, 3):
        chain = await Chain.open(ledger, subject, epoch)
        for step in range(5):
            await chain.append("step", {"step": step, "text": "ü\n"}, in_seq=step)

    stored = (entry.value async for entry in chain.records())
    checkpoint = Verified(chain.count, chain.head)

    assert await verify_stream(stored, subject, checkpoint) == Verified(15, chain.head)


async def test_a_new_owner_fences_the_old_one(ledger: Ledger, subject: str) -> None:
    """After a new owner's first record the old owner can append no more, now or later."""
    old = await Chain.open(ledger, subject, 1)
    await old.append("step")
    new = await Chain.open(ledger, subject, 2)
    await new.append("epoch")

    for _ in range(2):
        with pytest.raises(Fenced):
            await old.append("step")

    with pytest.raises(Fenced):
        await Chain.open(ledger, subject, 1)
    assert [record.kind for record in [new.last] if record] == ["epoch"]
