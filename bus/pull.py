"""Pull: stored messages of durable consumers, asked for in batches over one shared reply inbox.

One `Puller` per connection, one `Pull` per consumer with never more than one request outstanding, one sweep
for all timers. Not responsible for order or for missed messages (`feed.py`).
Invariant: a request that may have died without a word (silence, a reconnect, a status) is issued again.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping

import msgspec
from nats import errors as nats_errors

from .errors import BusError, Interrupted
from .frame import Delivery, Next, after_status, parse_ack
from .jetstream import NO_CONSUMER, ApiError, JetStream
from .port import Message
from .traffic import Traffic

log = logging.getLogger("actorium.bus")

MAX_PAUSE = 1.0  # seconds between requests that the server refuses


class Pull:
    """The messages of one durable consumer, in the order they arrived. Made by `Puller.open`."""

    def __init__(self, puller: "Puller", stream: str, consumer: str, batch: int, token: str) -> None:
        self.stream = stream
        self.consumer = consumer
        self.token = token  # in the subject of its statuses
        self._puller = puller
        self.batch = batch
        self._buffer: deque[Delivery] = deque()
        self._ready = asyncio.Event()
        self._error: Interrupted | None = None
        self._ended = False
        self._order = 0  # of the newest delivery
        self.serial = 0  # of the request that is outstanding
        self.left = 0  # messages it may still bring
        self.heard = 0.0  # when the server last said anything about it
        self.due: float | None = None  # when to ask again
        self.refused = 0  # requests refused in a row

    async def next(self) -> Delivery | None:
        """The next message; None when the consumer was deleted or the pull closed.

        Cancellation: nothing is lost.

        Raises:
            Interrupted: The connection was lost in between: what it carried may be missing.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self._buffer:
                delivery = self._buffer.popleft()
                if self.hungry:
                    await self._puller.ask(self)
                return delivery
            if self._ended:
                return None
            self._ready.clear()
            await self._ready.wait()

    @property
    def hungry(self) -> bool:
        """Whether the last batch is used up and the next one has room."""
        return self.left == 0 and self.due is None and self.live and 2 * len(self._buffer) <= self.batch

    def put(self, delivery: Delivery, now: float) -> None:
        """A message has come."""
        self.heard, self.refused = now, 0
        self.left = max(0, self.left - 1)
        self._order = delivery.order
        self._buffer.append(delivery)
        self._ready.set()

    def beat(self, newest: str) -> None:
        """The server says that the request lives, and which delivery was the newest."""
        self.refused = 0
        if newest.isdecimal() and int(newest) > self._order:
            self.interrupt(f"delivery {newest} is missing, {self._order} was the newest to come")

    def interrupt(self, why: str) -> None:
        """Deliveries may be missing: who reads is told, once and for good."""
        self._error = self._error or Interrupted(f"{self.consumer}: {why}", consumer=self.consumer)
        self.due = None
        self._buffer.clear()
        self._ready.set()

    def end(self) -> None:
        """No more messages will come; what is buffered belongs to somebody else now."""
        self._ended, self.due = True, None
        self._buffer.clear()
        self._ready.set()

    def is_due(self, now: float) -> bool:
        """Whether a refused request should be issued again."""
        return self.due is not None and self.due <= now

    def is_silent(self, since: float) -> bool:
        """Whether nothing was heard of a request since then."""
        return self.live and self.left > 0 and self.heard < since

    @property
    def live(self) -> bool:
        """Whether requests make sense."""
        return not self._ended and self._error is None

    async def close(self) -> None:
        """Stop. What was delivered and not acknowledged comes again to the next consumer."""
        self.end()
        self._puller.forget(self)


