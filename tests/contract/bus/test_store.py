"""Stored messages: receipts, the bound of a mailbox, history, removal; NATS and its twin alike."""

import asyncio

import pytest

from actorium.bus.errors import BusError, BusLost, ConfigError, MailboxFull
from actorium.bus.server import probe_mappings
from actorium.bus.streams import StreamSettings
from actorium.bus.subjects import DEAD_LETTERS, INBOX, INGRESS, LEDGER, OUTBOX, inbox

MAILBOX = 10  # as in conftest.py
A, B = inbox(7, "default", "a"), inbox(7, "default", "b")


async def subjects_in(bus, stream):
    return [past.message.subject for past in await bus.history(stream, ">", limit=1000)]


async def test_a_receipt_has_a_growing_sequence(bus):
    """Each stored message gets a higher sequence than the one before."""
    seqs = [(await bus.store(A, b"", msg_id=f"m{n}")).seq for n in range(5)]
    assert seqs == sorted(set(seqs))
    assert seqs[0] > 0


async def test_the_same_id_is_stored_once(bus):
    """A repetition with the same id is told apart, gets the first sequence, and is not stored."""
    first = await bus.store(A, b"1", msg_id="m")
    again = await bus.store(A, b"2", msg_id="m")
    assert (again.seq, again.duplicate) == (first.seq, True)
    assert [past.message.payload for past in await bus.history(INBOX, A)] == [b"1"]


async def test_a_stored_message_is_whole(bus):
    """Body and headers are kept, and the id stands beside them."""
    await bus.store(A, b"\x00\xff", {"Task-Id": "t1", "x": "ü"}, msg_id="m1")
    (past,) = await bus.history(INBOX, A)
    assert past.message.payload == b"\x00\xff"
    assert past.message.headers == {"Task-Id": "t1", "x": "ü", "Nats-Msg-Id": "m1"}
    assert past.at > 1_700_000_000


async def test_the_bound_of_a_mailbox_is_exact(connect):
    """Of 200 concurrent stores from four connections exactly as many as fit are stored, the others told."""
    buses = [await connect() for _ in range(4)]
    attempts = (buses[n % 4].store(A, b"%d" % n, msg_id=f"m{n}") for n in range(200))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(outcome, MailboxFull) for outcome in outcomes) == 200 - MAILBOX
    stored = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(stored) == MAILBOX == len(await buses[0].history(INBOX, A))


async def test_one_full_mailbox_stops_no_other(bus):
    """The bound counts per agent."""
    for number in range(MAILBOX):
        await bus.store(A, b"", msg_id=f"a{number}")
    with pytest.raises(MailboxFull):
        await bus.store(A, b"", msg_id="more")
    await bus.store(B, b"", msg_id="b")


async def test_a_full_mailbox_knows_what_it_has(bus):
    """The repetition of a stored message is a duplicate, not a full mailbox."""
    for number in range(MAILBOX):
        await bus.store(A, b"", msg_id=f"a{number}")
    assert (await bus.store(A, b"", msg_id="a3")).duplicate


async def test_a_mailbox_with_room_takes_more(bus):
    """After one message is removed, one more is stored."""
    seqs = [(await bus.store(A, b"", msg_id=f"a{number}")).seq for number in range(MAILBOX)]
    await bus.remove(INBOX, seqs[4])
    await bus.store(A, b"", msg_id="one")
    with pytest.raises(MailboxFull):
        await bus.store(A, b"", msg_id="two")


async def test_a_subject_without_stream_is_not_stored(bus):
    """Where no stream takes a subject the store ends with BusLost and never with a receipt."""
    with pytest.raises(BusLost, match="nothing stores"):
        await bus.store("nowhere.at.all", b"", msg_id="m1", timeout=0.3)


async def test_mappings_put_public_subjects_into_inbox(world):
    """With mappings a publish to an agent's public inbox is stored on its partition; without, in INGRESS."""
    mapped, plain = await (await world())(), await (await world(mappings=False))()
    for bus in (mapped, plain):
        await bus.store("agents.zed.inbox", b"", msg_id="1")
        await bus.store("tenants.acme.agents.zed.inbox", b"", msg_id="2")
    assert await subjects_in(mapped, INBOX) == ["inp.52.default.zed", "inp.14.acme.zed"]
    assert await subjects_in(plain, INGRESS) == ["agents.zed.inbox", "tenants.acme.agents.zed.inbox"]
    assert not await subjects_in(mapped, INGRESS)
    assert not await subjects_in(plain, INBOX)


