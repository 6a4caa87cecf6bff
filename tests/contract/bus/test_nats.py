"""What only a real server can do: die, fall silent, refuse, be somebody else's."""

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from actorium.bus.connection import Credentials
from actorium.bus.errors import BusLost, ConfigError, DeadlineExceeded, Interrupted
from actorium.bus.feed import FeedSettings
from actorium.bus.nats import NatsBus
from actorium.bus.server import nats_mappings
from actorium.bus.streams import StreamSettings, provision
from actorium.bus.subjects import INBOX, inbox, partition, public
from eventually import eventually

A = inbox(7, "default", "a")


async def take(feed, count):
    taken = []
    async with asyncio.timeout(10):
        async for delivered in feed:
            taken.append(delivered)
            if len(taken) == count:
                break
    return taken


async def fill(bus, count, *, start=0):
    for number in range(start, start + count):
        await bus.store(A, b"%d" % number, msg_id=f"m{number}")


def numbers(taken):
    return [int(delivered.message.payload) for delivered in taken]


async def ended(feed):
    async with asyncio.timeout(10):
        return [delivered async for delivered in feed]


# --- the server dies ---------------------------------------------------------------------------------


async def test_nothing_stored_is_lost_when_the_server_is_killed(nats_server, nats_bus):
    """After kill -9 and a restart what was stored is there, the bus is back, the feed says Interrupted."""
    states = []
    bus = await NatsBus.connect(nats_server.url, name="test", on_state=states.append)
    await fill(bus, 8)
    feed = await bus.feed(7, 1)
    assert numbers(await take(feed, 3)) == [0, 1, 2]
    nats_server.kill()
    await eventually(lambda: not bus.connected)
    nats_server.start()
    with pytest.raises(Interrupted):
        await ended(feed)
    assert bus.connected
    assert states == [False, True]
    assert [past.message.payload for past in await bus.history(INBOX, A)] == [b"%d" % n for n in range(8)]
    assert numbers(await take(await bus.feed(7, 2), 8)) == list(range(8))
    await bus.close()


async def test_a_subscription_that_was_closed_while_the_server_died_stays_closed(nats_server, nats_bus):
    """A reconnect does not bring it back beside the next one on its subject: asks would run twice."""
    heard = []
    first = await nats_bus.subscribe("ctl.7.*.*", lambda message: heard.append("first"))
    closing = asyncio.create_task(first.close())
    await asyncio.sleep(0)
    nats_server.kill()
    nats_server.start()
    await closing
    await eventually(lambda: nats_bus.connected)
    await nats_bus.subscribe("ctl.7.*.*", lambda message: heard.append("second"))
    await nats_bus.publish("ctl.7.default.a", b"")
    await nats_bus.subscribe("end", lambda message: heard.append("end"))
    await nats_bus.publish("end", b"")
    await eventually(lambda: "end" in heard)
    assert heard == ["second", "end"]


async def test_unacknowledged_comes_again_after_a_kill(nats_server, nats_bus):
    """After a kill the next epoch gets everything that was not acknowledged, in order.

    What was acknowledged just before may come too: 2.9.10 forgets all such acks.
    """
    await fill(nats_bus, 10)
    feed = await nats_bus.feed(7, 1)
    for delivered in (await take(feed, 6))[:4]:
        await feed.ack(delivered.token)
    nats_server.kill()
    nats_server.start()
    with pytest.raises(Interrupted):
        await ended(feed)
    again = await nats_bus.feed(7, 2)
    got = numbers(await take(again, 6))
    if got[0] != 4:
        got += numbers(await take(again, 4))
    assert got == list(range(got[0], 10))
    assert got[0] <= 4


