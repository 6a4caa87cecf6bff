"""Publish, request, subscribe: what NATS and its twin promise alike."""

import asyncio
import time

import pytest

from actorium.bus.errors import BadMessage, BusLost, ConfigError, DeadlineExceeded, NoOwner
from actorium.bus.port import Message
from eventually import eventually


async def test_a_message_arrives_whole(connect):
    """Subject, body, headers and reply subject arrive as they were sent, on another connection."""
    sender, receiver = await connect(), await connect()
    heard = []
    await receiver.subscribe("a.b", heard.append)
    await sender.publish("a.b", b"body", {"Task-Id": "t1", "x": "ü"}, reply="back.here")
    await eventually(lambda: heard)
    assert heard == [Message("a.b", b"body", {"Task-Id": "t1", "x": "ü"}, "back.here")]


async def test_messages_arrive_in_order(connect):
    """What one connection publishes on a subject arrives in that order."""
    sender, receiver = await connect(), await connect()
    heard = []
    await receiver.subscribe("a", lambda message: heard.append(int(message.payload)))
    for number in range(500):
        await sender.publish("a", b"%d" % number)
    await eventually(lambda: len(heard) == 500)
    assert heard == list(range(500))


@pytest.mark.parametrize(
    ("pattern", "hears"),
    [
        ("a.*", ["a.b", "a.c"]),
        ("a.>", ["a.b", "a.b.c", "a.c"]),
        ("*.b", ["a.b"]),
        ("a.b", ["a.b"]),
        (">", None),
    ],
)
async def test_wildcards(bus, pattern, hears):
    """`*` stands for one token and `>` for one or more at the end."""
    heard, last = [], []
    await bus.subscribe(pattern, lambda message: heard.append(message.subject))
    await bus.subscribe("end", last.append)
    subjects = ["a.b", "a.b.c", "a", "a.c", "end"]
    for subject in subjects:
        await bus.publish(subject, b"")
    await eventually(lambda: last)
    if hears is None:
        await eventually(lambda: len(heard) == len(subjects))
    else:
        await eventually(lambda: len(heard) >= len(hears))
        assert heard == hears


async def test_a_queue_shares_the_work(connect):
    """Each message goes to one member of a queue, to one of every queue, and to who has none."""
    bus = await connect()
    members, others, alone = [[], []], [], []
    for heard in members:
        await (await connect()).subscribe("work", heard.append, queue="q")
    await bus.subscribe("work", others.append, queue="other")
    await bus.subscribe("work", alone.append)
    for number in range(100):
        await bus.publish("work", b"%d" % number)
    await eventually(lambda: len(alone) == len(others) == 100 == len(members[0]) + len(members[1]))
    assert members[0]
    assert members[1]


async def test_a_handler_that_raises_gets_the_next_message(bus, caplog):
    """A bug in a handler is logged and ends neither its subscription nor that of others."""
    heard, others = [], []

    def handler(message):
        heard.append(message.payload)
        raise ValueError("a bug")

    await bus.subscribe("a", handler)
    await bus.subscribe("a", others.append)
    await bus.publish("a", b"1")
    await bus.publish("a", b"2")
    await eventually(lambda: len(heard) == len(others) == 2)
    assert [record.message for record in caplog.records] == ["bus.handler_failed"] * 2


async def test_a_closed_subscription_hears_nothing(bus):
    """After close no handler is called, and closing twice is allowed."""
    heard, others = [], []
    subscription = await bus.subscribe("a", heard.append)
    await bus.subscribe("a", others.append)
    await subscription.close()
    await subscription.close()
    await bus.publish("a", b"")
    await eventually(lambda: others)
    assert not heard


async def test_a_request_is_answered(connect):
    """The first reply to a request is its answer, with body and headers; a second one disturbs nobody."""
    bus, server = await connect(), await connect()

    def answer(message):
        for body in (b"re:" + message.payload, b"again"):
            tasks.append(asyncio.ensure_future(server.publish(message.reply, body, {"x": "1"})))

    tasks = []
    await server.subscribe("ask", answer)
    for number in range(3):
        reply = await bus.request("ask", b"%d" % number, {"h": "v"}, timeout=5)
        assert (reply.payload, reply.headers) == (b"re:%d" % number, {"x": "1"})
    await asyncio.gather(*tasks)


async def test_many_requests_at_once_get_their_own_answers(connect):
    """Answers are not mixed up between requests in flight."""
    bus, server = await connect(), await connect()
    tasks = []
    await server.subscribe(
        "ask",
        lambda message: tasks.append(asyncio.ensure_future(server.publish(message.reply, message.payload))),
    )
    replies = await asyncio.gather(*(bus.request("ask", b"%d" % n, timeout=5) for n in range(100)))
    assert [reply.payload for reply in replies] == [b"%d" % n for n in range(100)]
    await asyncio.gather(*tasks)


async def test_nobody_there_is_told_at_once(bus):
    """A request to a subject without listener fails at once, and says that it did not run."""
    started = time.monotonic()
    with pytest.raises(NoOwner):
        await bus.request("nobody", b"", timeout=20)
    assert time.monotonic() - started < 5


async def test_silence_ends_with_the_timeout(bus):
    """A request that nobody answers ends with its timeout, and the outcome is unknown."""
    await bus.subscribe("silent", lambda message: None)
    with pytest.raises(DeadlineExceeded):
        await bus.request("silent", b"", timeout=0.1)


@pytest.mark.parametrize("headers", [None, {"x": "y" * 3000}])
async def test_what_is_too_large_is_refused_here(bus, headers):
    """A frame over the server's limit is a BadMessage, and the connection lives on."""
    heard = []
    await bus.subscribe("a", heard.append)
    payload = b"x" * (bus.max_payload + 1 if headers is None else bus.max_payload - 2000)
    for sending in (
        bus.publish("a", payload, headers),
        bus.request("a", payload, headers, timeout=1),
        bus.store("inp.7.default.a", payload, headers, msg_id="m1"),
    ):
        with pytest.raises(BadMessage, match="bytes"):
            await sending
    await bus.publish("a", b"small")
    await eventually(lambda: heard)
    assert bus.connected


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0"])
async def test_a_subject_cannot_carry_a_command(bus, subject):
    """A subject that could break a protocol frame is a ConfigError."""
    with pytest.raises(ConfigError):
        await bus.publish(subject, b"")
    with pytest.raises(ConfigError):
        await bus.request(subject, b"", timeout=1)
    with pytest.raises(ConfigError):
        await bus.store(subject, b"", msg_id="m1")


async def test_a_closed_bus_sends_nothing(connect):
    """After close everything is BusLost, nothing is connected, and closing twice is allowed."""
    bus, other = await connect(), await connect()
    heard = []
    await other.subscribe("a", heard.append)
    await bus.publish("a", b"last")
    await bus.close()
    await bus.close()
    assert not bus.connected
    await eventually(lambda: heard)
    for sending in (
        bus.publish("a", b""),
        bus.request("a", b"", timeout=1),
        bus.store("inp.7.default.a", b"", msg_id="m1", timeout=0.2),
        bus.subscribe("a", heard.append),
        bus.history("INBOX", ">"),
        bus.feed(7, 1),
    ):
        with pytest.raises(BusLost):
            await sending


async def test_a_closing_bus_lets_nobody_wait(bus):
    """A request that waits when the bus is closed ends with BusLost."""
    await bus.subscribe("silent", lambda message: None)
    waiting = asyncio.ensure_future(bus.request("silent", b"", timeout=20))
    await asyncio.sleep(0.05)  # it is sent
    await bus.close()
    with pytest.raises(BusLost):
        await waiting
