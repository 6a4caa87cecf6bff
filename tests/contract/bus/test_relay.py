"""The relay from INGRESS to the mailboxes, over both buses."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from actorium.bus.codec import read_result
from actorium.bus.dead_letters import DeadLetters
from actorium.bus.envelope import BLOB, MSG_ID, REPLY_TO, TASK_ID
from actorium.bus.errors import MailboxFull, Superseded
from actorium.bus.ingress import Relay
from actorium.bus.streams import StreamSettings
from actorium.bus.subjects import INBOX, INGRESS, OUTBOX, inbox, partition
from actorium.storage.memory import MemoryBlobs
from eventually import eventually


def nobody(task):
    return None


@asynccontextmanager
async def relaying(bus, route=nobody, *, epoch=1, **options):
    relay = Relay(bus, route, **options)
    running = asyncio.ensure_future(relay.run(await bus.ingress(epoch)))
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
async def connect(world):
    return await world(StreamSettings(mailbox=10), mappings=False)


def box(agent, tenant="default"):
    return inbox(partition(tenant, agent), tenant, agent)


async def bodies(bus, agent, tenant="default"):
    return [past.message.payload for past in await bus.history(INBOX, box(agent, tenant))]


async def relayed(bus, count):
    """Whether INGRESS is empty and so many messages are in INBOX."""
    return not await bus.history(INGRESS, ">") and len(await bus.history(INBOX, ">", limit=1000)) == count


async def dead(bus, count):
    letters = await DeadLetters(bus).list()
    return letters if len(letters) == count else None


async def test_raw_messages_reach_the_mailbox(connect):
    """What is published to a public inbox arrives on its partition, of every tenant, and leaves INGRESS."""
    bus = await connect()
    await bus.publish("agents.zed.inbox", b"before")
    async with relaying(bus):
        await bus.store(
            "tenants.acme.agents.zed.inbox", b"hi", {"Evil": "x", "traceparent": "tp"}, msg_id="m1"
        )
        await eventually(lambda: relayed(bus, 2))
    (plain,) = await bus.history(INBOX, "inp.52.default.zed")
    (tenants,) = await bus.history(INBOX, "inp.14.acme.zed")
    assert plain.message.payload == b"before"
    assert plain.message.headers == {MSG_ID: "ingress-1", TASK_ID: "ingress-1"}
    assert tenants.message.headers == {MSG_ID: "m1", TASK_ID: "m1", "traceparent": "tp"}


async def test_order_per_agent_is_kept(world):
    """Many messages for many agents, sent mixed, arrive complete and in order for each agent."""
    bus = await (await world(StreamSettings(mailbox=100), mappings=False))()
    async with relaying(bus):
        for number in range(400):
            await bus.publish(f"agents.a{number % 8}.inbox", b"%d" % number)
        await eventually(lambda: relayed(bus, 400))
    for agent in range(8):
        assert await bodies(bus, f"a{agent}") == [b"%d" % n for n in range(400) if n % 8 == agent]


async def test_one_full_mailbox_stops_no_other(connect):
    """Messages of a full agent wait; those of the others pass, more of them than the window holds."""
    bus = await connect()
    for number in range(10):
        await bus.store(box("full"), b"", msg_id=f"f{number}")
    async with relaying(bus, window=2):
        for number in range(5):
            await bus.publish("agents.full.inbox", b"%d" % number)
        for number in range(30):
            await bus.publish(f"agents.b{number % 6}.inbox", b"%d" % number)
        await eventually(lambda: len_is(bus, 40))
        waiting = [past.message.payload for past in await bus.history(INGRESS, ">")]
        assert waiting == [b"%d" % n for n in range(5)]
        for past in await bus.history(INBOX, box("full")):
            await bus.remove(INBOX, past.seq)
        await eventually(lambda: relayed(bus, 35))
    assert await bodies(bus, "full") == [b"%d" % n for n in range(5)]


async def len_is(bus, count):
    return len(await bus.history(INBOX, ">")) == count


async def test_a_mailbox_that_stays_full_makes_dead_letters(connect):
    """After its patience the relay gives messages without room to the dead letters, oldest first."""
    bus = await connect()
    for number in range(10):
        await bus.store(box("full"), b"", msg_id=f"f{number}")
    async with relaying(bus, patience=0.1):
        for number in range(3):
            await bus.publish("agents.full.inbox", b"%d" % number)
        letters = await eventually(lambda: dead(bus, 3))
        await eventually(lambda: relayed(bus, 10))
    assert [(letter.agent, letter.reason, letter.preview) for letter in letters] == [
        ("full", MailboxFull.code, str(n)) for n in range(3)
    ]


async def test_whoever_sent_what_the_relay_gives_up_is_told(connect):
    """It was acknowledged: it has a failed result, on its reply subject and in the outbox."""
    bus = await connect()
    heard = []
    await bus.subscribe("here", heard.append)
    for number in range(10):
        await bus.store(box("full"), b"", msg_id=f"f{number}")
    async with relaying(bus, patience=0.1):
        await bus.publish("agents.full.inbox", b"", {TASK_ID: "t1", REPLY_TO: "here"})
        await bus.publish("agents.full.inbox", b"", {MSG_ID: "any text/=+"})
        await bus.publish("orchestrator.inbox", b'{"action":"sing"}', {TASK_ID: "t3", REPLY_TO: "here"})
        await eventually(lambda: dead(bus, 3))
        await eventually(lambda: relayed(bus, 10))
    assert sorted((told.headers[TASK_ID], read_result(told.payload).failure.code) for told in heard) == [
        ("t1", MailboxFull.code),
        ("t3", "no_agent"),
    ]
    kept = [past.message.headers[TASK_ID] for past in await bus.history(OUTBOX, "agents.full.outbox")]
    assert kept == ["t1", "any text/=+"]


async def test_what_names_no_agent_is_a_dead_letter(connect):
    """Subjects with a token that cannot be an agent, or is reserved, are dead letters with their origin."""
    bus = await connect()
    async with relaying(bus):
        for subject in ("agents.BAD.inbox", "agents.prompt.inbox", "agents.ok.inbox"):
            await bus.publish(subject, b"x")
        letters = await eventually(lambda: dead(bus, 2))
        await eventually(lambda: relayed(bus, 1))
    assert {letter.reason for letter in letters} == {"bad_subject"}
    assert {letter.agent for letter in letters} == {"unroutable"}


async def test_the_orchestrator_chooses(connect):
    """A task for whoever can do it goes where the route says; without a route it is a dead letter."""
    bus = await connect()
    async with relaying(bus, lambda task: "writer" if task.action == "write" else None):
        for body in (b'{"action":"write"}', b'{"action":"sing"}', b"{broken"):
            await bus.publish("orchestrator.inbox", body)
        letters = await eventually(lambda: dead(bus, 2))
        await eventually(lambda: relayed(bus, 1))
    assert await bodies(bus, "writer") == [b'{"action":"write"}']
    assert sorted(letter.reason for letter in letters) == ["bad_message", "no_agent"]


async def test_a_task_whose_body_is_not_there_stops_nobody_behind_it(connect):
    """Anybody can name a blob that does not exist."""
    bus = await connect()
    async with relaying(bus, blobs=MemoryBlobs()) as running:
        await bus.publish("orchestrator.inbox", b"", {BLOB: "0" * 64, TASK_ID: "t1"})
        await bus.publish("agents.zed.inbox", b"behind")
        (letter,) = await eventually(lambda: dead(bus, 1))
        await eventually(lambda: relayed(bus, 1))
        assert not running.done()
    assert letter.reason == "bad_message"
    assert await bodies(bus, "zed") == [b"behind"]


async def test_a_message_is_relayed_once_over_takeovers(connect):
    """A relay that was replaced in the middle leaves neither gaps nor doubles, and ends."""
    bus, other = await connect(), await connect()
    async with relaying(bus) as first:
        for number in range(5):
            await bus.publish("agents.zed.inbox", b"%d" % number)
        async with relaying(other, epoch=2):
            for number in range(5, 10):
                await bus.publish("agents.zed.inbox", b"%d" % number)
            async with asyncio.timeout(5):
                await first
            await eventually(lambda: relayed(bus, 10))
    assert await bodies(bus, "zed") == [b"%d" % n for n in range(10)]
    with pytest.raises(Superseded):
        await bus.ingress(1)
