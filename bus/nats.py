"""NatsBus: the bus on a NATS server, through one nats-py connection.

Not responsible for streams being there (`streams.py`) nor for the order of a feed (`feed.py`).
Invariant: nothing is sent that the server answers by closing the connection, such as an oversized payload.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from nats import errors as nats_errors
from nats.aio.subscription import Subscription as Raw

from . import jetstream
from .codec import check_frame
from .connection import Connection, Credentials, Version
from .envelope import MSG_ID
from .feed import FeedSettings, Generation, NatsFeed, open_feed
from .jetstream import NO_MESSAGE, NOT_DELETED, ApiError, JetStream, PubAck, explained, refused
from .port import Handler, Message, Past, Stored
from .pull import Puller
from .storing import store
from .subjects import INBOX, INGRESS, consumers, inbox_filter

log = logging.getLogger("actorium.bus")

CLOSING = 2.0  # seconds that a subscription may take to end


class NatsSubscription:
    """A live core subscription."""

    def __init__(self, raw: Raw, connection: Connection) -> None:
        self._raw = raw
        self._connection = connection

    async def close(self) -> None:
        """End it: nothing more comes, and what had come before is handled first. Idempotent.

        Else a request that was delivered a moment ago would be answered by nobody, not even by a 503.
        """
        try:
            if self._connection.is_connected:
                async with asyncio.timeout(CLOSING):
                    await self._raw.drain()  # type: ignore[no-untyped-call]  # nats-py has no types here
            else:
                await self._raw.unsubscribe()
        except (nats_errors.Error, TimeoutError):
            log.debug("bus.unsubscribed_late", extra={"subject": self._raw.subject})
        finally:  # what nats-py still knows it subscribes again at the next reconnect
            self._connection.forget(self._raw)


class NatsBus:
    """The Bus port on NATS. Made by `connect`.

    Attributes:
        js: JetStream on the same connection.
        puller: Every pull of this connection.
    """

    js: JetStream
    puller: Puller

    def __init__(
        self, url: str, *, js_timeout: float, feeds: "FeedSettings", on_state: Callable[[bool], None] | None
    ) -> None:
        self._connection = Connection(url, self._state)
        self._on_state = on_state
        self._feeds = feeds
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self.js = JetStream(self._connection, js_timeout)
        self.puller = Puller(self._connection, self.js, expires=feeds.expires, heartbeat=feeds.heartbeat)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str,
        credentials: Credentials | None = None,
        on_state: Callable[[bool], None] | None = None,
        js_timeout: float = 3.0,
        connect_timeout: float = 5.0,
        feeds: FeedSettings | None = None,
    ) -> Self:
        """Connect, and from then on reconnect for ever.

        Args:
            url: One server or several, with commas between them.
            name: What the server shows for this connection.
            on_state: Told True and False as the connection comes and goes; not for the first time.
            js_timeout: Seconds to wait for one answer of JetStream before it is asked again.
            connect_timeout: Seconds to try for the first time.
            feeds: How feeds pull.

        Raises:
            BusLost: Nobody answered in time.
            ConfigError: The URL cannot be read, or the server refuses the credentials.
        """
        bus = cls(url, js_timeout=js_timeout, feeds=feeds or FeedSettings(), on_state=on_state)
        await bus._connection.open(name, credentials or Credentials(), connect_timeout)
        return bus

    @property
    def client(self) -> Connection:
        """The nats-py client, for what is not a message of ours."""
        return self._connection

    @property
    def connected(self) -> bool:
        """Whether the server can be reached right now."""
        return self._connection.is_connected

    @property
    def server_version(self) -> Version:
        """The version of the server this connection is at now."""
        return self._connection.version

    @property
    def max_payload(self) -> int:
        """Bytes of headers and body together that the server takes."""
        return self._connection.max_payload

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have a coroutine function called after every reconnect, in order of registration."""
        self._callbacks.append(callback)

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, reply: str = ""
    ) -> None:
        """Publish to whoever listens now. Delivery: at most once; while disconnected it may be dropped.

        Raises:
            BadMessage: Too large for the server.
            ConfigError: A subject that cannot be.
            BusLost: The connection is closed.
        """
        check_frame(subject, payload, headers, self.max_payload)
        if not (self.connected or self._connection.is_closed):
            log.debug("bus.dropped", extra={"subject": subject})
            return
        try:
            await self._connection.publish(subject, payload, reply, dict(headers) if headers else None)
        except nats_errors.Error as error:
            raise explained(error, subject) from error

    async def request(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, timeout: float
    ) -> Message:
        """Publish and wait for one reply, as the port says; while disconnected it waits to be sent.

        Raises:
            NoOwner: Nobody listens on the subject (told at once).
            DeadlineExceeded: No reply in time; whether it was handled is unknown.
            BusLost: The connection went away; whether it was handled is unknown.
            BadMessage: Too large for the server.
        """
        check_frame(subject, payload, headers, self.max_payload)
        left = timeout
        if not self.connected:
            clock = asyncio.get_running_loop().time
            started = clock()
            await self._connection.reach(timeout)
            left -= clock() - started
        return await jetstream.request(self._connection, subject, payload, headers, left)

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> NatsSubscription:
        """Call the handler for every message on the subject; with a queue, one member of it gets each.

        When it returns the server knows of it. A handler that raises is logged, and gets the next message.
        """
        try:
            raw = await self._connection.listen(subject, handler, queue)
            if self.connected:
                await self._connection.flush(2)
        except nats_errors.TimeoutError:
            log.info("bus.subscribed_late", extra={"subject": subject})  # sent again by the reconnect
        except nats_errors.Error as error:
            raise explained(error, subject) from error
        return NatsSubscription(raw, self._connection)

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        msg_id: str,
        timeout: float = 20.0,
    ) -> Stored:
        """Publish to a stream and wait until it is stored, as the port and `storing.py` say.

        Raises:
            MailboxFull: The subject holds its bound: not stored.
            NotStored: The server refused it; the message says why.
            BusLost: Still unknown when the timeout ended.
            BadMessage: Too large for the server.
        """
        check_frame(subject, payload, {**(headers or {}), MSG_ID: msg_id}, self.max_payload)

        async def send(named: Mapping[str, str], left: float) -> PubAck:
            await self._connection.reach(left)
            return await self.js.publish(subject, payload, named, timeout=left)

        return await store(send, subject, headers or {}, msg_id=msg_id, timeout=timeout)

    async def feed(self, part: int, epoch: int) -> NatsFeed:
        """Take over a partition's stored tasks in an epoch; feeds of lower epochs are dead afterwards.

        Raises:
            Superseded: A feed of a higher epoch exists: this owner is fenced.
            BusLost: The server did not answer for 20 s.
        """
        return await self._open(Generation(INBOX, consumers(part), epoch, inbox_filter(part)))

    async def ingress(self, epoch: int) -> NatsFeed:
        """Take over INGRESS in an epoch: one relay at a time, or the order per agent would be lost.

        Raises:
            Superseded: A feed of a higher epoch exists.
            BusLost: The server did not answer for 20 s.
        """
        return await self._open(Generation(INGRESS, "relay-e", epoch))

    async def _open(self, line: Generation) -> NatsFeed:
        return await open_feed(self.js, self.puller, line, self._feeds)

    async def history(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> list[Past]:
        """What is stored on a subject, oldest first, read from the stream's leader.

        Raises:
            ConfigError: There is no such stream.
            BusLost: No answer.
        """
        found: list[Past] = []
        while len(found) < limit:
            try:
                past = await self.js.get(stream, seq=after + 1, next_by=subject)
            except ApiError as error:
                raise refused(error, stream) from error
            if past is None:
                break
            found.append(past)
            after = past.seq
        return found

    async def newest(self, stream: str, subject: str) -> Past | None:
        """The last message stored on a subject, read from the leader; None where there is none.

        Raises:
            ConfigError: There is no such stream.
            BusLost: No answer.
        """
        try:
            return await self.js.get(stream, last_by=subject)
        except ApiError as error:
            raise refused(error, stream) from error

    async def remove(self, stream: str, seq: int) -> bool:
        """Delete one stored message; False where it was not there.

        Raises:
            ConfigError: There is no such stream.
            BusError: The stream does not allow it.
        """
        try:
            await self.js.api(f"STREAM.MSG.DELETE.{stream}", {"seq": seq, "no_erase": True})
        except ApiError as error:
            if error.err_code in {NO_MESSAGE, NOT_DELETED} and await self._absent(stream, seq):
                return False
            raise refused(error, stream) from error
        return True

    async def _absent(self, stream: str, seq: int) -> bool:
        """Whether a message is not there; what the server says about it when deleting differs by version."""
        return await self.js.get(stream, seq=seq) is None

    async def close(self) -> None:
        """Say what was buffered and close. Idempotent."""
        await self.puller.close()
        await self._connection.end()

    async def _state(self, up: bool) -> None:
        try:
            if up:
                self.puller.interrupt()
            if self._on_state is not None:
                self._on_state(up)
            for callback in self._callbacks if up else ():
                await callback()
        except Exception:  # the boundary: it would end the reconnecting of nats-py
            log.exception("bus.callback_failed")