async def test_a_store_waits_for_the_server(nats_server, nats_bus):
    """A store begun while the server is away is done when it is back."""
    nats_server.kill()
    await eventually(lambda: not nats_bus.connected)
    storing = asyncio.ensure_future(nats_bus.store(A, b"late", msg_id="m1"))
    await asyncio.sleep(0.1)  # it waits
    assert not storing.done()
    nats_server.start()
    assert (await storing).seq
    assert [past.message.payload for past in await nats_bus.history(INBOX, A)] == [b"late"]


async def test_a_server_that_stays_away_is_told(nats_server, nats_bus):
    """While the server is away requests and stores end in time as BusLost, publishes are dropped."""
    nats_server.kill()
    await eventually(lambda: not nats_bus.connected)
    with pytest.raises(BusLost):
        await nats_bus.request("a", b"", timeout=0.2)
    with pytest.raises(BusLost, match="unknown"):
        await nats_bus.store(A, b"", msg_id="m1", timeout=0.2)
    await nats_bus.publish("a", b"dropped")


async def test_who_waits_for_an_answer_is_told_of_the_loss(nats_server, nats_bus):
    """A request in flight ends with BusLost when the connection goes, long before its timeout."""
    await nats_bus.subscribe("silent", lambda message: None)
    asking = asyncio.ensure_future(nats_bus.request("silent", b"", timeout=60))
    await asyncio.sleep(0.05)  # it is sent
    nats_server.kill()
    with pytest.raises(BusLost):
        async with asyncio.timeout(5):
            await asking


async def test_subscriptions_and_callbacks_survive(nats_server, nats_bus):
    """After a restart subscriptions hear again, and reconnect callbacks have run."""
    heard, called = [], []

    async def callback():
        called.append(nats_bus.connected)

    nats_bus.on_reconnect(callback)
    await nats_bus.subscribe("a", heard.append)
    nats_server.stop()
    await eventually(lambda: not nats_bus.connected)
    nats_server.start()
    await eventually(lambda: called)
    assert called == [True]
    await nats_bus.publish("a", b"")
    await eventually(lambda: heard)


async def test_the_log_of_a_loss_is_short(nats_server, nats_bus, caplog):
    """Losing the server and finding it again is a few events, and no traceback."""
    caplog.set_level(logging.INFO)
    nats_server.kill()
    await eventually(lambda: not nats_bus.connected)
    nats_server.start()
    await eventually(lambda: nats_bus.connected)
    await eventually(lambda: [record for record in caplog.records if record.message == "bus.reconnected"])
    assert {record.message for record in caplog.records} <= {
        "bus.error",
        "bus.disconnected",
        "bus.reconnected",
    }
    assert all(record.exc_info is None for record in caplog.records)


# --- the server is silent or says no -----------------------------------------------------------------


async def freeze(server):
    """Stop every thread of the server, until SIGCONT."""
    os.kill(server.pid, signal.SIGSTOP)
    threads = Path(f"/proc/{server.pid}/task")
    await eventually(lambda: all(" T " in (one / "stat").read_text() for one in threads.iterdir()))


async def test_a_silent_server_is_asked_again(nats_server, nats_bus):
    """A server that stood still for longer than heartbeats allow delivers afterwards, everything once."""
    feed = await nats_bus.feed(7, 1)
    await freeze(nats_server)
    await asyncio.sleep(1.0)  # five heartbeats of silence
    os.kill(nats_server.pid, signal.SIGCONT)
    await fill(nats_bus, 10)
    assert numbers(await take(feed, 10)) == list(range(10))


async def test_pulls_outlive_their_expiry(nats_bus):
    """A feed that was idle for longer than a pull lives still delivers at once."""
    feed = await nats_bus.feed(7, 1)
    await asyncio.sleep(1.3)  # pulls expire after 1 s
    started = time.monotonic()
    await fill(nats_bus, 1)
    assert numbers(await take(feed, 1)) == [0]
    assert time.monotonic() - started < 0.5


async def test_a_late_pong_does_no_harm(nats_server, nats_bus):
    """A flush that timed out leaves a connection that still reads."""
    await freeze(nats_server)
    with pytest.raises(TimeoutError):
        await nats_bus.client.flush(0.05)
    os.kill(nats_server.pid, signal.SIGCONT)
    for _ in range(3):
        assert await nats_bus.js.api("INFO")