class Puller:
    """All pulls of one connection.

    Args:
        expires: Seconds a request waits on the server.
        heartbeat: Seconds between signs of life of a request without messages; at most half of `expires`.
    """

    def __init__(
        self, client: Traffic, js: JetStream, *, expires: float = 30.0, heartbeat: float = 5.0
    ) -> None:
        self._client = client
        self._js = js
        self._expires = expires
        self._heartbeat = heartbeat
        self._inbox = ""
        self._sweeper: asyncio.Task[None] | None = None
        self._by_token: dict[str, Pull] = {}
        self._by_consumer: dict[tuple[str, str], Pull] = {}
        self._next_id = 0
        self._wake = asyncio.Event()

    async def open(self, stream: str, consumer: str, batch: int) -> Pull:
        """Begin to pull from a durable consumer; an older pull from the same one ends."""
        await self._start()
        older = self._by_consumer.get((stream, consumer))
        if older is not None:
            await older.close()
        self._next_id += 1
        pull = Pull(self, stream, consumer, batch, f"{consumer}-{self._next_id}")
        self._by_token[pull.token] = self._by_consumer[stream, consumer] = pull
        await self.ask(pull)
        return pull

    async def ask(self, pull: Pull) -> None:
        """Issue a request. One that cannot be sent now is sent by the sweep or after the reconnect."""
        if not pull.live:
            return
        pull.serial += 1
        pull.left, pull.due, pull.heard = pull.batch, None, _now()
        body = {
            "batch": pull.batch,
            "expires": int(self._expires * 1e9),
            "idle_heartbeat": int(self._heartbeat * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{pull.stream}.{pull.consumer}"
        reply = f"{self._inbox}.{pull.token}-{pull.serial}"
        try:
            await self._client.publish(subject, msgspec.json.encode(body), reply)
        except nats_errors.Error as error:
            log.debug("bus.pull_unsent", extra={"consumer": pull.consumer, "error": str(error)})

    async def answer(self, token: str, word: bytes) -> None:
        """Publish on an ack subject. A lost answer means that the message comes again."""
        try:
            await self._client.publish(token, word)
        except nats_errors.Error as error:
            log.debug("bus.ack_unsent", extra={"token": token, "error": str(error)})

    def interrupt(self) -> None:
        """The connection was lost and is back: every pull may have missed messages."""
        self._interrupt("the connection was lost in between")

    def forget(self, pull: Pull) -> None:
        """Drop what belongs to a closed pull."""
        self._by_token.pop(pull.token, None)
        if self._by_consumer.get((pull.stream, pull.consumer)) is pull:
            del self._by_consumer[pull.stream, pull.consumer]

    async def close(self) -> None:
        """End every pull and the sweep. Idempotent."""
        for pull in list(self._by_token.values()):
            await pull.close()
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.wait([sweeper])

    def _interrupt(self, why: str) -> None:
        for pull in list(self._by_token.values()):
            pull.interrupt(why)

    async def _start(self) -> None:
        if self._sweeper is None:
            self._inbox = self._client.new_inbox()
            self._sweeper = asyncio.create_task(self._sweep(), name="actorium-pull-sweep")
            self._sweeper.add_done_callback(self._swept)
            await self._client.listen(f"{self._inbox}.*", self._came)

    def _came(self, message: Message) -> None:
        if message.subject.startswith(self._inbox):  # deliveries keep their own subject, statuses do not
            self._status(message.subject[len(self._inbox) + 1 :], message.headers or {})
            return
        parsed = parse_ack(message.reply)
        pull = self._by_consumer.get(parsed[:2]) if parsed else None
        if parsed is not None and pull is not None and pull.live:
            _, _, times, seq, order = parsed
            pull.put(Delivery(seq, order, times, message.reply, message), _now())

    def _status(self, token: str, headers: Mapping[str, str]) -> None:
        name, _, serial = token.rpartition("-")
        pull = self._by_token.get(name)
        if pull is None or serial != str(pull.serial):
            return  # of a request that was given up
        pull.heard = _now()
        match after_status(headers.get("Status", ""), headers.get("Description", "")):
            case Next.WAIT:
                pull.beat(headers.get("Nats-Last-Consumer", ""))
            case Next.AGAIN:
                pull.refused = 0
                self._postpone(pull, 0.0)
            case Next.LATER:
                log.info("bus.pull_refused", extra={"consumer": pull.consumer, "status": dict(headers)})
                self._postpone(pull, min(MAX_PAUSE, 0.02 * 2 ** min(pull.refused, 10)))
                pull.refused += 1
            case Next.GONE:
                pull.end()

    def _postpone(self, pull: Pull, pause: float) -> None:
        """Have the sweep ask again after so many seconds."""
        if pull.live:
            pull.left, pull.due = 0, _now() + pause
            self._wake.set()

    async def _sweep(self) -> None:
        """Ask again where a request is due or has gone silent."""
        while True:
            now = _now()
            async with asyncio.TaskGroup() as group:
                for pull in list(self._by_token.values()):
                    silent = pull.is_silent(now - 2 * self._heartbeat)
                    if silent or pull.is_due(now):
                        group.create_task(self._revive(pull, suspect=silent or pull.refused > 1))
            self._wake.clear()
            dues = [pull.due - _now() for pull in self._by_token.values() if pull.due is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.005, min([self._heartbeat / 2, *dues]))):
                    await self._wake.wait()

    def _swept(self, sweeper: asyncio.Task[None]) -> None:
        if not sweeper.cancelled():  # our bug: without the sweep nobody would notice a silent server
            log.critical("bus.sweep_failed", exc_info=sweeper.exception())
            self._sweeper = None  # the next pull starts another
            self._interrupt("its timers have failed")

    async def _revive(self, pull: Pull, *, suspect: bool) -> None:
        if not self._client.is_connected:
            return
        if suspect and await self._is_gone(pull):
            pull.end()
            return
        pull.left, pull.due = 0, None
        if pull.hungry:
            await self.ask(pull)

    async def _is_gone(self, pull: Pull) -> bool:
        """Whether the server says that the consumer is not there: 2.9.10 is silent about it."""
        try:
            await self._js.api(f"CONSUMER.INFO.{pull.stream}.{pull.consumer}")
        except ApiError as error:
            return error.err_code == NO_CONSUMER
        except BusError as error:
            log.info("bus.consumer_unknown", extra={"consumer": pull.consumer, "error": str(error)})
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
