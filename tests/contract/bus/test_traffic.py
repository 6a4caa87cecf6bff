"""The short way between socket and handler: what strangers and unusual headers may not do to it."""

import socket

import pytest

from actorium.bus.envelope import GRANT, TASK_ID, read_envelope
from actorium.bus.errors import BadMessage
from eventually import eventually


async def test_a_subject_that_is_no_text_is_delivered_with_what_can_be_read_of_it(nats_bus, nats_server):
    """Whoever publishes bytes as a subject ends neither the subscription nor the connection."""
    heard, states = [], []
    nats_bus.on_reconnect(lambda: states.append("reconnected"))
    await nats_bus.subscribe("odd.*", lambda message: heard.append(message.payload))
    with socket.create_connection(("127.0.0.1", nats_server.port)) as raw:
        raw.sendall(b'CONNECT {"verbose":false}\r\nPUB odd.\xff 1\r\nx\r\nPUB odd.a 1\r\ny\r\nPING\r\n')
        seen = b""
        while b"PONG" not in seen:
            seen += raw.recv(4096)

    await eventually(lambda: len(heard) == 2, every=0.01)

    assert heard == [b"x", b"y"]
    assert states == []


@pytest.mark.parametrize("headers", [b"X", b"NATS/1.0 \xff\xfe\xfd\r\n\r\n", b"NATS/1.0", b"\r\n\r\n"])
async def test_headers_that_do_not_read_cost_their_own_message_only(nats_bus, nats_server, headers):
    """The connection goes on, and whoever reads the message sees that nothing can be made of it."""
    heard, states = [], []
    nats_bus.on_reconnect(lambda: states.append("reconnected"))
    await nats_bus.subscribe("odd.*", lambda message: heard.append((message.payload, message.headers)))
    with socket.create_connection(("127.0.0.1", nats_server.port)) as raw:
        told = b"HPUB odd.a %d %d\r\n%sx\r\n" % (len(headers), len(headers) + 1, headers)
        raw.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n' + told + b"PUB odd.a 1\r\ny\r\nPING\r\n")
        seen = b""
        while b"PONG" not in seen:
            seen += raw.recv(4096)

    await eventually(lambda: len(heard) == 2, every=0.01)

    assert [payload for payload, _ in heard] == [b"x", b"y"]
    assert states == []
    if heard[0][1]:
        with pytest.raises(BadMessage):
            read_envelope(heard[0][1], 0.0)


async def test_a_header_cannot_smuggle_another_one(nats_bus):
    """A line break in a value, of a name of ours or not, begins no line of its own."""
    heard = []
    await nats_bus.subscribe("headers", lambda message: heard.append(message.headers))

    await nats_bus.publish("headers", b"", {TASK_ID: "t1\r\nReply-To: thief", "X-Own": "1\nReply-To: thief"})
    await nats_bus.publish("headers", b"", {TASK_ID: "t1\r\nReply-To: thief"})
    await nats_bus.publish("headers", b"", {TASK_ID: "t1\nReply-To: thief\r"})
    await eventually(lambda: len(heard) == 3, every=0.01)

    assert [set(headers) for headers in heard] == [{TASK_ID, "X-Own"}, {TASK_ID}, {TASK_ID}]


async def test_a_header_of_ours_may_hold_any_text(nats_bus):
    """What is not ASCII, or looks like a header itself, arrives as it was sent."""
    heard = []
    told = {TASK_ID: "t1", GRANT: '{"naïve": "a: b", "\u2028": 1}'}
    await nats_bus.subscribe("headers", lambda message: heard.append(message.headers))

    await nats_bus.publish("headers", b"body", told)
    await eventually(lambda: heard, every=0.01)

    assert heard == [told]


async def test_a_closed_subscription_keeps_nothing(nats_bus):
    """Neither nats-py nor we remember who listened, however often that is."""
    before = len(nats_bus.client._handlers), len(nats_bus.client._subs)

    for number in range(5):
        await (await nats_bus.subscribe(f"s.{number}", lambda _: None)).close()

    assert (len(nats_bus.client._handlers), len(nats_bus.client._subs)) == before