async def test_a_flush_is_a_barrier(nats_server, nats_bus):
    """What was subscribed or published before a flush is known to the server after it."""
    other = await NatsBus.connect(nats_server.url, name="other")
    heard = []
    for number in range(200):
        await (await nats_bus.subscribe(f"a.{number}", heard.append)).close()
        await nats_bus.subscribe(f"b.{number}", heard.append)
        await other.publish(f"b.{number}", b"")
        await other.client.flush()
        await nats_bus.client.flush()
    await eventually(lambda: len(heard) == 200)
    await other.close()


async def test_an_error_of_the_server_does_not_end_the_bus(nats_bus):
    """When the server closes the connection with an error, the bus connects again."""
    nats_bus.client._max_payload = 2**30  # so that nats-py lets it pass
    await nats_bus.client.publish("a", b"x" * (1024 * 1024 + 1))
    await eventually(lambda: not nats_bus.connected)
    await eventually(lambda: nats_bus.connected)
    await fill(nats_bus, 1)


async def test_wrong_credentials_are_told_at_once(nats_server_factory):
    """Credentials that the server refuses are a ConfigError without the password; right ones connect."""
    server = nats_server_factory(config="authorization { user: bob, password: secret }")
    started = time.monotonic()
    for credentials in (Credentials(user="bob", password="wrong"), Credentials(token="wrong"), None):
        with pytest.raises(ConfigError, match="refuses") as caught:
            await NatsBus.connect(server.url, name="test", credentials=credentials, connect_timeout=20)
        assert "wrong" not in str(caught.value)
    assert time.monotonic() - started < 5
    bus = await NatsBus.connect(
        server.url, name="test", credentials=Credentials(user="bob", password="secret")
    )
    await bus.close()


async def test_tls_means_tls_and_no_password_goes_in_clear(nats_server):
    """A server that speaks no TLS is refused at once, before it is told who we are."""
    started = time.monotonic()
    secret = nats_server.url.replace("nats://", "tls://u:secret@")
    with pytest.raises(ConfigError, match="speaks no TLS") as caught:
        await NatsBus.connect(secret, name="test", connect_timeout=20)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 5


async def test_a_missing_server_is_told_in_time(nats_server):
    """Where nobody answers, connecting ends in time with an error that says what to do, without secrets."""
    nats_server.kill()
    started = time.monotonic()
    with pytest.raises(BusLost, match=r"no nats-server at nats://\*\*\*@127.0.0.1.*nats-server -js"):
        await NatsBus.connect(nats_server.url.replace("//", "//u:p@"), name="test", connect_timeout=0.5)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("url", ["nats://127.0.0.1:port", "nats://", "http://127.0.0.1:4222"])
async def test_a_url_that_is_none_is_a_config_error(url):
    """A URL that cannot be read is found at once."""
    with pytest.raises(ConfigError, match="cannot connect"):
        await NatsBus.connect(url, name="test")


# --- others interfere --------------------------------------------------------------------------------


async def test_a_gap_interrupts_the_feed(nats_server, nats_bus):
    """When somebody else pulled a message from the consumer, the feed says Interrupted and does not go on."""
    bus = await NatsBus.connect(nats_server.url, name="test", feeds=FeedSettings(batch=1))
    feed = await bus.feed(7, 1)
    await fill(bus, 1)
    await eventually(lambda: unpulled(bus))
    stolen = []
    await nats_bus.subscribe("thief", stolen.append)
    await nats_bus.publish("$JS.API.CONSUMER.MSG.NEXT.INBOX.p7-e1", b"1", reply="thief")
    await fill(bus, 1, start=1)
    await eventually(lambda: stolen)
    assert numbers(await take(feed, 1)) == [0]
    await fill(bus, 1, start=2)
    with pytest.raises(Interrupted, match="is missing"):
        await ended(feed)
    assert numbers(await take(await bus.feed(7, 2), 3)) == [0, 1, 2]
    await bus.close()


