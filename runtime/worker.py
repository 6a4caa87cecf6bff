"""Worker: one process that hosts partitions. Forked from the zygote, ended by the supervisor or by a drain.

Wires one namespace, one lease thread, one holder and the front door. Not responsible for being restarted.
Shutdown: (1) the lease says draining, so nobody gives us more; (2) every partition is handed back, finishing
what is in hand; (3) the session ends; (4) connections close.
"""

import asyncio
import logging
import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from ..actors.actor import find_kind
from ..actors.behaviour import LocalBehaviour
from ..actors.card import Cards
from ..actors.carrier import Carrier
from ..actors.definition import Definition, Isolation
from ..actors.errors import ActorError
from ..actors.port import Behaviour, Directive
from ..bus.errors import ActoriumError, BusError
from ..storage.errors import StorageError
from ..storage.port import Leases, Session
from .broadcast import Broadcast
from .control import ControlDesk
from .courier import BusCourier
from .front_door import FrontDoor
from .guardian import Guardian
from .holder import Holder
from .isolation.isolated import Isolated, IsolatedCarrier
from .isolation.watch import Watch
from .lease import Lease
from .namespace import Namespace, connect, connect_leases
from .partition import RETRY, Means, PartitionHost
from .ports import ports_of
from .post import PostOffice
from .quarantine import QuarantinedCourier
from .relaying import Relaying
from .reminders import Reminders
from .reports import Reporter
from .rollout import ROLLOUT
from .spec import LOST, WorkerSpec
from .synadia.edge import SynadiaEdge
from .telemetry import LogEvent
from .triggers.scheduling import Scheduling
from .triggers.triggers import Triggers

log = logging.getLogger("actorium.worker")

T = TypeVar("T")


async def run_worker(spec: WorkerSpec, stop: asyncio.Event | None = None) -> int:
    """Run until SIGTERM or `stop`, then drain.

    Returns:
        The exit status: 0 after a drain, LOST when the session was ended by somebody else.
    """
    loop = asyncio.get_running_loop()
    stop = stop or asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(
        signal.SIGINT, lambda: None
    )  # Ctrl-C reaches the whole group; the supervisor drains
    lost = asyncio.Event()
    reporter = Reporter(spec.reports, spec.session)
    session = Session(id=spec.session, node=spec.node, pid=os.getpid())
    lease = Lease(
        session,
        spec.lease,
        _leases_of(spec),
        watched=loop,
        lost=lambda: _tell(loop, lost),
        beat=reporter.beat,
    )
    names = await connect(spec.settings, f"worker {spec.session}")
    await lease.open()
    try:
        async with hosting(spec, names, lease.held, reporter, since=lease.since, rollout=ROLLOUT) as worker:
            await _first(worker.holder.settled.wait(), stop.wait(), lost.wait())
            if worker.holder.settled.is_set():
                reporter.working()
            await _first(stop.wait(), lost.wait())
            if not lost.is_set():
                lease.drain()
                await worker.drain(spec.settings.drain)
    finally:
        await lease.close()
        await names.close()
    return LOST if lost.is_set() else 0


class Finished(Exception):
    """Raised inside a worker's task group when the worker is done."""


