"""Holder: wins, keeps and hands back partitions for one worker.

Looks at sessions and owners, lets `ownership.plan` decide, and applies it: claim by compare-and-set, open the
next generation of the partition's feed, host its actors; or drain and clear. Not responsible for the session
itself (`lease.py`). Invariant: a partition is hosted only in an epoch that this worker wrote.
"""

import asyncio
import logging
import math
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from ..actors.activation import GRACE
from ..bus import subjects
from ..bus.errors import BusError, BusLost, Interrupted, Superseded
from ..bus.port import Bus, Feed, Handler, Subscription
from ..storage.errors import StorageError, StoreUnavailable
from ..storage.port import Leases, Owner
from .ownership import Claim, Release, View, cleared, plan
from .partition import Means, PartitionHost
from .telemetry import LogEvent

log = logging.getLogger("actorium.worker")

SETTLING = 2.0  # seconds for which sibling workers count as alive before they are first seen
PATIENCE = 30.0  # seconds that a partition whose agents are in the middle of calls waits before it moves
STUCK = 15.0  # seconds, behind its grace, until a partition is handed back without what will not end
RENEW_HELD = 15.0  # seconds between two renewals of stored letters that are still held


class Holding(msgspec.Struct, eq=False):
    """A partition of ours: in which epoch, at which revision of its owner key, and who hosts it."""

    epoch: int
    revision: int
    host: PartitionHost
    control: Subscription | None = None
    task: asyncio.Task[None] | None = None
    releasing: bool = False
    wanted: float | None = None  # when it was first to move, while its agents were in the middle of calls


