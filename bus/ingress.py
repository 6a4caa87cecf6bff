"""Ingress: the relay that moves what raw publishers sent into the mailboxes, once and in order per agent.

Needed where the server does not map `agents.<id>.inbox` itself (`server.probe_mappings`). One relay runs at a
time, fenced by its epoch, or the order per agent would be lost.
Invariant: a message leaves INGRESS only after INBOX or the dead letters have it.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from .claim import BlobStore, check_out
from .codec import encode, read_task
from .dead_letters import DeadLetters
from .envelope import BLOB, MSG_ID, RELAYED, REPLY_TO, TASK_ID, is_id, may_answer
from .errors import (
    ActoriumError,
    BadMessage,
    BusLost,
    ConfigError,
    Failure,
    Interrupted,
    MailboxFull,
    NotStored,
    first_error,
)
from .patience import pause
from .port import Bus, Delivered, Feed
from .subjects import (
    DEFAULT_TENANT,
    ORCHESTRATOR,
    PARTITIONS,
    agent_id,
    inbox,
    parse_public,
    partition,
    public,
)
from .task import Result, Status, Task

log = logging.getLogger("actorium.bus")

Route = Callable[[Task], str | None]
NOBODY = "unroutable"  # stands for the agent in dead letters that belong to none
BUFFER = 64 * 1024 * 1024  # bytes read and not yet relayed; above it nothing more is read

Address = tuple[str, str]  # tenant and agent


class _Ended(Exception):
    """The feed was superseded or closed."""


class _Lost(Exception):
    """A message that belongs to nobody."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


