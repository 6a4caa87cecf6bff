"""Bus: how messages travel, as small protocols that NATS and the in-process twin both keep.

Three ways to travel: core (publish, request, subscribe: at most once), stored (`store`: at least once, then
made effectively once by the receiver), and the partition feeds that hand stored tasks to their owner.
Invariant: a handler is synchronous and never blocks; who needs to wait starts a task of its own.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message as it came: the body is still raw."""

    subject: str
    payload: bytes
    headers: Mapping[str, str] | None = None
    reply: str = ""


class Delivered(msgspec.Struct, frozen=True):
    """A stored task handed to the owner of its partition.

    Attributes:
        seq: Its sequence in the inbox stream: grows, and stays the same over redeliveries.
        token: What the feed needs to acknowledge it; changes with every delivery.
    """

    seq: int
    message: Message
    token: str


Handler = Callable[[Message], None]


class Stored(msgspec.Struct, frozen=True):
    """The receipt for a stored message. Only a receipt with a sequence is one."""

    seq: int
    duplicate: bool = False


class Past(msgspec.Struct, frozen=True):
    """A message read back from a stream; `at` is the server's wall clock, seconds since 1970."""

    seq: int
    at: float
    message: Message


class Subscription(Protocol):
    """A live subscription to a core subject."""

    async def close(self) -> None:
        """End it: nothing more comes, and what had come before is handled first. Idempotent."""


class Bus(Protocol):
    """The connection to everybody else."""

    @property
    def connected(self) -> bool:
        """Whether the server can be reached right now."""

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, reply: str = ""
    ) -> None:
        """Publish to whoever listens now. Delivery: at most once; while disconnected it may be dropped.

        Args:
            reply: The subject a receiver answers on.
        """

    async def request(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, timeout: float
    ) -> Message:
        """Publish and wait for one reply.

        Cancellation: the wait ends at once; the message may still be handled.

        Args:
            timeout: Seconds to wait.

        Raises:
            NoOwner: Nobody listens on the subject (told at once).
            DeadlineExceeded: No reply in time; whether it was handled is unknown.
            BusLost: The connection went away; whether it was handled is unknown.
        """

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Call the handler for every message on the subject; with a queue, one member of it gets each."""

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        msg_id: str,
        timeout: float = 20.0,
    ) -> Stored:
        """Publish to a stream and wait until it is stored, trying again with the same id while it is unknown.

        Delivery: at least once in the stream; a repetition with the same id inside the server's window is
        stored once. Cancellation: it may or may not be stored.

        Args:
            msg_id: The id that makes a retry the same message.
            timeout: Seconds to go on trying over lost connections and leader changes.

        Raises:
            MailboxFull: The subject holds its bound: not stored.
            NotStored: The server refused it; the message says why.
            BusLost: Still unknown when the timeout ended.
        """

    async def feed(self, part: int, epoch: int) -> "Feed":
        """Take over a partition's stored tasks in an epoch; feeds of lower epochs are dead afterwards.

        Everything not acknowledged comes again, in stream order.

        Raises:
            Superseded: A feed of a higher epoch exists: this owner is fenced.
        """

    async def ingress(self, epoch: int) -> "Feed":
        """Take over, in an epoch, what raw publishers sent where the server does not map it into inboxes.

        Raises:
            Superseded: A feed of a higher epoch exists.
        """

    async def history(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> list[Past]:
        """What is stored on a subject (wildcards allowed), oldest first, from after a sequence.

        Read from the stream's leader: what was acknowledged to anybody before the call is seen.
        """

    async def newest(self, stream: str, subject: str) -> Past | None:
        """The last message stored on a subject, read from the leader; None where there is none."""

    async def remove(self, stream: str, seq: int) -> bool:
        """Delete one stored message; False where it was not there."""

    async def close(self) -> None:
        """Say what was buffered and close. Idempotent."""


class Feed(Protocol):
    """The stored tasks of one partition in one epoch."""

    def __aiter__(self) -> AsyncIterator[Delivered]:
        """Tasks in stream order, for ever; ends when the feed was superseded or closed.

        Raises:
            Interrupted: Deliveries may have been missed (a reconnect, a gap): open a feed of the next epoch.
        """

    async def ack(self, token: str) -> None:
        """Remove the task for good. Not confirmed: a lost ack means it comes again, and is skipped then."""

    async def working(self, token: str) -> None:
        """Say that a task is still held: past the server's ack wait the feed is interrupted."""

    async def close(self) -> None:
        """Stop receiving; unacknowledged tasks wait for the next feed."""
