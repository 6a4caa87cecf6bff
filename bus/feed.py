"""Feed: the stored messages of one partition for one owner, in order, fenced by consumer generations.

A generation is a durable consumer named by its epoch (`p7-e5`); opening one deletes the lower ones, after
which their acks and pulls do nothing. Not responsible for who owns the partition.
Invariant: a feed yields every message behind the last ack in stream order, or it raises Interrupted.
"""

import logging
from collections.abc import AsyncIterator

import msgspec

from .errors import ConfigError, Superseded
from .jetstream import NO_CONSUMER, ApiError, JetStream, Json, refused
from .patience import Patience
from .port import Delivered
from .pull import Pull, Puller

log = logging.getLogger("actorium.bus")

OVERLAPS = frozenset({10099, 10100})  # another consumer of the WorkQueue stream has part of the filter


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How feeds pull. Times are seconds.

    Attributes:
        batch: Messages per request, and the bound of what is buffered here (half as much again).
        expires: How long a request waits on the server.
        heartbeat: How often it says that it lives; silence of twice that and it is issued again.
        ack_wait: After it the server gives up on an owner; longer work calls `Feed.working`.
        patience: How long opening a feed is tried.
    """

    batch: int = 256
    expires: float = 30.0
    heartbeat: float = 5.0
    ack_wait: float = 60.0
    patience: float = 20.0


class Generation(msgspec.Struct, frozen=True):
    """One consumer in the line of those that share its prefix and its subjects.

    Attributes:
        prefix: Such as `p7-e`; the epoch makes it a name.
        subject: What it gets; empty: the whole stream.
    """

    stream: str
    prefix: str
    epoch: int
    subject: str = ""

    def of(self, epoch: int) -> str:
        """The name of another generation of the line."""
        return f"{self.prefix}{epoch}"

    @property
    def name(self) -> str:
        """The durable name of this one."""
        return self.of(self.epoch)


class NatsFeed:
    """The Feed port on one consumer generation. Made by `open_feed`; iterate it once."""

    def __init__(self, puller: Puller, pull: Pull) -> None:
        self._puller = puller
        self._pull = pull
        self._order = 0

    async def __aiter__(self) -> AsyncIterator[Delivered]:
        """Messages in stream order; ends when the feed was superseded or closed.

        Raises:
            Interrupted: Deliveries may have been missed: open a feed of the next epoch.
        """
        while (delivery := await self._pull.next()) is not None:
            if delivery.times > 1:
                self._pull.interrupt(f"message {delivery.seq} came again, out of order")
            elif delivery.order != self._order + 1:
                self._pull.interrupt(f"delivery {self._order + 1} is missing, {delivery.order} came")
            else:
                self._order = delivery.order
                yield Delivered(delivery.seq, delivery.message, delivery.token)

    async def ack(self, token: str) -> None:
        """Remove the message for good. Not confirmed; of a superseded feed it does nothing."""
        await self._puller.answer(token, b"+ACK")

    async def working(self, token: str) -> None:
        """Begin the ack wait anew. Not confirmed."""
        await self._puller.answer(token, b"+WPI")

    async def close(self) -> None:
        """Stop receiving; unacknowledged messages wait for the next feed. Idempotent."""
        await self._pull.close()


async def open_feed(js: JetStream, puller: Puller, line: Generation, settings: FeedSettings) -> NatsFeed:
    """Make a consumer generation the only one of its line, and pull from it.

    Raises:
        Superseded: A higher generation exists.
        BusLost: The server did not answer within `settings.patience`.
        ConfigError: The stream is missing.
        BusError: The server refused the consumer.
    """
    config = _config(line, settings)
    try:
        patience = Patience(settings.patience)
        await patience.ask(lambda: _establish(js, line, config), f"opening {line.name}", OVERLAPS)
    except ApiError as error:
        raise refused(error, line.stream) from error
    return NatsFeed(puller, await puller.open(line.stream, line.name, settings.batch))


def _config(line: Generation, settings: FeedSettings) -> Json:
    config: Json = {
        "durable_name": line.name,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(settings.ack_wait * 1e9),
        "max_deliver": -1,
        "max_ack_pending": -1,
        "replay_policy": "instant",
    }
    return {**config, "filter_subject": line.subject} if line.subject else config


async def _establish(js: JetStream, line: Generation, config: Json) -> None:
    await _delete(js, line.stream, line.of(line.epoch - 1))  # nearly always the only other one
    try:
        info = await _create(js, line, config)
    except ApiError as error:
        if error.err_code not in OVERLAPS:
            raise
        await _clear(js, line)
        info = await _create(js, line, config)
    if info.get("delivered", {}).get("consumer_seq", 0):  # ours, used before: what it delivered comes again
        await _delete(js, line.stream, line.name)
        info = await _create(js, line, config)
    _compare(config, info.get("config", {}), line.name)


async def _create(js: JetStream, line: Generation, config: Json) -> Json:
    body = {"stream_name": line.stream, "config": config}
    return await js.api(f"CONSUMER.DURABLE.CREATE.{line.stream}.{line.name}", body)


async def _delete(js: JetStream, stream: str, name: str) -> None:
    try:
        await js.api(f"CONSUMER.DELETE.{stream}.{name}")
    except ApiError as error:
        if error.err_code != NO_CONSUMER:
            raise


async def _clear(js: JetStream, line: Generation) -> None:
    """Delete every lower generation; Superseded where a higher one exists."""
    found = await _epochs(js, line)
    if max(found, default=0) > line.epoch:
        raise Superseded(f"{line.of(max(found))} has taken over from {line.name}", consumer=line.name)
    for lower in found:
        if lower < line.epoch:
            log.info("bus.generation_removed", extra={"consumer": line.of(lower)})
            await _delete(js, line.stream, line.of(lower))


async def _epochs(js: JetStream, line: Generation) -> list[int]:
    names: list[str] = []
    while True:
        page = await js.api(f"CONSUMER.NAMES.{line.stream}", {"offset": len(names)})
        more = page.get("consumers") or []
        names += more
        if not more or len(names) >= page.get("total", 0):
            break
    tails = [name.removeprefix(line.prefix) for name in names if name.startswith(line.prefix)]
    return [int(tail) for tail in tails if tail.isdecimal()]


def _compare(asked: Json, echo: Json, name: str) -> None:
    for field, value in asked.items():
        if echo.get(field) != value:
            raise ConfigError(
                f"consumer {name}: {field} is {echo.get(field)!r} and not {value!r}", consumer=name
            )