class Relay:
    """Moves INGRESS into INBOX.

    Args:
        bus: The connection.
        route: Chooses an agent of the default tenant for a task sent to `orchestrator.inbox`, or None.
        blobs: Where large bodies wait, to read them before routing.
        window: Messages of different agents on their way at once.
        patience: Seconds a message waits for room in a mailbox before it is a dead letter; less than the
            feed's ack wait.
    """

    def __init__(
        self,
        bus: Bus,
        route: Route,
        *,
        blobs: BlobStore | None = None,
        partitions: int = PARTITIONS,
        window: int = 64,
        patience: float = 30.0,
    ) -> None:
        self._bus = bus
        self._route = route
        self._blobs = blobs
        self._partitions = partitions
        self._window = asyncio.Semaphore(window)
        self._patience = patience
        self._dead = DeadLetters(bus)
        self._lanes: dict[Address, deque[tuple[Delivered, float]]] = {}
        self._buffered = 0
        self._room = asyncio.Event()

    async def run(self, feed: Feed) -> None:
        """Relay what the feed yields, until it is superseded or closed.

        Delivery: at least once, under the publisher's message id. Ordering: per agent as published.
        Cancellation: what is not acknowledged comes again in the next epoch.

        Raises:
            Interrupted: Deliveries may have been missed: run again on a feed of the next epoch.
            ActoriumError: The blobs do not answer: run again, as after Interrupted.
        """
        self._lanes.clear()
        self._buffered = 0
        try:
            async with asyncio.TaskGroup() as lanes:
                await self._read(feed, lanes)
                raise _Ended
        except ExceptionGroup as failed:
            if (others := failed.split((_Ended, Interrupted))[1]) is not None:
                raise first_error(others) from failed  # on Python 3.11 nobody can suppress a group
            if (interrupted := failed.subgroup(Interrupted)) is not None:
                raise interrupted.exceptions[0] from None

    async def _read(self, feed: Feed, lanes: asyncio.TaskGroup) -> None:
        async for delivered in feed:
            try:
                address = await self._address(delivered)
            except _Lost as lost:
                lanes.create_task(
                    self._bury(feed, delivered, (DEFAULT_TENANT, NOBODY), lost.reason, str(lost))
                )
                continue
            self._buffered += len(delivered.message.payload)
            lane = self._lanes.get(address)
            if lane is None:
                lane = self._lanes[address] = deque()
                lanes.create_task(self._drain(feed, address, lane))
            lane.append((delivered, _now() + self._patience))
            while self._buffered > BUFFER:
                self._room.clear()
                await self._room.wait()

    async def _address(self, delivered: Delivered) -> Address:
        message = delivered.message
        if message.subject == ORCHESTRATOR:
            return DEFAULT_TENANT, await self._chosen(delivered)
        named = parse_public(message.subject)
        try:
            if named is None:
                raise _Lost("bad_subject", f"{message.subject} names no agent")
            return named[0], agent_id(named[1])
        except ConfigError as error:
            raise _Lost("bad_subject", error.message) from error

    async def _chosen(self, delivered: Delivered) -> str:
        message = delivered.message
        digest = (message.headers or {}).get(BLOB, "")
        try:
            body = await check_out(self._blobs, message.payload, digest) if self._blobs else message.payload
            chosen = self._route(read_task(body))
        except ActoriumError as error:
            if error.retryable:
                raise
            raise _Lost("bad_message", error.message) from error
        if chosen is None:
            raise _Lost("no_agent", "no agent has declared the skills for this task")
        return chosen

    async def _drain(self, feed: Feed, address: Address, lane: deque[tuple[Delivered, float]]) -> None:
        """Relay one agent's messages one after the other; the next waits for the one before."""
        while lane:
            delivered, until = lane[0]
            await self._relay(feed, address, delivered, until)
            lane.popleft()
            self._buffered -= len(delivered.message.payload)
            self._room.set()
        del self._lanes[address]

    async def _relay(self, feed: Feed, address: Address, delivered: Delivered, until: float) -> None:
        attempt = 0
        while True:
            try:
                await self._move(address, delivered)
            except (BadMessage, NotStored) as error:
                await self._bury(feed, delivered, address, error.code, error.message)
                return
            except MailboxFull as error:
                if _now() >= until:
                    await self._bury(feed, delivered, address, error.code, error.message)
                    return
            except BusLost as error:
                log.warning("bus.relay_waits", extra={"agent": address[1], "error": error.message})
            else:
                await feed.ack(delivered.token)
                return
            await asyncio.sleep(pause(attempt, random.random()))
            attempt += 1

    async def _move(self, address: Address, delivered: Delivered) -> None:
        headers = {
            name: value for name, value in (delivered.message.headers or {}).items() if name in RELAYED
        }
        msg_id = headers.setdefault(MSG_ID, f"ingress-{delivered.seq}")
        headers.setdefault(TASK_ID, msg_id if is_id(msg_id) else f"ingress-{delivered.seq}")
        subject = inbox(partition(*address, self._partitions), *address)
        async with self._window:
            await self._bus.store(subject, delivered.message.payload, headers, msg_id=msg_id)

    async def _bury(
        self, feed: Feed, delivered: Delivered, address: Address, reason: str, error: str
    ) -> None:
        """Give a message to the dead letters, then forget it."""
        part = partition(*address, self._partitions)
        origin = delivered.message.subject if address[1] == NOBODY else ""
        while True:
            try:
                await self._dead.put(
                    part,
                    *address,
                    delivered.message,
                    reason=reason,
                    error=error,
                    msg_id=f"dlq:ingress:{delivered.seq}",
                    origin=origin,
                )
                await self._tell(delivered, address, reason, error)
            except BusLost as lost:
                log.warning("bus.relay_waits", extra={"agent": address[1], "error": lost.message})
            else:
                break
        await feed.ack(delivered.token)

    async def _tell(self, delivered: Delivered, address: Address, reason: str, error: str) -> None:
        """The failed result of a task that was acknowledged and reaches no mailbox."""
        headers = delivered.message.headers or {}
        task_id = headers.get(TASK_ID) or headers.get(MSG_ID) or f"ingress-{delivered.seq}"
        failed = Result(status=Status.FAILURE, error=error, failure=Failure(code=reason, message=error))
        told, payload, reply = {TASK_ID: task_id}, encode(failed), headers.get(REPLY_TO, "")
        if may_answer(reply):
            await self._bus.publish(reply, payload, told)
        if address[1] == NOBODY:
            return
        result = f"result:{'.'.join(address)}:{task_id}"
        with suppress(BadMessage, NotStored):  # its dead letter stands
            await self._bus.store(public(*address, "outbox"), payload, told, msg_id=result)


def _now() -> float:
    return asyncio.get_running_loop().time()
