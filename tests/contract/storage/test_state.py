"""The contract of the state store: named values, compare-and-set, and an end of life by the clock."""

import asyncio
from contextlib import suppress

import nats
import pytest

from actorium.bus.errors import ConfigError
from actorium.bus.nats import NatsBus
from actorium.storage.errors import Conflict, StoreUnavailable
from actorium.storage.nats import NatsState
from actorium.storage.port import Entry, StateStore
from servers import TestServer


async def test_a_value_is_read_as_it_was_written(state: StateStore) -> None:
    """Get gives the last value and its revision; nothing for a key that was never written."""
    assert await state.get("a.b") is None

    await state.put("a.b", b"1")
    revision = await state.put("a.b", b"\x00\xff")

    assert await state.get("a.b") == Entry(b"\x00\xff", revision)


async def test_an_empty_value_is_a_value(state: StateStore) -> None:
    """An empty value is not the same as none."""
    revision = await state.put("k", b"")

    assert await state.get("k") == Entry(b"", revision)


async def test_only_the_current_revision_is_replaced(state: StateStore) -> None:
    """A write at an old revision is refused, and the value stays."""
    first = await state.put("k", b"1", revision=0)
    second = await state.put("k", b"2", revision=first)

    for stale in (first, 0, second + 9):
        with pytest.raises(Conflict):
            await state.put("k", b"3", revision=stale)

    assert await state.get("k") == Entry(b"2", second)


async def test_of_many_creators_at_once_one_wins(state: StateStore) -> None:
    """Sixteen that create the same key with the same bytes end as one winner and fifteen conflicts."""
    creators = (state.put("lock", b"taken", revision=0) for _ in range(16))

    ends = await asyncio.gather(*creators, return_exceptions=True)

    assert sum(isinstance(end, int) for end in ends) == 1
    assert sum(isinstance(end, Conflict) for end in ends) == 15


async def test_a_deleted_key_can_be_created_again(state: StateStore) -> None:
    """After a delete, repeated or not, the key is absent and a create succeeds."""
    old = await state.put("k", b"1")
    await state.delete("k")
    await state.delete("k")
    await state.delete("never")

    assert await state.get("k") is None
    with pytest.raises(Conflict):
        await state.put("k", b"2", revision=old)
    assert await state.put("k", b"3", revision=0) > old


async def test_a_value_ends_with_its_ttl(state: StateStore, clock) -> None:
    """A value is there until its ttl is over and absent from then on."""
    await state.put("k", b"1", ttl=10)

    clock.time += 9.9
    assert await state.get("k") is not None
    clock.time += 0.2
    assert await state.get("k") is None
    assert await state.keys() == []


async def test_a_key_whose_life_ended_can_be_created_again(state: StateStore, clock) -> None:
    """A create over an ended value succeeds, whether or not somebody saw it end."""
    await state.put("k", b"1", ttl=10)
    clock.time += 11

    revision = await state.put("k", b"2", revision=0)

    assert await state.get("k") == Entry(b"2", revision)


async def test_a_write_without_ttl_ends_an_earlier_one(state: StateStore, clock) -> None:
    """The ttl belongs to the value, not to the key."""
    await state.put("k", b"1", ttl=10)
    await state.put("k", b"2")
    clock.time += 11

    assert await state.get("k") is not None


async def test_keys_are_listed_under_a_prefix(state: StateStore, clock) -> None:
    """A prefix is whole tokens: `a` lists `a` and `a.b`, and neither `ab` nor what is gone."""
    for key in ("a", "a.b", "a.c", "ab", "b", "a.gone"):
        await state.put(key, key.encode())
    await state.put("a.ended", b"", ttl=1)
    await state.delete("a.gone")
    clock.time += 2

    assert await state.keys("a") == ["a", "a.b", "a.c"]
    assert await state.keys() == ["a", "a.b", "a.c", "ab", "b"]
    assert [(key, entry.value) for key, entry in await state.entries("a")] == [
        ("a", b"a"),
        ("a.b", b"a.b"),
        ("a.c", b"a.c"),
    ]
    assert await state.keys("nothing") == []


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "ü", "a\n"])
async def test_a_bad_key_is_refused(state: StateStore, key: str) -> None:
    """A key that could reach others, or the protocol, is refused before anything is sent."""
    with pytest.raises(ConfigError):
        await state.put(key, b"")
    with pytest.raises(ConfigError):
        await state.get(key)


