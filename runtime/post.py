"""PostOffice: how settled letters leave a worker: results, dead letters, events, answers.

Invariant: a result is on its way to whoever waits before it is acknowledged, and is in the outbox, under the
task's id, before the letter is gone: a crash in between publishes it again under the same id.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from ..actors.card import Card
from ..actors.definition import Definition
from ..actors.port import Directive, Letter
from ..bus import subjects
from ..bus.claim import check_in, check_out
from ..bus.codec import encode
from ..bus.dead_letters import DeadLetters
from ..bus.envelope import BLOB, CORRELATION_ID, STATE, TASK_ID, may_answer
from ..bus.errors import ActoriumError, BadMessage, BusError, ConfigError
from ..bus.port import Bus, Feed, Message, Past
from ..bus.task import Event, Result
from ..bus.value import Json
from ..storage.errors import Corrupt, NotFound
from ..storage.port import Blobs
from .quarantine import Quarantine
from .telemetry import LogEvent

log = logging.getLogger("actorium.worker")

Key = tuple[str, str]  # tenant and agent
Reply = Callable[[Result], Coroutine[object, object, None]]
Wake = Callable[[str, str, str], Coroutine[object, object, None]]  # tenant, agent, task
PARKED = "parked"
REACH = 256  # messages of the outbox stream, from an agent's newest back, that are looked through for a run's
Supervise = Callable[[Definition, str], Coroutine[object, object, Directive]]


class Host(Protocol):
    """The partition whose letters a post settles."""

    part: int
    feed: Feed | None

    def release(self, letter: Letter) -> None:
        """A stored letter was acknowledged."""

    def faulted(self, key: Key, error: ActoriumError) -> None:
        """An activation cannot go on."""


class PostOffice:
    """What all actors of a worker send through.

    Args:
        bus: The connection.
        blobs: Where bodies over 64 KiB go.
        supervise: Asks the supervisor of an actor that failed.
        owned: Whether this worker's session is certainly alive, by its own clock.
        tasks: Owns what is sent without waiting.

    Attributes:
        hopeless: Whether a task waits for a delegate that nobody will run before we have stopped.
        wake: Has a run look again, wherever it is.
    """

    def __init__(
        self,
        bus: Bus,
        blobs: Blobs,
        supervise: Supervise,
        owned: Callable[[], bool],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.bus = bus
        self.blobs = blobs
        self.supervise = supervise
        self.owned = owned
        self.quarantine = Quarantine()
        self.hopeless: Callable[[str], bool] = lambda _: False
        self.wake: Wake = _nobody
        self._dead = DeadLetters(bus)
        self._tasks = tasks

    @property
    def ending(self) -> bool:
        """Whether the worker is ending."""
        probe = asyncio.sleep(0)
        try:
            self._tasks.create_task(probe)
        except RuntimeError:  # the group's way to say that it shuts down
            probe.close()
            return True
        return False

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run something without waiting, owned by the worker; its errors are answered or logged, not ours.

        In a worker that is ending nothing begins any more.
        """
        try:
            return self._tasks.create_task(_logged(work))
        except RuntimeError:  # the group's way to say that it shuts down
            work.close()
            ended = asyncio.get_running_loop().create_task(asyncio.sleep(0))
            ended.cancel()
            return ended

    def replier(self, subject: str) -> Reply:
        """A function that answers on a reply subject; `unheard` where there is none that we may use."""
        if not may_answer(subject):
            return unheard

        async def reply(result: Result) -> None:
            await self.answer(subject, result, {})

        return reply

    async def answer(self, subject: str, result: Result, headers: dict[str, str]) -> None:
        """Publish a result on a core subject. Delivery: at most once."""
        payload, blob = await check_in(self.blobs, encode(result))
        await self.bus.publish(subject, payload, headers | {BLOB: blob} if blob else headers or None)

    async def settle(
        self, key: Key, task_id: str, result: Result, *, reply_to: str, correlation_id: str, again: bool
    ) -> None:
        """Tell who waits, then keep the result in the outbox under the task's id."""
        headers = {TASK_ID: task_id}
        if correlation_id:
            headers[CORRELATION_ID] = correlation_id
        payload, blob = await check_in(self.blobs, encode(result))
        if blob:
            headers[BLOB] = blob
        if reply_to:
            with suppress(BusError, ConfigError):  # he can read it in the outbox
                await self.bus.publish(reply_to, payload, headers)
        if not again:
            outbox = subjects.public(*key, "outbox")
            await self.bus.store(outbox, payload, headers, msg_id=f"result:{'.'.join(key)}:{task_id}")

    async def tell_parked(self, subject: str, task_id: str) -> None:
        """Tell whoever waits for a task that it waits itself. Delivery: at most once."""
        with suppress(BusError):
            await self.bus.publish(subject, b"", {TASK_ID: task_id, STATE: PARKED})

    async def bury(
        self, part: int, key: Key, letter: Letter, *, reason: str, error: str, attempts: int
    ) -> None:
        """Write a dead letter, once per inbox sequence."""
        message = letter.message or Message(subjects.inbox(part, *key), b"")
        await self._dead.put(
            part,
            *key,
            message,
            reason=reason,
            error=error,
            attempts=attempts,
            msg_id=f"dlq:{part}:{letter.seq}",
        )

    async def event(self, key: Key, kind: str, task_id: str, **data: Json) -> None:
        """Publish an event of an agent, in order. Delivery: at most once."""
        told = Event(kind=kind, agent=key[1], task=task_id, at_ms=int(time.time() * 1000), data=data)
        with suppress(BusError):
            await self.bus.publish(subjects.public(*key, "events"), encode(told))