@asynccontextmanager
async def hosting(
    spec: WorkerSpec,
    names: Namespace,
    owned: Callable[[], bool],
    reporter: Reporter,
    *,
    since: Callable[[], float] = lambda: -math.inf,
    rollout: float = 0.0,
) -> AsyncIterator["Worker"]:
    """A worker that serves until the block ends; what it still has in hand then is given up.

    Args:
        rollout: Seconds that a stored task waits for a node whose program has its agent's class; 0: there is
            no other program.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(
                spec,
                names,
                lambda: owned() and worker.holder.looked >= since(),
                reporter,
                tasks,
                rollout=rollout,
            )
            tasks.create_task(worker.run())
            yield worker
            worker.abandon()
            raise Finished  # noqa: TRY301  # how a task group is told to cancel the rest
    except* Finished:
        pass


class Worker:
    """The parts of a worker, wired."""

    def __init__(
        self,
        spec: WorkerSpec,
        names: Namespace,
        owned: Callable[[], bool],
        reporter: Reporter,
        tasks: asyncio.TaskGroup,
        *,
        rollout: float,
    ) -> None:
        self.hosts: dict[int, PartitionHost] = {}
        self._names = names
        self._tasks = tasks
        self.relaying = Relaying(names, self.hosts)
        self._reporter = reporter
        self._watch = Watch(spec.settings.block_limit, names.bus, node=spec.node, session=spec.session)
        self.courier = BusCourier(
            names.bus, names.blobs, names.registry, local=self._local, partitions=names.partitions
        )
        self._guardian = Guardian(self.courier)
        office = PostOffice(names.bus, names.blobs, self._supervise, owned, tasks)
        self._quarantine = office.quarantine
        office.hopeless = lambda task_id: self.holder.last and self.courier.delegating(task_id)
        office.wake = self._wake
        self._ports = ports_of(names, self.courier, spec.settings)
        cards = Cards(names.live)
        means = Means(
            names.bus,
            names.ledger,
            names.blobs,
            names.registry,
            self._behaviour,
            office,
            cards,
            rollout=rollout,
        )
        desk = ControlDesk(self.hosts, names.bus, office, names.registry)
        self.holder = Holder(
            spec.session,
            names.leases,
            means,
            self.hosts,
            desk.receive,
            ttl=spec.lease,
            partitions=names.partitions,
            peers=spec.peers,
            tasks=tasks,
        )
        self.door = FrontDoor(names, self.courier, office)
        self.scheduling = Scheduling(names, self.hosts, self.courier, owned)
        self.reminders = Reminders(names.state, self.hosts, self.courier, names.bus)
        self.triggers = Triggers(names, self.hosts, self.courier)
        self.broadcast = Broadcast(names, self.hosts, office)
        self.synadia = SynadiaEdge(names, self.courier, self.hosts, tasks)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self.door.open()
        await self.broadcast.open()
        await self.synadia.open()
        self._tasks.create_task(self.relaying.run())
        self._tasks.create_task(self.scheduling.run())
        self._tasks.create_task(self.reminders.run())
        self._tasks.create_task(self.triggers.run())
        self._tasks.create_task(self.relaying.learn())
        await self.holder.run()

    async def drain(self, timeout: float) -> None:
        """Hand everything back."""
        await self.door.close()
        await self.broadcast.close()
        await self.synadia.close()
        await self.triggers.close()
        await self.holder.drain(timeout)
        await self.synadia.end()

    def abandon(self) -> None:
        """Give up what is left."""
        self.holder.abandon()

    def _behaviour(self, definition: Definition) -> Behaviour | Carrier:
        kind, alone = find_kind(definition.kind), definition.options.isolation is Isolation.PROCESS
        if issubclass(kind, Carrier):
            carrier = kind(definition, self._ports)
            return IsolatedCarrier(carrier, self._reporter, self._watch) if alone else carrier
        if alone:
            return Isolated(definition, self._reporter, self._watch)
        courier = QuarantinedCourier(self.courier, self._quarantine, definition.key)
        return LocalBehaviour(definition, kind, courier)

    async def _supervise(self, definition: Definition, error: str) -> Directive:
        """What becomes of an actor that failed; that it is given up is written down before it is so."""
        registry = self._names.registry
        since = await _insist(lambda: registry.revision_of(definition))
        directive = await self._guardian.supervise(definition, error)
        if not directive.restart:
            await _insist(lambda: registry.give_up(definition, directive.reason, since=since))
        return directive

    async def _wake(self, tenant: str, agent: str, task_id: str) -> None:
        with suppress(ActorError):  # there is no such agent any more
            await self.courier.of(tenant).on_run(agent, task_id, "wake", {})

    def _local(self, part: int) -> PartitionHost | None:
        return self.hosts.get(part)


async def _insist(act: Callable[[], Awaitable[T]]) -> T:
    """Try again while the storage does not answer; whoever waits can be cut short."""
    while True:
        with suppress(StorageError, BusError):
            return await act()
        await asyncio.sleep(RETRY)


def _leases_of(spec: WorkerSpec) -> Callable[[], Awaitable[tuple[Leases, Callable[[], Awaitable[None]]]]]:
    async def open_leases() -> tuple[Leases, Callable[[], Awaitable[None]]]:
        leases, bus = await connect_leases(spec.settings.nats, f"lease {spec.session}", spec.lease)
        return leases, bus.close

    return open_leases


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def main(spec: WorkerSpec) -> int:
    """The entry point of a forked worker."""
    import uvloop

    try:
        return uvloop.run(run_worker(spec))
    except ActoriumError as error:
        log.error(LogEvent.WORKER_FAILED, extra={"fields": {"error": str(error)}})  # noqa: TRY400  # no bug of ours
        return 1
