"""MemoryHub: what a NATS server is to its clients, inside one process: subjects, queue groups, streams.

For tests and tutorials; nothing falls back to it. Not responsible for age limits, replicas or a disk.
Invariant: it keeps the contract of the bus (tests/contract/bus), and delivers in the order of publishing.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from .envelope import EXPECTED_STREAM, MSG_ID
from .errors import BusError, ConfigError, MailboxFull, Superseded
from .jetstream import MAILBOX_FULL, Json, PubAck, Refusal
from .port import Handler, Message, Past, Stored
from .streams import StreamSettings, definitions
from .subjects import inbox, parse_public, partition

log = logging.getLogger("actorium.bus")


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of a pattern's, with `*` for one token and `>` for the rest."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in {"*", given[index]}:
            return False
    return len(wanted) == len(given)


class Listener:
    """One subscription; without a queue it gets everything."""

    def __init__(self, pattern: str, queue: str, handler: Handler) -> None:
        self.pattern = pattern
        self.queue = queue
        self.handler = handler
        self.open = True

    def hear(self, message: Message) -> None:
        """Call the handler, unless it was closed meanwhile; a handler that raises is logged."""
        if not self.open:
            return
        try:
            self.handler(message)
        except Exception:  # the same boundary as in NatsBus
            log.exception("bus.handler_failed", extra={"subject": message.subject})


class MemoryStream:
    """What one stream keeps."""

    def __init__(self, config: Json, clock: Callable[[], float]) -> None:
        self.name: str = config["name"]
        self._subjects: list[str] = config["subjects"]
        self._bound: int = config.get("max_msgs_per_subject", 0)
        self._refuses = config["discard"] == "new" and config.get("discard_new_per_subject", False)
        self._keeps: bool = config.get("deny_delete", False)
        self._window: float = config.get("duplicate_window", 120 * 10**9) / 1e9
        self._clock = clock
        self._last = 0
        self._ids: dict[str, tuple[int, float]] = {}
        self._same: dict[str, dict[int, Past]] = {}  # by subject
        self.kept: dict[int, Past] = {}

    def takes(self, subject: str) -> bool:
        """Whether the stream keeps a subject."""
        return any(matches(pattern, subject) for pattern in self._subjects)

    def store(self, message: Message) -> Stored:
        """Keep a message, unless its id is known or its subject is full."""
        msg_id = (message.headers or {}).get(MSG_ID, "")
        seq, since = self._ids.get(msg_id, (0, 0.0))
        if msg_id and seq and self._clock() - since <= self._window:
            return Stored(seq, duplicate=True)
        same = self._same.setdefault(message.subject, {})
        if self._bound and len(same) >= self._bound:
            if self._refuses:
                raise MailboxFull(
                    f"{message.subject} holds as much as it may: try again later", subject=message.subject
                )
            self._drop(next(iter(same)))
        self._last += 1
        self.kept[self._last] = same[self._last] = Past(self._last, time.time(), message)
        if msg_id:
            self._ids[msg_id] = (self._last, self._clock())
        return Stored(self._last)

    def remove(self, seq: int) -> bool:
        """Delete a message; False where it was not there."""
        if self._keeps:
            raise BusError(f"stream {self.name}: message delete not permitted", stream=self.name)
        return self._drop(seq)

    def on(self, pattern: str, after: int = 0) -> list[Past]:
        """What is kept on a subject behind a sequence, oldest first."""
        return [
            past for seq, past in self.kept.items() if seq > after and matches(pattern, past.message.subject)
        ]

    def _drop(self, seq: int) -> bool:
        past = self.kept.pop(seq, None)
        if past is not None:
            del self._same[past.message.subject][seq]
        return past is not None


class Reader(Protocol):
    """Who reads a stream in an epoch."""

    epoch: int

    def told(self, past: Past) -> None:
        """A message was stored for it."""

    def wake(self) -> None:
        """Look again who reads it."""


class MemoryHub:
    """What several `MemoryBus` connect to.

    Args:
        settings: Bounds of the streams, as for a server.
        mappings: Whether publishes to `agents.<id>.inbox` land in INBOX at once.
        clock: Monotonic seconds, for the window in which message ids are known.
    """

    def __init__(
        self,
        settings: StreamSettings | None = None,
        *,
        mappings: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or StreamSettings()
        self._mappings = mappings
        self._listeners: list[Listener] = []
        self._turns: dict[tuple[str, str], int] = {}
        self.readers: dict[tuple[str, str], Reader] = {}
        self.streams = {
            name: MemoryStream(config, clock) for name, config in definitions(self._settings).items()
        }

    def stream(self, name: str) -> MemoryStream:
        """A stream by name.

        Raises:
            ConfigError: There is none.
        """
        if name not in self.streams:
            raise ConfigError(f"stream {name} does not exist: `actorium up` makes it", stream=name)
        return self.streams[name]

    def listen(self, listener: Listener) -> None:
        """Begin to deliver to a listener."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener, *, at_once: bool = True) -> None:
        """Stop to deliver; at once: what is on its way is dropped."""
        listener.open = not at_once
        if listener in self._listeners:
            self._listeners.remove(listener)

    def take(self, line: tuple[str, str], reader: Reader) -> None:
        """Make a reader the one of a stream and a pattern; the one before is woken to see it.

        Raises:
            Superseded: There is one of a higher epoch.
        """
        before = self.readers.get(line)
        if before is not None and before.epoch > reader.epoch:
            raise Superseded(f"epoch {before.epoch} of {line[1]} has taken over from epoch {reader.epoch}")
        self.readers[line] = reader
        if before is not None:
            before.wake()

    def publish(self, message: Message) -> bool:
        """Deliver to who listens, and keep it where a stream takes it, which answers on the reply subject.

        Returns:
            Whether anybody got it.
        """
        message = self._mapped(message)
        heard = self._deliver(message)
        stream = self._keeper(message.subject)
        if stream is None:
            return heard
        receipt = self._receipt(stream, message)
        if message.reply:
            self._deliver(Message(message.reply, msgspec.json.encode(receipt)))
        return True

    def store(self, message: Message) -> Stored | None:
        """As publish, with the receipt of the stream; None where no stream takes it.

        Raises:
            MailboxFull: The stream refused; listeners have it nevertheless, as with NATS.
        """
        message = self._mapped(message)
        self._deliver(message)
        stream = self._keeper(message.subject)
        return self._keep(stream, message) if stream else None

    def _keeper(self, subject: str) -> MemoryStream | None:
        return next((stream for stream in self.streams.values() if stream.takes(subject)), None)

    def _keep(self, stream: MemoryStream, message: Message) -> Stored:
        stored = stream.store(msgspec.structs.replace(message, reply=""))
        for (name, pattern), reader in self.readers.items():
            if name == stream.name and not stored.duplicate and matches(pattern, message.subject):
                reader.told(stream.kept[stored.seq])
        return stored

    def _receipt(self, stream: MemoryStream, message: Message) -> PubAck:
        wanted = (message.headers or {}).get(EXPECTED_STREAM, stream.name)
        if wanted != stream.name:
            return PubAck(stream=stream.name, error=Refusal(400, 10060, "expected stream does not match"))
        try:
            stored = self._keep(stream, message)
        except MailboxFull as error:
            return PubAck(stream=stream.name, error=Refusal(503, MAILBOX_FULL, error.message))
        return PubAck(seq=stored.seq, duplicate=stored.duplicate, stream=stream.name)

    def _deliver(self, message: Message) -> bool:
        hearing = [one for one in self._listeners if matches(one.pattern, message.subject)]
        groups: dict[tuple[str, str], list[Listener]] = {}
        chosen = []
        for one in hearing:
            if one.queue:
                groups.setdefault((one.pattern, one.queue), []).append(one)
            else:
                chosen.append(one)
        for key, members in groups.items():
            turn = self._turns[key] = self._turns.get(key, -1) + 1
            chosen.append(members[turn % len(members)])
        loop = asyncio.get_running_loop()
        for one in chosen:
            loop.call_soon(one.hear, message)
        return bool(chosen)

    def _mapped(self, message: Message) -> Message:
        named = parse_public(message.subject) if self._mappings else None
        if named is None or named[2] != "inbox":
            return message
        tenant, agent, _ = named
        part = partition(tenant, agent, self._settings.partitions)
        return msgspec.structs.replace(message, subject=inbox(part, tenant, agent))