class Holder:
    """The partitions of one worker.

    Args:
        session: Our session's id.
        leases: Sessions and owners.
        means: What partitions work with.
        hosts: Filled with the partitions we host; shared with whoever routes to them.
        receive: Handles control messages of our partitions.
        ttl: The lease, seconds.
        peers: Sessions of workers that start beside us, so that the first shares are already even.
        tasks: Owns everything that runs here.

    Attributes:
        looked: When the last complete look began: the partitions held then are those held now.
        settled: Set when the first look was acted on and every partition claimed by it is hosted.
    """

    def __init__(
        self,
        session: str,
        leases: Leases,
        means: Means,
        hosts: dict[int, PartitionHost],
        receive: Handler,
        *,
        ttl: float,
        partitions: int,
        peers: tuple[str, ...] = (),
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._session = session
        self._leases = leases
        self._means = means
        self._hosts = hosts
        self._receive = receive
        self._partitions = partitions
        self._tasks = tasks
        self._held: dict[int, Holding] = {}
        self._view = View(ttl)
        self._clock = means.clock
        self._changed = asyncio.Event()
        self._draining = False
        self.looked = -math.inf
        self.settled = asyncio.Event()
        for peer in peers:
            self._view.expect(peer, means.clock() + SETTLING)

    async def run(self) -> None:
        """Look and act until cancelled."""
        bus = self._means.bus
        await bus.subscribe(subjects.CHANGED, lambda _: self._changed.set())
        renewed = self._clock()
        while True:
            await self._look()
            self._settle()
            now = self._clock()
            for host in self._hosts.values():
                host.sweep(now)
            if now - renewed > RENEW_HELD:
                renewed = now
                await self._renew_held()
            with suppress(TimeoutError):  # not wait_for: on Python 3.11 it can swallow a cancellation
                async with asyncio.timeout(self._view.ttl / 8):
                    await self._changed.wait()
            self._changed.clear()

    def _settle(self) -> None:
        if self.looked > -math.inf and all(part in self._hosts for part in self._held):
            self.settled.set()

    async def drain(self, timeout: float) -> None:
        """Hand every partition back, finishing what is in hand for at most so many seconds."""
        self._draining = True
        releases = [self._tasks.create_task(self._release(part, timeout)) for part in list(self._held)]
        if releases:
            await asyncio.wait(releases, timeout=timeout + 1.0)
        await self._announce()

    @property
    def last(self) -> bool:
        """Whether we are stopping, and so is everybody else that is alive."""
        return self._draining and not self._view.living(self._clock())

    def abandon(self) -> None:
        """Give everything up at once: the session is over."""
        for holding in list(self._held.values()):
            holding.host.abandon()
            if holding.task is not None:
                holding.task.cancel()

    async def _look(self) -> None:
        view, begun = self._view, self._clock()
        try:
            # owners first: the session of every owner that is seen can be seen too, unless it was ended
            owners = await self._leases.owners(after=view.owner_revision)
            sessions = await self._leases.sessions(after=view.session_revision)
        except (StorageError, BusError):
            return  # blind: no verdict
        now = self._clock()
        view.look(sessions, owners, now)
        self._give_up_lost()
        self.looked = begun
        if self._draining or not self._means.office.owned():
            return
        mine: Mapping[int, int] = {part: held.epoch for part, held in self._held.items()}
        actions = plan(view, self._session, mine, partitions=self._partitions, now=now)
        claims = [action for action in actions if isinstance(action, Claim)]
        for action in actions:
            if isinstance(action, Release) and self._may_move(action.part):
                self._tasks.create_task(self._release(action.part))
        if any(await asyncio.gather(*(self._claim(claim) for claim in claims))):
            await self._announce()  # it wakes us too: not after claims that failed, or we would spin

    def _may_move(self, part: int) -> bool:
        """Whether a partition goes to somebody else now, for the sake of even shares only.

        One whose agents are in the middle of calls that would be cut short waits for a while.
        """
        holding = self._held.get(part)
        if holding is None:
            return False
        if holding.wanted is None or not holding.host.engaged:
            holding.wanted = self._clock()
        return not holding.host.engaged or self._clock() - holding.wanted > PATIENCE

    def _give_up_lost(self) -> None:
        """Stop hosting partitions whose owner key now names somebody else."""
        for part, holding in list(self._held.items()):
            seen = self._view.owners.get(part)
            if seen and seen.revision > holding.revision and seen.owner.session != self._session:
                holding.host.abandon()
                if holding.task is not None:
                    holding.task.cancel()

    async def _claim(self, claim: Claim) -> bool:
        try:
            owner = Owner(session=self._session, epoch=claim.epoch)
            revision = await self._leases.put_owner(claim.part, owner, revision=claim.revision)
        except StorageError:
            return False
        host = PartitionHost(claim.part, claim.epoch, self._means)
        holding = Holding(claim.epoch, revision, host)
        self._held[claim.part] = holding
        holding.task = self._tasks.create_task(self._hold(claim.part, holding))
        return True

    async def _hold(self, part: int, holding: Holding) -> None:
        """Host a partition until it is lost or handed back, over reconnects in ever newer epochs."""
        bus = self._means.bus
        try:
            while not holding.releasing:
                feed = await self._open(bus, part, holding)
                if holding.control is None and not holding.releasing:
                    self._hosts[part] = holding.host
                    holding.control = await bus.subscribe(f"ctl.{part}.*.*", self._receive)
                    self._settle()
                self._tasks.create_task(holding.host.take_up())  # also after a server that was away
                if holding.releasing:  # it was handed back while it was being opened
                    await feed.close()
                    break
                try:
                    await holding.host.consume(feed)
                    break
                except Interrupted:
                    await self._next_epoch(part, holding)
        except (BusError, StorageError):
            pass  # somebody else owns it now, or the next look finds it free
        finally:
            if not holding.releasing:
                holding.host.abandon()
                self._held.pop(part, None)
            await self._leave(part, holding)

    async def _leave(self, part: int, holding: Holding) -> None:
        if self._hosts.get(part) is holding.host:
            del self._hosts[part]
        if holding.control is not None:
            await holding.control.close()

    async def _open(self, bus: Bus, part: int, holding: Holding) -> Feed:
        told = BusLost.code  # that a server is away is said elsewhere
        while True:
            try:
                return await bus.feed(part, holding.epoch)
            except Superseded:
                raise
            except BusError as error:
                if told != error.code:
                    told = error.code
                    fields = {"part": part, "code": error.code, "error": error.message}
                    log.warning(LogEvent.PARTITION_UNFED, extra={"fields": fields})
                await asyncio.sleep(0.25)

    async def _next_epoch(self, part: int, holding: Holding) -> None:
        """After a feed that may have missed something: own the partition anew, as ourselves.

        Raises:
            Conflict: Somebody else owns it by now.
        """
        owner = Owner(session=self._session, epoch=holding.epoch + 1)
        while True:
            try:
                holding.revision = await self._leases.put_owner(part, owner, revision=holding.revision)
            except (StoreUnavailable, BusError):
                await asyncio.sleep(0.1)
                continue
            holding.epoch = holding.host.epoch = owner.epoch
            return

    async def _release(self, part: int, grace: float = GRACE) -> None:
        """Hand a partition back: no new asks, finish what is in hand, then clear the owner key.

        An ask that comes meanwhile finds nobody, or a host that says so, and is asked again by its sender.
        """
        holding = self._held.get(part)
        if holding is None or holding.releasing:
            return
        holding.releasing = True
        if holding.control is not None:
            await holding.control.close()
        drained = self._tasks.create_task(holding.host.drain(grace))
        if not (await asyncio.wait([drained], timeout=grace + STUCK))[0]:
            log.warning(LogEvent.PARTITION_STUCK, extra={"fields": {"part": part}})  # it cannot be cut short
            drained.cancel()
            await asyncio.wait([drained])
            holding.host.abandon()
        if holding.task is not None:
            await asyncio.wait([holding.task])
        self._held.pop(part, None)
        owner = cleared(Owner(session=self._session, epoch=holding.epoch))
        with suppress(StorageError, BusError):
            await self._leases.put_owner(part, owner, revision=holding.revision)
        await self._announce()

    async def _announce(self) -> None:
        with suppress(BusError):
            await self._means.bus.publish(subjects.CHANGED, b"")

    async def _renew_held(self) -> None:
        for host in list(self._hosts.values()):  # partitions come and go meanwhile
            if host.feed is not None:
                for token in host.overdue():
                    with suppress(BusError):
                        await host.feed.working(token)