async def test_the_probe_sees_mappings_and_stores_nothing(world):
    """The probe tells a server with mappings from one without, and leaves no message behind."""
    for mappings in (True, False):
        bus = await (await world(mappings=mappings))()
        assert await probe_mappings(bus) is mappings
        assert not await subjects_in(bus, INBOX)
        assert not await subjects_in(bus, INGRESS)


async def test_a_core_publish_to_a_durable_subject_is_stored(bus):
    """What a raw publisher sends without asking for a receipt is kept all the same."""
    await bus.publish("agents.a.outbox", b"result")
    await bus.store("agents.a.outbox", b"later", msg_id="m1")
    assert [past.message.payload for past in await bus.history(OUTBOX, "agents.*.outbox")] == [
        b"result",
        b"later",
    ]


async def test_history_pages_through_a_subject(bus):
    """History is oldest first, begins behind a sequence, ends at the limit, and sees wildcards."""
    seqs = [(await bus.store((A, B)[n % 2], b"%d" % n, msg_id=f"m{n}")).seq for n in range(8)]
    assert [past.seq for past in await bus.history(INBOX, "inp.7.*.*")] == seqs
    assert [past.seq for past in await bus.history(INBOX, A)] == seqs[::2]
    assert [past.seq for past in await bus.history(INBOX, A, after=seqs[2], limit=2)] == seqs[4:8:2]
    assert await bus.history(INBOX, A, after=seqs[-1]) == []
    assert await bus.history(INBOX, "inp.8.*.*") == []


async def test_history_and_removal_need_a_stream(bus):
    """A stream that is not there is a ConfigError that names it."""
    with pytest.raises(ConfigError, match="NONE"):
        await bus.history("NONE", "a")
    with pytest.raises(ConfigError, match="NONE"):
        await bus.remove("NONE", 1)


async def test_removal_says_whether_it_was_there(bus):
    """Removing a message is True once, then False; False for what never was."""
    seq = (await bus.store(A, b"", msg_id="m1")).seq
    await bus.store(A, b"", msg_id="m2")
    assert await bus.remove(INBOX, seq)
    assert not await bus.remove(INBOX, seq)
    assert not await bus.remove(INBOX, 12345)
    assert [past.seq for past in await bus.history(INBOX, A)] == [seq + 1]


async def test_the_ledger_lets_nothing_be_removed(bus):
    """A record of the ledger cannot be deleted."""
    seq = (await bus.store("led.7.default.run-1", b"record", msg_id="m1")).seq
    with pytest.raises(BusError):
        await bus.remove(LEDGER, seq)
    assert len(await bus.history(LEDGER, ">")) == 1


async def test_every_stream_takes_its_subjects(bus):
    """Each kind of durable subject has a stream, tenants included."""
    for subject in (
        "agents.a.events",
        "agents.a.outbox",
        "tenants.acme.agents.a.events",
        "tenants.acme.agents.a.outbox",
        "orchestrator.inbox",
        "dlq.7.default.a",
        "led.7.default.a",
    ):
        assert (await bus.store(subject, b"", msg_id=subject)).seq


async def test_events_keep_the_newest(world):
    """Of one agent's events the newest are kept, as many as were asked for."""
    bus = await (await world(StreamSettings(events_kept=3)))()
    for number in range(5):
        await bus.store("agents.a.events", b"%d" % number, msg_id=f"m{number}")
    await bus.store("agents.b.events", b"b", msg_id="b")
    kept = [past.message.payload for past in await bus.history("EVENTS", ">")]
    assert kept == [b"2", b"3", b"4", b"b"]


async def test_dead_letters_are_a_stream_of_their_own(bus):
    """What is stored as dead letter is in no mailbox."""
    await bus.store("dlq.7.default.a", b"", msg_id="m1")
    assert await subjects_in(bus, DEAD_LETTERS) == ["dlq.7.default.a"]
    assert not await subjects_in(bus, INBOX)
