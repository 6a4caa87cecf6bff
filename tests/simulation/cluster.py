"""A cluster in one event loop: several workers on one world; each may die between any two operations.

The workers are the real holder, hosts, post and desk over the contract-tested twins. Around the twins
stands a `Wire` for each worker: it counts operations, and is where the process dies, hangs, goes blind, or
returns as a zombie. Invariant: after its death nothing of a worker reaches the world.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.behaviour import LocalBehaviour
from actorium.actors.card import Cards
from actorium.actors.definition import Definition, Options
from actorium.actors.port import Behaviour, Directive
from actorium.bus.memory import MemoryBus
from actorium.bus.memory_hub import MemoryHub
from actorium.bus.port import Delivered, Feed, Handler, Message, Past, Stored, Subscription
from actorium.bus.streams import StreamSettings
from actorium.bus.task import Task
from actorium.runtime.control import ControlDesk
from actorium.runtime.courier import BusCourier
from actorium.runtime.holder import Holder
from actorium.runtime.lease import Tenure
from actorium.runtime.partition import Means, PartitionHost
from actorium.runtime.post import PostOffice
from actorium.runtime.registry import Registry
from actorium.storage.errors import LeaseLost, StoreUnavailable
from actorium.storage.memory import MemoryBlobs, MemoryLeases, MemoryLedger, MemoryState
from actorium.storage.port import Entry, Owner, OwnerSeen, Session, SessionSeen
from simulation.clock import VirtualLoop

TTL = 6.0  # seconds
PARTITIONS = 2
AGENTS = ("a105", "a170", "a7")  # two in partition 0, one in 1
MAILBOX = 6
ATTEMPTS = 3


class Sum(msgspec.Struct):
    """The durable state: what was added, in order."""

    total: int = 0
    log: list[str] = []


class Adder(Actor):
    """Adds; pauses, raises or kills its process where the message says so."""

    state: Sum
    options = Options(attempts=ATTEMPTS, mailbox=MAILBOX)
    worker: ClassVar["SimWorker"]

    async def receive(self, message: Task, ctx: Any) -> int:
        told = message.spec
        self.state.total += told["amount"]
        self.state.log.append(told["id"])
        await asyncio.sleep(told["pause"])
        match told["kind"]:
            case "raise":
                raise ValueError("poison")
            case "kill":
                self.worker.wire.die()
                await forever()
        return self.state.total


async def forever() -> Any:
    """What a dead process does."""
    await asyncio.get_running_loop().create_future()


class Wire:
    """Between one worker and the world."""

    def __init__(self) -> None:
        self.dead = asyncio.Event()
        self.buried = asyncio.Event()  # what still runs of a dead worker ends at its next operation
        self.blind = False  # its reads and writes of leases fail
        self.zombie = False  # others judged it dead; it does not see so
        self.deadly: int | None = None  # operations until it dies
        self.before = True  # dies before that operation, or after
        self.uncertain: bool | None = None  # the next append gets no answer: it stands, or not

    def die(self) -> None:
        """The process is killed."""
        self.dead.set()

    async def enter(self) -> None:
        """Before every operation on the world."""
        await self._count(before=True)

    async def leave(self) -> None:
        """After every operation on the world."""
        await self._count(before=False)

    async def _count(self, *, before: bool) -> None:
        if self.deadly is not None and before == self.before:
            self.deadly -= 1
            if self.deadly <= 0:
                self.die()
        if self.dead.is_set():
            await self.buried.wait()
            raise asyncio.CancelledError


class WiredFeed:
    """The Feed port over a wire."""

    def __init__(self, wire: Wire, inner: Feed) -> None:
        self._wire = wire
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[Delivered]:
        async for delivered in self._inner:
            yield delivered
        if self._wire.zombie:
            await forever()  # an old server says nothing to a zombie

    async def ack(self, token: str) -> None:
        await self._wire.enter()
        await self._inner.ack(token)
        await self._wire.leave()

    async def working(self, token: str) -> None:
        await self._inner.working(token)

    async def close(self) -> None:
        await self._inner.close()


class WiredBus:
    """The Bus port over a wire."""

    def __init__(self, wire: Wire, inner: MemoryBus) -> None:
        self._wire = wire
        self.inner = inner

    @property
    def connected(self) -> bool:
        return self.inner.connected

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, reply: str = ""
    ) -> None:
        await self._wire.enter()
        await self.inner.publish(subject, payload, headers, reply=reply)

    async def request(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, *, timeout: float
    ) -> Message:
        await self._wire.enter()
        return await self.inner.request(subject, payload, headers, timeout=timeout)

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        def heard(message: Message) -> None:
            if not (self._wire.dead.is_set() or self._wire.zombie):
                handler(message)

        return await self.inner.subscribe(subject, heard, queue=queue)

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        msg_id: str,
        timeout: float = 20.0,
    ) -> Stored:
        await self._wire.enter()
        stored = await self.inner.store(subject, payload, headers, msg_id=msg_id, timeout=timeout)
        await self._wire.leave()
        return stored

    async def feed(self, part: int, epoch: int) -> Feed:
        await self._wire.enter()
        return WiredFeed(self._wire, await self.inner.feed(part, epoch))

    async def ingress(self, epoch: int) -> Feed:
        return await self.inner.ingress(epoch)

    async def history(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> list[Past]:
        await self._wire.enter()
        return await self.inner.history(stream, subject, after=after, limit=limit)

    async def newest(self, stream: str, subject: str) -> Past | None:
        return await self.inner.newest(stream, subject)

    async def remove(self, stream: str, seq: int) -> bool:
        return await self.inner.remove(stream, seq)

    async def close(self) -> None:
        await self.inner.close()


class WiredLedger:
    """The Ledger port over a wire."""

    def __init__(self, wire: Wire, inner: MemoryLedger) -> None:
        self._wire = wire
        self._inner = inner

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        await self._wire.enter()
        uncertain, self._wire.uncertain = self._wire.uncertain, None
        if uncertain is False:
            raise StoreUnavailable("no answer, and it does not stand")
        sequence = await self._inner.append(subject, record, after=after)
        if uncertain is True:
            raise StoreUnavailable("no answer, and it stands")
        await self._wire.leave()
        return sequence

    async def last(self, subject: str) -> Entry | None:
        await self._wire.enter()
        return await self._inner.last(subject)

    def read(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        return self._inner.read(subject, after=after)


class WiredLeases:
    """The Leases port over a wire."""

    def __init__(self, wire: Wire, inner: MemoryLeases) -> None:
        self._wire = wire
        self._inner = inner

    async def _enter(self) -> None:
        await self._wire.enter()
        if self._wire.blind or self._wire.zombie:
            raise StoreUnavailable("no answer")

    async def put_session(self, session: Session, *, revision: int) -> int:
        await self._enter()
        return await self._inner.put_session(session, revision=revision)

    async def end_session(self, session_id: str) -> None:
        await self._enter()
        await self._inner.end_session(session_id)

    async def put_owner(self, part: int, owner: Owner, *, revision: int) -> int:
        await self._enter()
        revision = await self._inner.put_owner(part, owner, revision=revision)
        await self._wire.leave()
        return revision

    async def sessions(self, *, after: int = 0) -> list[SessionSeen]:
        await self._enter()
        return await self._inner.sessions(after=after)

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        await self._enter()
        return await self._inner.owners(after=after)


class SimWorker:
    """One process: session, holder, partitions; wired as `runtime/worker.py` does it."""

    def __init__(self, session: str, cluster: "Cluster") -> None:
        self.session = session
        self.wire = Wire()
        self.hosts: dict[int, PartitionHost] = {}
        self.bus = MemoryBus(cluster.hub)
        self._cluster = cluster
        self._tenure = Tenure(TTL)
        self._tenure.renewed(cluster.loop.time(), cluster.loop.time())
        self._running = cluster.loop.create_task(self._run())

    def owned(self) -> bool:
        """By its own clock and its last look; a zombie was stopped between its look and its act."""
        held = self._tenure.held(self._cluster.loop.time()) and self.holder.looked >= self._tenure.since
        return self.wire.zombie or held

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._wire_up(tasks)
                tasks.create_task(self._renew())
                tasks.create_task(self.holder.run())
                await self.wire.dead.wait()
                raise asyncio.CancelledError  # kill -9: nobody drains
        except* LeaseLost:
            self.wire.die()  # the supervisor starts another one

    def _wire_up(self, tasks: asyncio.TaskGroup) -> None:
        cluster, wire = self._cluster, self.wire
        bus = cluster.bugs.bus(WiredBus(wire, self.bus))
        ledger = WiredLedger(wire, cluster.ledger)
        clock = cluster.loop.time
        self.office = cluster.bugs.office(bus, cluster.blobs, self._supervise, self.owned, tasks)
        registry = cluster.registry
        cards = Cards(cluster.live)
        means = Means(bus, ledger, cluster.blobs, registry, self._behaviour, self.office, cards, clock)
        desk = ControlDesk(self.hosts, bus, self.office, registry)
        leases = WiredLeases(wire, cluster.leases)
        self.holder = Holder(
            self.session,
            leases,
            means,
            self.hosts,
            desk.receive,
            ttl=TTL,
            partitions=PARTITIONS,
            tasks=tasks,
        )
        self._leases = leases

    def _behaviour(self, definition: Definition) -> Behaviour:
        kind = type("Adder", (Adder,), {"worker": self, "__module__": __name__})
        return LocalBehaviour(definition, kind, self._cluster.courier)

    async def _supervise(self, definition: Definition, error: str) -> Directive:
        return Directive(restart=True, delay=0.05)

    async def _renew(self) -> None:
        revision = 0
        while True:
            sent = self._cluster.loop.time()
            try:
                session = Session(id=self.session, node="sim")
                revision = await self._leases.put_session(session, revision=revision)
                self._tenure.renewed(sent, self._cluster.loop.time())
            except StoreUnavailable:
                pass
            await asyncio.sleep(TTL / 4)

    async def sweep(self) -> None:
        """Let every idle actor go, as after a long time."""
        for host in self.hosts.values():
            host.sweep(self._cluster.loop.time() + 1e6)

    @property
    def dead(self) -> bool:
        """Whether the process is gone."""
        return self.wire.dead.is_set()

    async def bury(self) -> None:
        """Let the kernel close what a dead process had open."""
        self.wire.die()
        self.wire.buried.set()
        self._running.cancel()
        await asyncio.wait([self._running])
        await self.bus.close()


class Bugs:
    """Where a planted bug can stand; this one has none."""

    ledger: type[MemoryLedger] = MemoryLedger
    office: type[PostOffice] = PostOffice
    settings = StreamSettings(mailbox=MAILBOX, partitions=PARTITIONS)

    def bus(self, bus: WiredBus) -> WiredBus:
        """The bus a worker uses."""
        return bus


class Cluster:
    """The world and its workers."""

    def __init__(self, bugs: Bugs) -> None:
        self.bugs = bugs
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.hub = MemoryHub(bugs.settings, clock=self.loop.time)
        self.ledger = bugs.ledger()
        self.leases = MemoryLeases()
        self.blobs = MemoryBlobs()
        self.live = MemoryState()
        self.registry = Registry(MemoryState())
        self.bus = MemoryBus(self.hub)
        self.courier = BusCourier(self.bus, self.blobs, self.registry, clock=self.loop.time)
        self.workers: list[SimWorker] = []
        self.panics: list[str] = []
        self.loop.set_exception_handler(self._panic)
        self._sessions = 0
        for agent in AGENTS:
            self.loop.play(self.registry.define(Definition(name=agent, kind="sim:A", options=Adder.options)))

    def _panic(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        self.panics.append(f"{context.get('message')}: {context.get('exception')!r}")

    def start(self) -> SimWorker:
        """A new process."""
        self._sessions += 1
        self.workers.append(SimWorker(f"s{self._sessions}", self))
        return self.workers[-1]

    def reap(self, *, tell: bool) -> None:
        """Take away dead processes; `tell`: their supervisor saw them die and ends their sessions."""
        for worker in [worker for worker in self.workers if worker.dead]:
            self.workers.remove(worker)
            self.loop.play(worker.bury())
            if tell:
                self.loop.play(self.leases.end_session(worker.session))
            if worker._running.cancelled() or worker._running.exception() is None:
                continue
            self.panics.append(repr(worker._running.exception()))

    def failed(self) -> list[str]:
        """Workers that ended by an error of ours."""
        for worker in self.workers:
            if worker._running.done() and not worker.dead:
                worker.wire.die()
        return self.panics

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.play(asyncio.sleep(seconds))

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            self.loop.play(worker.bury())
        self.workers.clear()
        self.loop.play(self.courier.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        asyncio.set_event_loop(None)


def until(cluster: Cluster, done: Callable[[], bool], seconds: float) -> bool:
    """Let time pass until something is so; False where it never was."""
    for _ in range(int(seconds / 0.5)):
        if done():
            return True
        cluster.pass_time(0.5)
    return done()
