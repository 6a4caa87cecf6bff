"""Feeds: order, acknowledgement, generations; NATS and its twin alike."""

import asyncio

import pytest

from actorium.bus.errors import Superseded
from actorium.bus.streams import StreamSettings
from actorium.bus.subjects import INBOX, inbox
from eventually import eventually

A, B, OTHER = inbox(7, "default", "a"), inbox(7, "acme", "b"), inbox(8, "default", "c")


async def take(feed, count, *, ack=False):
    """The next deliveries of a feed."""
    taken = []
    async with asyncio.timeout(10):
        async for delivered in feed:
            taken.append(delivered)
            if ack:
                await feed.ack(delivered.token)
            if len(taken) == count:
                break
    return taken


async def fill(bus, count, *, start=0):
    for number in range(start, start + count):
        await bus.store((A, B)[number % 2], b"%d" % number, {"n": str(number)}, msg_id=f"m{number}")


def numbers(taken):
    return [int(delivered.message.payload) for delivered in taken]


async def empty(bus):
    return not await bus.history(INBOX, ">")


async def test_a_feed_has_its_partition_in_order(bus):
    """What was stored before and after the feed was opened comes in stream order, other partitions do not."""
    await bus.store(OTHER, b"99", msg_id="other")
    await fill(bus, 4)
    feed = await bus.feed(7, 1)
    before = await take(feed, 4)
    await fill(bus, 4, start=4)
    after = await take(feed, 4)
    assert numbers(before + after) == list(range(8))
    seqs = [delivered.seq for delivered in before + after]
    assert seqs == sorted(seqs)
    assert (before[1].message.subject, before[1].message.headers["n"]) == (B, "1")


async def test_what_is_acknowledged_is_gone(bus):
    """An acknowledged task leaves the stream, the others stay."""
    await fill(bus, 4)
    feed = await bus.feed(7, 1)
    taken = await take(feed, 4)
    await feed.ack(taken[1].token)
    await feed.ack(taken[2].token)
    await eventually(lambda: left(bus, [taken[0].seq, taken[3].seq]))


async def left(bus, seqs):
    return [past.seq for past in await bus.history(INBOX, ">")] == seqs


async def test_the_next_epoch_gets_everything_unacknowledged(connect):
    """A new owner gets every task that was not acknowledged, delivered before or not, in order and once."""
    old, new = await connect(), await connect()
    await fill(old, 8)
    first = await old.feed(7, 1)
    taken = await take(first, 5)
    await first.ack(taken[0].token)
    await first.ack(taken[3].token)
    await eventually(lambda: count(old, 6))
    second = await new.feed(7, 2)
    again = await take(second, 6)
    assert numbers(again) == [1, 2, 4, 5, 6, 7]
    assert again[0].seq == taken[1].seq


async def count(bus, number):
    return len(await bus.history(INBOX, ">")) == number


async def test_a_superseded_feed_is_dead(connect):
    """The feed of a lower epoch ends, gets nothing any more, and its acks do nothing."""
    old, new = await connect(), await connect()
    await fill(old, 2)
    first = await old.feed(7, 1)
    stale = await take(first, 2)
    second = await new.feed(7, 2)
    async with asyncio.timeout(10):
        assert [delivered async for delivered in first] == []
    for delivered in stale:
        await first.ack(delivered.token)
    await fill(new, 2, start=2)
    assert numbers(await take(second, 4)) == [0, 1, 2, 3]
    assert await count(new, 4)


async def test_a_lower_epoch_is_refused(connect):
    """Who comes with a lower epoch than the one that exists is superseded; the owner is not disturbed."""
    old, new = await connect(), await connect()
    feed = await new.feed(7, 5)
    for epoch in (1, 4):
        with pytest.raises(Superseded):
            await old.feed(7, epoch)
    await fill(new, 2)
    assert numbers(await take(feed, 2)) == [0, 1]


async def test_epochs_may_be_left_out(connect):
    """A takeover works from any lower epoch, not only from the one before."""
    bus = await connect()
    for epoch in (1, 2, 7):
        feed = await bus.feed(7, epoch)
    await fill(bus, 2)
    assert numbers(await take(feed, 2)) == [0, 1]


async def test_an_epoch_may_be_opened_again(bus):
    """The same owner may open its epoch again, and gets everything unacknowledged from the start."""
    await fill(bus, 4)
    first = await bus.feed(7, 3)
    taken = await take(first, 3)
    await first.ack(taken[0].token)
    await eventually(lambda: count(bus, 3))
    assert numbers(await take(await bus.feed(7, 3), 3)) == [1, 2, 3]


async def test_partitions_are_independent(connect):
    """Epochs count per partition."""
    bus, other = await connect(), await connect()
    seven, eight = await bus.feed(7, 9), await other.feed(8, 1)
    await bus.store(OTHER, b"8", msg_id="m8")
    await bus.store(A, b"7", msg_id="m7")
    assert numbers(await take(seven, 1)) == [7]
    assert numbers(await take(eight, 1)) == [8]


async def test_a_closed_feed_ends_and_keeps(bus):
    """Close ends the iteration, also one that waits; what was not acknowledged waits for the next feed."""
    feed = await bus.feed(7, 1)

    async def read():
        return [delivered async for delivered in feed]

    reading = asyncio.ensure_future(read())
    await asyncio.sleep(0.05)  # it waits
    await feed.close()
    await feed.close()
    async with asyncio.timeout(5):
        assert await reading == []
    await fill(bus, 2)
    assert numbers(await take(await bus.feed(7, 2), 2)) == [0, 1]


async def test_a_cancelled_wait_loses_nothing(bus):
    """A reader that is cancelled while it waits leaves every task for who reads next."""
    feed = await bus.feed(7, 1)
    for turns in range(5):
        waiting = asyncio.ensure_future(anext(aiter(feed)))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    await fill(bus, 5)
    assert numbers(await take(feed, 5)) == [0, 1, 2, 3, 4]


async def test_more_than_a_batch_comes_in_order(world):
    """Far more tasks than one request fetches come in order and each once, acknowledged on the way."""
    bus = await (await world(StreamSettings(mailbox=2000)))()
    await asyncio.gather(*(bus.store(A, b"%d" % n, msg_id=f"m{n}") for n in range(1500)))
    stored = [int(past.message.payload) for past in await bus.history(INBOX, ">", limit=2000)]
    feed = await bus.feed(7, 1)
    assert numbers(await take(feed, 1500, ack=True)) == stored
    await eventually(lambda: empty(bus))


async def test_work_may_be_announced(bus):
    """A task that is announced as held stays the owner's and can be acknowledged later."""
    await fill(bus, 1)
    feed = await bus.feed(7, 1)
    (held,) = await take(feed, 1)
    await feed.working(held.token)
    await feed.ack(held.token)
    await eventually(lambda: empty(bus))
