"""BusCourier: what clients and actors say to agents, carried over the bus.

Finds the partition, checks large bodies in and out, waits for answers and turns them into results or errors.
Not responsible for ids and deadlines: the caller's envelope has them. Invariant: a delegated task's result
is found even if the answer to us was lost, because its owner is asked for it again.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import count
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec

from ..actors.definition import Definition
from ..actors.errors import ActorStopped, BadTask, Paused, UnknownAgent, UnknownKind
from ..actors.receipt import Receipt
from ..bus import subjects
from ..bus.claim import check_in, check_out
from ..bus.codec import encode, read_result, read_task
from ..bus.envelope import BLOB, OP, STATE, TASK_ID, Envelope
from ..bus.errors import BusLost, DeadlineExceeded, Failure, MailboxFull, NoOwner, from_failure
from ..bus.port import Bus, Message, Subscription
from ..bus.task import Event, Result, Task
from ..bus.value import JsonObject
from ..storage.port import Blobs
from .asks import Asks
from .registry import Registry

CANCEL_TIMEOUT = 30.0  # seconds: it reaches every descendant before it is answered
CONTROL_TIMEOUT = 3.0  # seconds for one control call; callers with time left try again
DELTA = "delta"  # the kind of event that is only for whoever listens now
LOOK_AGAIN = 2.0  # seconds of silence after which the owner is asked for a result
NOT_RUN = frozenset(
    {
        UnknownAgent.code,
        UnknownKind.code,
        ActorStopped.code,
        MailboxFull.code,
        BadTask.code,
        NoOwner.code,
        "bad_message",
    }
)
UNSURE = frozenset({DeadlineExceeded.code, BusLost.code})  # whether it ran


class LocalHost(Protocol):
    """A partition that this process owns."""

    def ask(self, key: tuple[str, str], task: Task, envelope: Envelope) -> "asyncio.Future[Result]":
        """The result of an ask, without a server in between."""

    def is_near(self, key: tuple[str, str]) -> bool:
        """Whether an ask would be handled here and now, by an actor that is alive and carries no runs."""


Local = Callable[[int], LocalHost | None]


class BusCourier:
    """Carries tells, asks and delegations of one tenant.

    Args:
        bus: The connection.
        blobs: Where bodies over 64 KiB go.
        registry: For `spawn` and `command`.
        local: The partitions that this process owns: a short cut for asks.
        partitions: Of the namespace.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        bus: Bus,
        blobs: Blobs,
        registry: Registry,
        *,
        tenant: str = subjects.DEFAULT_TENANT,
        local: Local | None = None,
        partitions: int = subjects.PARTITIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._blobs = blobs
        self._registry = registry
        self._tenant = tenant
        self._local = local
        self._partitions = partitions
        self._clock = clock
        self._inbox = subjects.reply_inbox(f"act{secrets.token_hex(8)}")
        self._numbers = count(1)
        # weak: a result that nobody waits for any more is dropped
        self._waiting: WeakValueDictionary[str, asyncio.Future[Message]] = WeakValueDictionary()
        self._replies: Subscription | None = None
        self._opening = asyncio.Lock()
        self._delegating: Counter[str] = Counter()
        self._asks = Asks(self._missing)

    def of(self, tenant: str) -> "BusCourier":
        """A courier of another tenant over the same connection."""
        if tenant == self._tenant:
            return self
        return BusCourier(
            self._bus,
            self._blobs,
            self._registry,
            tenant=tenant,
            local=self._local,
            partitions=self._partitions,
            clock=self._clock,
        )

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> bool:
        """Store a task. Delivery: effectively once by `envelope.task_id`. Raises as `Bus.store`.

        Returns:
            Whether it was stored before.
        """
        payload, blob = await check_in(self._blobs, encode(task))
        headers = msgspec.structs.replace(envelope, blob=blob).headers(self._clock())
        subject = subjects.inbox(self._part(agent), self._tenant, agent)
        # the stream knows ids of all agents; the same task id told to two of them is two tasks
        msg_id = f"{self._tenant}.{agent}:{envelope.task_id}"
        return (await self._bus.store(subject, payload, headers, msg_id=msg_id)).duplicate

    async def ask(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """Ask and wait until the deadline, or until it is known that whoever took it died.

        Delivery: at most once; it is sent again only while nobody was there to receive it, or who was there
        said that it did not run because the agent is moving.

        Raises:
            UnknownAgent, ActorStopped, MailboxFull, BadTask, NoOwner: It did not run.
            DeadlineExceeded, BusLost: Whether it ran is unknown.
        """
        pause = 0.01
        while True:
            result = await self._ask_once(agent, task, envelope)
            moving = result.failure is not None and result.failure.code == NoOwner.code
            late = envelope.deadline is not None and self._clock() + pause >= envelope.deadline
            if not moving or late:
                return self._checked(result)
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 2)

    async def _ask_once(self, agent: str, task: Task, envelope: Envelope) -> Result:
        if self._local is not None:
            host = self._local(self._part(agent))
            if host is not None and host.is_near((self._tenant, agent)):  # a run outlives us: by subject
                here = msgspec.structs.replace(envelope, reply_to="") if envelope.reply_to else envelope
                return await self._short_cut(host, agent, read_task(encode(task)), here)
        payload, blob = await check_in(self._blobs, encode(task))
        sent = msgspec.structs.replace(envelope, blob=blob) if blob else envelope
        request = self._until(agent, payload, sent.headers, envelope.deadline)
        return await self._result(await self._asks.answer(agent, envelope.task_id, request))

    async def _missing(self, agent: str, task_ids: list[str]) -> list[str]:
        """Those of these tasks that the owner of an agent does not have. Raises BusError."""
        told = msgspec.json.encode({"task_ids": task_ids})
        reply = await self._control(agent, "missing", told, timeout=CONTROL_TIMEOUT)
        return msgspec.convert(_answered(reply)["missing"], list[str])

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """Store a task and wait for its result, over the death of any process.

        Raises:
            MailboxFull: Not stored.
            DeadlineExceeded: No result in time; the task was cancelled.
            Paused: It waits for people, and the envelope says who may rest meanwhile.
        """
        waiter, sent = await self.expect(envelope)
        parent = envelope.parent_run
        self._delegating[parent] += 1
        try:
            known = await self.tell(agent, task, sent)
            rests = bool(envelope.wakes)
            return await self.outcome(
                agent, envelope.task_id, waiter, envelope.deadline, rests=rests, known=known
            )
        except DeadlineExceeded:
            with suppress(BusLost, NoOwner, DeadlineExceeded):
                await self.cancel(agent, envelope.task_id)
            raise
        finally:
            self._delegating[parent] -= 1
            if not self._delegating[parent]:
                del self._delegating[parent]

    async def nearby(self, agent: str, task: Task, envelope: Envelope) -> Result | None:
        """Have a task done by an actor that lives in this very process, without storing it.

        Delivery: at most once. None: it is elsewhere, or moved in the middle; whether it ran is unknown.

        Raises:
            DeadlineExceeded: It did not end in time.
        """
        part = self._part(agent)
        host = self._local(part) if self._local is not None else None
        if host is None or self._local is None or not host.is_near((self._tenant, agent)):
            return None
        answer = host.ask((self._tenant, agent), read_task(encode(task)), envelope)
        while not answer.done():
            left = LOOK_AGAIN if envelope.deadline is None else envelope.deadline - self._clock()
            if left <= 0:
                late = f"agent {agent!r} did not finish in time"
                raise DeadlineExceeded(late, agent=agent)
            await asyncio.wait([answer], timeout=min(LOOK_AGAIN, left))
            if self._local(part) is not host:
                return None
        result = answer.result()
        failure = result.failure
        again = failure is not None and (failure.code in NOT_RUN or failure.fields.get("why") == "stopped")
        return None if again else result

    def delegating(self, task_id: str) -> bool:
        """Whether a task waits here for one that it delegated."""
        return task_id in self._delegating

    async def expect(self, envelope: Envelope) -> tuple["asyncio.Future[Message]", Envelope]:
        """A future for the result of a task that is about to be stored, and the envelope to store it with."""
        async with self._opening:
            if self._replies is None:
                self._replies = await self._bus.subscribe(f"{self._inbox}.>", self._arrived)
        waiter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        number = str(next(self._numbers))
        self._waiting[number] = waiter
        return waiter, msgspec.structs.replace(envelope, reply_to=f"{self._inbox}.{number}")

    async def outcome(
        self,
        agent: str,
        task_id: str,
        waiter: "asyncio.Future[Message]",
        deadline: float | None,
        *,
        rests: bool = False,
        known: bool = False,
    ) -> Result:
        """Wait for a result, asking the owner for it when it is quiet for long.

        Args:
            rests: Whether to stop waiting while the task waits for people.
            known: It was stored before, and may have ended: its owner is asked at once.

        Raises:
            DeadlineExceeded: None came in time; the task may still run.
            Paused: It waits for people, and `rests`.
        """
        patience = 0.0 if known else LOOK_AGAIN
        while True:
            left = patience if deadline is None else min(patience, deadline - self._clock())
            patience = LOOK_AGAIN
            done, _ = await asyncio.wait([waiter], timeout=max(0.0, left))
            if done:
                return await self._result(waiter.result())
            if deadline is not None and self._clock() >= deadline:
                raise DeadlineExceeded(f"no result of task {task_id} from {agent!r} in time", agent=agent)
            found = await self._look(agent, task_id, rests=rests)
            if found is not None:
                return found

    async def cancel(self, agent: str, task_id: str, reason: str = "") -> Receipt:
        """Cancel a task and everything it delegated; false where its agent does not have it (any more).

        Raises:
            NoOwner, DeadlineExceeded: Nobody answered; cancel it again.
        """
        told = msgspec.json.encode({"task_id": task_id, "reason": reason})
        until = self._clock() + CANCEL_TIMEOUT
        while True:  # to cancel twice is to cancel once, and who was asked first may be dying
            try:
                reply = await self._control(agent, "cancel", told, timeout=CONTROL_TIMEOUT)
            except (DeadlineExceeded, NoOwner):
                if self._clock() >= until:
                    raise
                continue
            return msgspec.convert(_answered(reply), Receipt)

    async def on_run(self, agent: str, task_id: str, verb: str, told: JsonObject) -> JsonObject:
        """Ask the owner of a run for something: `wake`, and what its carrier knows beside.

        Raises:
            BadTask: Its carrier does not know the verb.
            NoOwner, DeadlineExceeded: Nobody answered.
        """
        body = msgspec.json.encode({"task_id": task_id, "told": told})
        reply = await self._control(agent, f"run.{verb}", body)
        return _answered(reply)

    async def spawn(self, definition: Definition) -> None:
        """Define an agent, or change its definition; a live one is restarted, a stopped one started."""
        await self._registry.define(msgspec.structs.replace(definition, tenant=self._tenant), start=True)
        with suppress(NoOwner, DeadlineExceeded):
            await self._control(definition.name, "reload", b"", timeout=CONTROL_TIMEOUT)

    async def command(self, agent: str, verb: str) -> JsonObject:
        """`stop`, `restart`, `start`, `give_up` or `status` an agent.

        Raises:
            UnknownAgent: There is no such agent.
            NoOwner, DeadlineExceeded: Nobody answered; a stop or start is written down all the same.
        """
        switched = verb in ("stop", "start", "restart", "give_up")
        if switched:
            why = "its group gave up" if verb == "give_up" else ""
            stopped = verb in ("stop", "give_up")
            await self._registry.set_stopped(self._tenant, agent, stopped=stopped, given_up=why)
        try:
            reply = await self._control(agent, verb, b"", timeout=2 * CONTROL_TIMEOUT)
        except DeadlineExceeded as error:
            if not switched:
                raise
            told = f"the {verb} of agent {agent!r} stands; it ends what it has in hand first"
            raise DeadlineExceeded(told, agent=agent) from error
        return _answered(reply)

    async def emit(self, agent: str, kind: str, task_id: str, data: JsonObject) -> None:
        """Publish an event of an agent. Delivery: at most once.

        A model's words while it says them (`delta`) go to `agents.<id>.stream`, which no stream keeps: the
        whole answer is in the ledger.
        """
        event = Event(kind=kind, agent=agent, task=task_id, at_ms=int(time.time() * 1000), data=data)
        leaf = "stream" if kind == DELTA else "events"
        await self._bus.publish(subjects.public(self._tenant, agent, leaf), encode(event))

    async def close(self) -> None:
        """Stop waiting for answers."""
        if self._replies is not None:
            await self._replies.close()
        await self._asks.close()
        for waiter in list(self._waiting.values()):
            waiter.cancel()

    async def _short_cut(self, host: LocalHost, agent: str, task: Task, envelope: Envelope) -> Result:
        answer = host.ask((self._tenant, agent), task, envelope)
        if envelope.deadline is None:
            return await answer
        left = max(0.0, envelope.deadline - self._clock())
        timer = asyncio.get_running_loop().call_later(left, _late, answer, agent)
        try:
            return await answer
        finally:
            timer.cancel()

    def _part(self, agent: str) -> int:
        return _partition(self._tenant, agent, self._partitions)

    def _arrived(self, message: Message) -> None:
        waiter = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if waiter is not None and not waiter.done():
            waiter.set_result(message)

    async def _until(
        self, agent: str, payload: bytes, headers: Callable[[float], dict[str, str]], deadline: float | None
    ) -> Message:
        """Request from the owner, again and again while there is none, until the deadline."""
        subject = subjects.control(self._part(agent), self._tenant, agent)
        pause = 0.01
        if deadline is not None and deadline <= self._clock():
            raise DeadlineExceeded(f"the deadline passed before agent {agent!r} was asked", agent=agent)
        while True:
            now = self._clock()
            left = CONTROL_TIMEOUT if deadline is None else deadline - now
            if left <= 0:
                raise NoOwner(
                    f"nobody owned agent {agent!r} until the deadline; is a worker up?", agent=agent
                )
            try:
                return await self._bus.request(subject, payload, headers(now), timeout=left)
            except DeadlineExceeded as error:
                waited = f"no answer from agent {agent!r} in {left:.1f} s; whether it ran is unknown"
                raise DeadlineExceeded(waited, agent=agent) from error
            except NoOwner:
                await asyncio.sleep(min(pause, max(0.0, left)))
                pause = min(0.25, pause * 2)

    async def _control(
        self, agent: str, verb: str, payload: bytes, timeout: float = 2 * CONTROL_TIMEOUT
    ) -> Message:
        deadline = self._clock() + timeout
        return await self._until(agent, payload, lambda _: {OP: verb}, deadline)

    async def _look(self, agent: str, task_id: str, *, rests: bool) -> Result | None:
        """The result of a task as its owner remembers it; None while it has none or nobody owns it."""
        reply = None
        with suppress(NoOwner, DeadlineExceeded, BusLost):
            query = msgspec.json.encode({"task_id": task_id})
            reply = await self._control(agent, "result", query, timeout=CONTROL_TIMEOUT)
        headers = reply.headers or {} if reply else {}
        if reply is None or headers.get(TASK_ID) != task_id or (STATE in headers and not rests):
            return None
        return await self._result(reply)

    async def _result(self, reply: Message) -> Result:
        headers = reply.headers or {}
        if STATE in headers:
            raise Paused(f"task {headers.get(TASK_ID, '')} waits", state=headers[STATE])
        blob = headers.get(BLOB, "")
        return read_result(await check_out(self._blobs, reply.payload, blob))

    def _checked(self, result: Result) -> Result:
        failure = result.failure
        if failure is not None and (failure.code in NOT_RUN or failure.code in UNSURE):
            raise from_failure(failure)
        return result


def _answered(reply: Message) -> JsonObject:
    """What the owner answered; raises the error that it told."""
    answer: JsonObject = msgspec.json.decode(reply.payload)
    if "failure" in answer:
        raise from_failure(msgspec.convert(answer["failure"], Failure))
    return answer


@lru_cache(maxsize=4096)
def _partition(tenant: str, agent: str, partitions: int) -> int:
    """The partition of an agent id, hashed once and not for each message; raises as `subjects.token`."""
    return subjects.partition(tenant, subjects.token(agent, "agent id"), partitions)


def _late(answer: "asyncio.Future[Result]", agent: str) -> None:
    if not answer.done():
        late = f"no answer from agent {agent!r} in time; whether it ran is unknown"
        answer.set_exception(DeadlineExceeded(late, agent=agent))