async def test_a_missing_last_message_interrupts_the_feed(nats_server, nats_bus):
    """A message that went elsewhere is missed by the next heartbeat, though nothing comes after it."""
    bus = await NatsBus.connect(nats_server.url, name="test", feeds=FeedSettings(batch=1, heartbeat=0.2))
    feed = await bus.feed(7, 1)
    await fill(bus, 1)
    await eventually(lambda: unpulled(bus))
    stolen = []
    await nats_bus.subscribe("thief", stolen.append)
    await nats_bus.publish("$JS.API.CONSUMER.MSG.NEXT.INBOX.p7-e1", b"1", reply="thief")
    await fill(bus, 1, start=1)
    await eventually(lambda: stolen)
    assert numbers(await take(feed, 1)) == [0]
    with pytest.raises(Interrupted, match="delivery 2 is missing"):
        await ended(feed)
    await bus.close()


async def unpulled(bus):
    """Whether the one request of the feed has been used up."""
    info = await bus.js.api("CONSUMER.INFO.INBOX.p7-e1")
    return info["num_waiting"] == 0 and info["num_ack_pending"] == 1


async def test_a_task_held_too_long_interrupts_the_feed(nats_server, nats_bus):
    """A task that comes again because it was held past the ack wait is not handed out behind newer ones."""
    bus = await NatsBus.connect(nats_server.url, name="test", feeds=FeedSettings(ack_wait=0.3, heartbeat=0.2))
    await fill(bus, 1)
    feed = await bus.feed(7, 1)
    await take(feed, 1)
    with pytest.raises(Interrupted, match="came again"):
        await ended(feed)
    await bus.close()


async def test_an_announced_task_may_be_held(nats_server, nats_bus):
    """A task that is announced as held does not come again past the ack wait."""
    bus = await NatsBus.connect(nats_server.url, name="test", feeds=FeedSettings(ack_wait=0.5, heartbeat=0.2))
    await fill(bus, 1)
    feed = await bus.feed(7, 1)
    (held,) = await take(feed, 1)
    for _ in range(10):
        await feed.working(held.token)
        await asyncio.sleep(0.1)
    await fill(bus, 1, start=1)
    assert numbers(await take(feed, 1)) == [1]
    await bus.close()


async def test_a_feed_ends_when_its_consumer_is_deleted(nats_bus):
    """A consumer that somebody deleted ends the feed, whether a pull was waiting or is sent afterwards."""
    feed = await nats_bus.feed(7, 1)
    await nats_bus.js.api("CONSUMER.DELETE.INBOX.p7-e1")
    assert await ended(feed) == []
    pull = await nats_bus.puller.open(INBOX, "p7-e1", 1)
    async with asyncio.timeout(10):
        assert await pull.next() is None


async def test_status_headers_of_a_publisher_are_not_believed(nats_bus):
    """A stored message with a Status header of its own is a message, not a status of the pull."""
    await nats_bus.store(A, b"0", {"Status": "409", "Description": "Consumer Deleted"}, msg_id="m0")
    await fill(nats_bus, 1, start=1)
    feed = await nats_bus.feed(7, 1)
    assert numbers(await take(feed, 2)) == [0, 1]


async def test_only_one_pull_waits(nats_bus):
    """A feed has one request outstanding, also after many batches and expiries."""
    feed = await nats_bus.feed(7, 1)
    await fill(nats_bus, 10)
    for delivered in await take(feed, 10):
        await feed.ack(delivered.token)
    await asyncio.sleep(1.2)  # pulls expire after 1 s
    info = await nats_bus.js.api("CONSUMER.INFO.INBOX.p7-e1")
    assert info["num_waiting"] == 1


# --- provisioning ------------------------------------------------------------------------------------