@pytest.mark.parametrize("revision", [None, 0])
@pytest.mark.parametrize("loss", ["sent", "unsent"])
async def test_a_write_whose_ack_is_lost_is_written_once(js, nats_state, loss, revision) -> None:
    """Whether the write or its ack was lost, it is written once and its revision is known."""
    js.losses = [loss]

    written = await nats_state.put("k", b"1", revision=revision)

    assert await nats_state.get("k") == Entry(b"1", written)
    assert await nats_state.put("k", b"2", revision=written) == written + 1


async def test_a_replaced_write_without_an_ack_is_no_conflict(js, nats_state) -> None:
    """A write without an answer behind which another's value stands may have happened: no Conflict."""
    first = await nats_state.put("k", b"1")
    js.losses = ["sent"]
    js.meanwhile = lambda: nats_state.put("k", b"theirs")

    with pytest.raises(StoreUnavailable):
        await nats_state.put("k", b"2", revision=first)


async def test_a_repeated_write_does_not_undo_a_later_one(js, nats_state) -> None:
    """A write whose ack was lost and that somebody replaced meanwhile is not written over theirs again."""
    js.losses = ["sent"]
    js.meanwhile = lambda: nats_state.put("k", b"theirs")

    await nats_state.put("k", b"ours")

    entry = await nats_state.get("k")
    assert entry is not None
    assert entry.value == b"theirs"


async def test_a_deleted_key_leaves_nothing_behind(js, nats_state, unique) -> None:
    """In a bucket that is told to forget; another one keeps markers of what was removed."""
    forgetful = NatsState(js, f"state-{unique}", forgetful=True)
    for i in range(5):
        await forgetful.put(f"k{i}", b"1")
        await forgetful.delete(f"k{i}")

    info = await js.api(f"STREAM.INFO.KV_state-{unique}")
    assert info["state"]["messages"] == 0


async def test_the_bucket_is_an_ordinary_key_value_bucket(nats_url, nats_state, unique) -> None:
    """nats-py reads what we write, and we read what it writes and deletes."""
    revision = await nats_state.put("mine", b"1")
    client = await nats.connect(nats_url)
    bucket = await client.jetstream().key_value(f"state-{unique}")

    assert (await bucket.get("mine")).value == b"1"
    assert await bucket.update("mine", b"2", last=revision) > revision
    theirs = await bucket.create("theirs", b"3")
    assert await nats_state.get("theirs") == Entry(b"3", theirs)
    await bucket.delete("theirs")
    assert await nats_state.get("theirs") is None
    assert await nats_state.keys() == ["mine"]
    assert await nats_state.put("theirs", b"4", revision=0) > theirs


async def test_making_a_bucket_again_is_fine(js, nats_state, unique) -> None:
    """Ensure is idempotent and keeps what is stored."""
    await nats_state.put("k", b"1")

    await NatsState(js, f"state-{unique}").ensure()

    assert await nats_state.keys() == ["k"]


async def test_a_bucket_made_otherwise_is_refused(nats_url, js, unique) -> None:
    """A bucket that would lose what we need is refused by name, with the setting that differs."""
    client = await nats.connect(nats_url)
    await client.jetstream().create_key_value(bucket=f"theirs-{unique}", history=5)

    with pytest.raises(ConfigError, match="max_msgs_per_subject = 5, and 1 is asked for"):
        await NatsState(js, f"theirs-{unique}").ensure()


async def test_the_revision_differs_after_every_change_and_only_then(state: StateStore) -> None:
    seen = [await state.revision()]
    for change in (state.put("a", b"1"), state.put("b", b"1"), state.put("a", b"2"), state.delete("a")):
        await change
        seen.append(await state.revision())
        assert seen[-1] == await state.revision()
        assert seen[-1] != seen[-2], seen


async def test_what_was_removed_stays_away_when_the_server_is_killed(nats_server: TestServer) -> None:
    """Some servers find a value again in their files, where its removal left nothing behind it."""
    bus = await NatsBus.connect(nats_server.url, name="removed")
    state = NatsState(bus.js, "removed")
    await state.ensure()
    for key in ("gone", "kept"):
        await state.put(key, b"1")
    for n in range(20):
        await state.put("noise", b"%d" % n)
    await state.delete("gone")
    await state.put("noise", b"last")
    await asyncio.sleep(4.0)  # until the server has written its files; nothing tells when it has
    nats_server.kill()
    nats_server.start()
    keys: list[str] = []
    while not keys:
        with suppress(StoreUnavailable):
            keys = await state.keys()
    assert keys == ["kept", "noise"]
    await bus.close()
