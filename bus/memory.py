"""MemoryBus: the bus inside one process, for tests and tutorials; several share a `MemoryHub`.

Invariant: it keeps the same contract as NatsBus (tests/contract/bus), and without a network every run of a
test goes the same way.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from itertools import count

from .codec import check_frame
from .envelope import MSG_ID
from .errors import BusClosed, BusLost, ConfigError, DeadlineExceeded, NoOwner
from .memory_feed import MemoryFeed
from .memory_hub import Listener, MemoryHub
from .port import Handler, Message, Past, Stored
from .subjects import INBOX, INGRESS, inbox_filter

MAX_PAYLOAD = 1024 * 1024  # bytes, the default of nats-server


class MemorySubscription:
    """A live subscription."""

    def __init__(self, hub: MemoryHub, listener: Listener) -> None:
        self._hub = hub
        self._listener = listener

    async def close(self) -> None:
        """End it: nothing more comes, and what had come before is handled first. Idempotent."""
        self._hub.unlisten(self._listener, at_once=False)
        await asyncio.sleep(0)
        self._listener.open = False


class MemoryBus:
    """The Bus port on a hub."""

    _serials = count(1)

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self._listeners: list[Listener] = []
        self._feeds: list[MemoryFeed] = []
        self._waiting: set[asyncio.Future[Message]] = set()
        self._up = asyncio.Event()
        self._up.set()
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the hub can be reached right now."""
        return self._up.is_set() and not self._closed

    @property
    def max_payload(self) -> int:
        """Bytes of headers and body together that the hub takes."""
        return MAX_PAYLOAD

    def sever(self) -> None:
        """Lose the connection, as a test wishes: who waits for an answer is told."""
        self._up.clear()
        self._lose("the connection was lost")

    def heal(self) -> None:
        """Reach the hub again; feeds may have missed deliveries."""
        self._up.set()
        for feed in self._feeds:
            feed.interrupt()

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, reply: str = ""
    ) -> None:
        """Publish to whoever listens now. Delivery: at most once; while severed it is dropped."""
        message = self._message(subject, payload, headers, reply)
        if self._up.is_set():
            self._hub.publish(message)

    async def request(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, timeout: float
    ) -> Message:
        """Publish and wait for one reply, as the port says; while severed it waits to be sent."""
        reply = f"_INBOX.memory.{next(self._serials)}"
        message = self._message(subject, payload, headers, reply)
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        listener = Listener(reply, "", partial(_set, answered))
        self._waiting.add(answered)
        self._hub.listen(listener)
        try:
            async with asyncio.timeout(timeout):
                await self._reach()
                if not self._hub.publish(message):
                    raise NoOwner(f"nobody listens on {subject}", subject=subject)
                return await answered
        except TimeoutError as error:
            if not self.connected:
                raise BusLost(f"the hub cannot be reached since {timeout:g} s", subject=subject) from error
            raise DeadlineExceeded(f"no reply from {subject} in {timeout:g} s", subject=subject) from error
        finally:
            self._waiting.discard(answered)
            self._hub.unlisten(listener)

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> MemorySubscription:
        """Call the handler for every message on the subject; with a queue, one member of it gets each."""
        self._open_for(subject)
        listener = Listener(subject, queue, handler)
        self._listeners.append(listener)
        self._hub.listen(listener)
        return MemorySubscription(self._hub, listener)

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        msg_id: str,
        timeout: float = 20.0,
    ) -> Stored:
        """Publish to a stream and wait until it is stored, as the port says."""
        message = self._message(subject, payload, {**(headers or {}), MSG_ID: msg_id}, "")
        try:
            async with asyncio.timeout(timeout):
                await self._reach()
        except TimeoutError as error:
            raise BusLost(f"the hub cannot be reached since {timeout:g} s", subject=subject) from error
        stored = self._hub.store(message)
        if stored is None:
            raise BusLost(f"nothing stores {subject}", subject=subject)
        return stored

    async def feed(self, part: int, epoch: int) -> MemoryFeed:
        """Take over a partition's stored tasks in an epoch; feeds of lower epochs are dead afterwards.

        Raises:
            Superseded: A feed of a higher epoch exists: this owner is fenced.
        """
        self._open_for(INBOX)
        return self._feed(MemoryFeed(self._hub, INBOX, inbox_filter(part), epoch))

    async def ingress(self, epoch: int) -> MemoryFeed:
        """Take over INGRESS in an epoch; it holds something only with `MemoryHub(mappings=False)`.

        Raises:
            Superseded: A feed of a higher epoch exists.
        """
        self._open_for(INGRESS)
        return self._feed(MemoryFeed(self._hub, INGRESS, ">", epoch))

    async def history(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> list[Past]:
        """What is stored on a subject, oldest first."""
        self._open_for(subject)
        return self._hub.stream(stream).on(subject, after)[:limit]

    async def newest(self, stream: str, subject: str) -> Past | None:
        """The last message stored on a subject; None where there is none."""
        self._open_for(subject)
        found = self._hub.stream(stream).on(subject)
        return found[-1] if found else None

    async def remove(self, stream: str, seq: int) -> bool:
        """Delete one stored message; False where it was not there."""
        self._open_for(stream)
        return self._hub.stream(stream).remove(seq)

    async def close(self) -> None:
        """End what this bus began. Idempotent."""
        self._closed = True
        for listener in self._listeners:
            self._hub.unlisten(listener)
        for feed in self._feeds:
            await feed.close()
        self._lose("the bus is closed")

    def _feed(self, feed: MemoryFeed) -> MemoryFeed:
        self._feeds.append(feed)
        return feed

    async def _reach(self) -> None:
        await self._up.wait()
        self._open_for("the hub")

    def _lose(self, why: str) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(BusLost(why))

    def _open_for(self, subject: str) -> None:
        if self._closed:
            raise BusClosed(f"the bus is closed, nothing goes to {subject}", subject=subject)

    def _message(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None, reply: str
    ) -> Message:
        self._open_for(subject)
        if not subject or any(mark in subject for mark in " \t\r\n"):
            raise ConfigError(f"subject {subject!r} is none", subject=subject)
        check_frame(subject, payload, headers, MAX_PAYLOAD)
        return Message(subject, payload, dict(headers) if headers else None, reply)


def _set(answered: asyncio.Future[Message], answer: Message) -> None:
    if not answered.done():  # the first reply counts
        answered.set_result(answer)