async def test_provisioning_again_changes_nothing(nats_bus):
    """Streams that are as asked for are accepted, by any number of processes at once."""
    await asyncio.gather(
        *(provision(nats_bus.js, nats_bus.server_version, StreamSettings(mailbox=10)) for _ in range(4))
    )


async def test_provisioning_at_once_from_nothing(nats_server):
    """Several processes that provision an empty server at once all succeed."""
    bus = await NatsBus.connect(nats_server.url, name="test")
    await asyncio.gather(*(provision(bus.js, bus.server_version, StreamSettings()) for _ in range(8)))
    await bus.close()


async def test_streams_that_are_read_while_they_are_made_end_no_server(nats_server):
    """Whoever comes early looks for streams that a node is just making; 2.9.10 died of that."""
    maker, *readers = [await NatsBus.connect(nats_server.url, name="test") for _ in range(5)]
    making = [f"S{number}" for number in range(60)]

    async def read(bus):
        while making and bus.connected:
            with suppress(ConfigError, BusLost):
                await bus.newest(making[0], "s.>")

    async with asyncio.TaskGroup() as tasks:
        for bus in readers:
            tasks.create_task(read(bus))
        while making:
            subject = f"s.{making[0]}"
            await maker.js.api(f"STREAM.CREATE.{making[0]}", {"name": making[0], "subjects": [subject]})
            making.pop(0)
    for bus in (maker, *readers):
        await bus.close()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (StreamSettings(mailbox=11), r"INGRESS is there with max_msgs_per_subject = 10, and 11"),
        (StreamSettings(mailbox=10, events_age=60.0), r"EVENTS is there with max_age"),
        (StreamSettings(mailbox=10, partitions=32), r"has 64 partitions and 32 are configured"),
    ],
)
async def test_another_configuration_is_told(nats_bus, settings, told):
    """A stream or a number of partitions that differs is a ConfigError with both values."""
    with pytest.raises(ConfigError, match=told):
        await provision(nats_bus.js, nats_bus.server_version, settings)


async def test_provisioning_without_a_server_ends(nats_server, nats_bus):
    """Provisioning tries for its patience and then says that nobody answers."""
    nats_server.kill()
    nats_bus.js._timeout = 0.2
    with pytest.raises((BusLost, DeadlineExceeded)):
        await provision(nats_bus.js, (2, 15, 0), StreamSettings(mailbox=10, patience=0.5))


async def test_our_mappings_make_the_server_choose_our_partition(nats_server_factory):
    """A server with our nats.conf lines stores where Python looks, for any number of partitions."""
    settings = StreamSettings(partitions=16)
    server = nats_server_factory(mappings=False, config=nats_mappings(16))
    bus = await NatsBus.connect(server.url, name="test")
    await provision(bus.js, bus.server_version, settings)
    agents = [("default", f"agent-{n}") for n in range(20)] + [("acme", f"agent-{n}") for n in range(20)]
    for agent in agents:
        await bus.store(public(*agent, "inbox"), b"", msg_id="/".join(agent))
    wanted = [inbox(partition(*agent, 16), *agent) for agent in agents]
    assert [past.message.subject for past in await bus.history(INBOX, ">")] == wanted
    await bus.close()


async def test_what_the_server_delivered_before_a_close_is_handled(nats_bus, nats_server):
    """A request that was on its way when its subscription ended is not lost without a word."""
    heard = []
    subscription = await nats_bus.subscribe("closing", lambda message: heard.append(message.payload))
    with socket.create_connection(("127.0.0.1", nats_server.port)) as raw:  # blocks the loop: nobody reads
        raw.sendall(b'CONNECT {"verbose":false}\r\n' + b"PUB closing 1\r\nx\r\n" * 100 + b"PING\r\n")
        seen = b""
        while b"PONG" not in seen:
            seen += raw.recv(4096)

    await subscription.close()

    assert heard == [b"x"] * 100