class HostPost:
    """The post of one actor on one partition."""

    __slots__ = ("_host", "_key", "_office")

    def __init__(self, office: PostOffice, host: Host, key: Key) -> None:
        self._office = office
        self._host = host
        self._key = key

    @property
    def part(self) -> int:
        """The partition of the agent."""
        return self._host.part

    def owned(self) -> bool:
        """Whether this process may still act for the agent, by its own clock."""
        return self._office.owned()

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """A task owned by the worker."""
        return self._office.spawn(work)

    def ending(self) -> bool:
        """Whether the worker is ending."""
        return self._office.ending

    def hopeless(self, letter: Letter) -> bool:
        """Whether it waits for a delegate while the last workers of the namespace stop."""
        return self._office.hopeless(letter.task_id)

    async def wait_owned(self) -> None:
        """Return as soon as this process may act for the agent."""
        while not self._office.owned():  # noqa: ASYNC110  # a clock says so, not an event
            await asyncio.sleep(0.05)  # a clock says so, not an event

    async def fetch(self, letter: Letter) -> Message:
        """The message of a stored letter: from memory, the stream, or the blobs."""
        message = await self._stored(letter)
        if letter.envelope.blob:
            try:
                payload = await check_out(self._office.blobs, message.payload, letter.envelope.blob)
            except (NotFound, Corrupt) as error:
                raise BadMessage(f"the task's body is gone: {error}") from error
            message = Message(message.subject, payload, message.headers)
        return message

    async def _stored(self, letter: Letter) -> Message:
        """The message as it was stored: from memory or the stream."""
        if letter.message is not None:
            return letter.message
        subject = subjects.inbox(self._host.part, *self._key)
        past = await self._office.bus.history(subjects.INBOX, subject, after=letter.seq - 1, limit=1)
        if not past or past[0].seq != letter.seq:
            raise BadMessage(f"task {letter.seq} is not in the inbox stream any more")
        return past[0].message

    async def settle(self, letter: Letter, result: Result, *, again: bool = False) -> None:
        """Publish the result, then acknowledge the letter."""
        envelope = letter.envelope
        await self._office.settle(
            self._key,
            letter.task_id,
            result,
            reply_to=envelope.reply_to,
            correlation_id=envelope.correlation_id,
            again=again,
        )
        await self.accept(letter)

    async def last_kept(self) -> str:
        """The id of the task whose result came last into the outbox."""
        newest = await self._office.bus.newest(subjects.OUTBOX, self._outbox)
        return _task_id(newest) if newest is not None else ""

    async def accept(self, letter: Letter) -> None:
        """Acknowledge a stored letter."""
        if self._host.feed is not None:
            await self._host.feed.ack(letter.token)
        self._host.release(letter)

    async def publish(self, card: Card, result: Result, *, doubted: bool) -> None:
        """Tell the result of a run, then keep it in the outbox."""
        again = doubted and await self._is_kept(card.task_id)
        await self._office.settle(
            self._key,
            card.task_id,
            result,
            reply_to=card.reply_to,
            correlation_id=card.correlation_id,
            again=again,
        )

    async def _is_kept(self, task_id: str) -> bool:
        """Whether the result of a run is among the newest: runs end in any order."""
        bus, newest = self._office.bus, await self._office.bus.newest(subjects.OUTBOX, self._outbox)
        if newest is None:
            return False
        after = max(0, newest.seq - REACH)
        kept = await bus.history(subjects.OUTBOX, self._outbox, after=after, limit=REACH)
        return task_id in map(_task_id, kept)

    @property
    def _outbox(self) -> str:
        return subjects.public(*self._key, "outbox")

    async def tell_parked(self, card: Card) -> None:
        """Tell whoever gave the task that it waits."""
        await self._office.tell_parked(card.reply_to, card.task_id)

    async def wake(self, agent: str, task_id: str) -> None:
        """Have a run of another agent look again."""
        await self._office.wake(self._key[0], agent, task_id)

    def alone(self, letter: Letter, attempts: int) -> AbstractAsyncContextManager[object]:
        """One suspect at a time in this worker."""
        return self._office.quarantine.alone(f"{'.'.join(self._key)}:{letter.task_id}", attempts)

    async def bury(self, letter: Letter, reason: str, error: str, attempts: int) -> None:
        """Write a stored letter, whole, to the dead letters."""
        part = self._host.part
        if letter.message is None:
            with suppress(BadMessage):  # it is gone: its number and the reason are kept all the same
                letter.message = await self._stored(letter)
        await self._office.bury(part, self._key, letter, reason=reason, error=error, attempts=attempts)

    async def supervise(self, definition: Definition, error: str) -> Directive:
        """Ask the supervisor what becomes of the actor."""
        return await self._office.supervise(definition, error)

    def faulted(self, error: ActoriumError) -> None:
        """Have the activation made anew."""
        self._host.faulted(self._key, error)

    async def event(self, kind: str, task_id: str, **data: Json) -> None:
        """Publish an event of the agent, in order; that it was given up is said in the log too."""
        if kind == "stopped":
            log.warning(LogEvent.AGENT_STOPPED, extra={"fields": {"agent": self._key[1], **data}})
        await self._office.event(self._key, kind, task_id, **data)


def _task_id(kept: Past) -> str:
    return (kept.message.headers or {}).get(TASK_ID, "")


async def unheard(result: Result) -> None:
    """The reply to who cannot be answered."""


async def _nobody(tenant: str, agent: str, task_id: str) -> None:
    """Where nothing carries runs, nobody is woken."""


async def _logged(work: Coroutine[object, object, None]) -> None:
    """An answer that could not be sent is no reason to end a worker; a bug of ours is, and passes."""
    try:
        await work
    except ActoriumError as error:
        log.warning(LogEvent.NOT_SENT, extra={"fields": {"code": error.code, "error": error.message}})
