"""A partition on its owner: what becomes of letters while its actors come, go and fail."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actorium import Actor, Context, Options
from actorium.actors.activation import Activation
from actorium.actors.errors import UnknownKind
from actorium.actors.supervision import Restart
from actorium.bus import subjects
from actorium.bus.envelope import Envelope
from actorium.bus.errors import NoOwner
from actorium.bus.port import Feed
from actorium.bus.task import Result, Task
from actorium.runtime.client import Client
from actorium.runtime.config import Settings
from actorium.runtime.memory import LEASE, MemoryWorld
from actorium.runtime.partition import PartitionHost
from actorium.runtime.reports import Reporter
from actorium.runtime.spec import WorkerSpec
from actorium.runtime.worker import Worker, hosting
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryLedger
from actorium.storage.port import Session
from eventually import eventually


class Gated(Actor):
    """Answers when its gate is open, how many it has begun."""

    gate: asyncio.Event
    begun: int

    async def receive(self, message: Task, ctx: Context) -> str:
        type(self).begun += 1
        await self.gate.wait()
        return message.action


class Sick(Actor):
    """Fails while it is sick; only once."""

    sick = True

    async def receive(self, message: Task, ctx: Context) -> str:
        if self.sick:
            raise ValueError("sick")
        return message.action


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gated, "gate", asyncio.Event(), raising=False)
    monkeypatch.setattr(Gated, "begun", 0, raising=False)
    monkeypatch.setattr(Sick, "sick", True)


@asynccontextmanager
async def at_work(world: MemoryWorld, *, rollout: float = 0.0) -> AsyncIterator[tuple[Worker, Client]]:
    """A worker of this program, and a client."""
    session = Session(id=f"s-{time.monotonic_ns()}", node="here")
    await world.leases.put_session(session, revision=0)
    spec = WorkerSpec(session=session.id, node=session.node, settings=Settings(), lease=LEASE)
    reporter = Reporter("", session.id)
    async with hosting(spec, world.connect(), lambda: True, reporter, rollout=rollout) as worker:
        await worker.holder.settled.wait()
        async with Client.over(world.connect()) as client:
            yield worker, client
        await worker.drain(5.0)
    await world.leases.end_session(session.id)


def host_of(worker: Worker, agent: str) -> PartitionHost:
    return worker.hosts[subjects.partition("default", agent)]


def ask(host: PartitionHost, agent: str, action: str) -> "asyncio.Future[Result]":
    return host.ask(("default", agent), Task(action=action), Envelope(task_id=action))


async def test_a_task_waits_for_the_program_that_has_its_class_and_an_ask_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nodes are updated one after the other; the definitions of the new program are known at once."""
    world, module = MemoryWorld(), sys.modules[__name__]
    new = Sick.named("new")
    await world.registry.define(type(new)(name="new", kind=f"{__name__}:Later"))
    async with at_work(world, rollout=60.0) as (_, client):
        handles = [await client.tell("new", Task(action=f"t{n}")) for n in range(3)]
        with pytest.raises(UnknownKind):
            await client.ask("new", Task(), timeout=5)
        with pytest.raises(NoOwner, match="waits for a program"):
            await client.cancel("new", handles[0].id)
        monkeypatch.setattr(Sick, "sick", False)
        monkeypatch.setattr(module, "Later", Sick, raising=False)
        assert [(await handle.result(timeout=10)).data for handle in handles] == ["t0", "t1", "t2"]


async def test_a_task_whose_class_nobody_has_is_told_so_when_its_time_is_over() -> None:
    """A mistyped class must not be silent for ever, nor end the wait of those that came later."""
    world = MemoryWorld()
    await world.registry.define(type(Sick.named("new"))(name="new", kind="nowhere:Y"))
    async with at_work(world, rollout=0.2) as (_, client):
        result = await (await client.tell("new", Task())).result(timeout=10)
        assert result.failure is not None
        assert result.failure.code == "unknown_kind"


async def test_a_task_that_waits_for_another_program_waits_for_the_next_owner_too() -> None:
    """It is not turned away by the worker that hands its partition over."""
    world = MemoryWorld()
    await world.registry.define(type(Sick.named("new"))(name="new", kind=f"{__name__}:Later"))
    async with at_work(world, rollout=60.0) as (worker, client):
        handle = await client.tell("new", Task(action="kept"))
        host = host_of(worker, "new")
        await eventually(host.overdue, what="the task is held")
        with pytest.raises(UnknownKind):
            await client.ask("new", Task(), timeout=5)
    Sick.sick = False
    await world.registry.define(Sick.named("new"))
    async with at_work(world) as (_, client):
        known = await client.tell("new", Task(action="kept"), task_id=handle.id)
        assert (await known.result(timeout=10)).data == "kept"


async def test_who_waits_for_an_actor_that_leaves_while_its_partition_moves_is_answered() -> None:
    """Its letters come back behind those that the drain gives away, and it is not left at work."""
    world = MemoryWorld()
    await world.registry.define(Gated.named("gated"))
    async with at_work(world) as (worker, _):
        host = host_of(worker, "gated")
        first, second = ask(host, "gated", "first"), ask(host, "gated", "second")
        await eventually(lambda: Gated.begun)
        leaving = asyncio.create_task(host.let_go(("default", "gated")))
        await eventually(lambda: not host.live)
        draining = asyncio.create_task(worker.holder.drain(5.0))
        late = asyncio.ensure_future(asyncio.wait([draining], timeout=0.1))
        assert not (await late)[0], "the next owner would find the actor at work"
        Gated.gate.set()
        await asyncio.gather(leaving, draining)
        assert (await first).data == "first"
        told = (await asyncio.wait_for(second, 5)).failure
        assert told is not None
        assert told.code == NoOwner.code


class SlowFeed:
    """A feed that takes its time to close."""

    def __init__(self, feed: Feed) -> None:
        self.closing = asyncio.Event()
        self.gate = asyncio.Event()
        self._feed = feed

    async def close(self) -> None:
        self.closing.set()
        await self.gate.wait()
        await self._feed.close()


class TornLedger(MemoryLedger):
    """Records that cannot be written while it is torn."""

    torn = False

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        if self.torn:
            raise StoreUnavailable("no answer")
        return await super().append(subject, record, after=after)


async def test_who_waits_for_an_actor_that_cannot_go_on_while_its_partition_moves_is_answered() -> None:
    """The drain has to find it, or nobody tells its letters."""
    world = MemoryWorld()
    world.ledger = ledger = TornLedger()
    await world.registry.define(Gated.named("gated"))
    async with at_work(world) as (worker, client):
        host = host_of(worker, "gated")
        first = ask(host, "gated", "first")
        await eventually(lambda: Gated.begun)
        actor = host.live["default", "gated"]
        await client.tell("gated", Task())
        await eventually(lambda: actor.waiting)
        second = ask(host, "gated", "second")
        host.feed = feed = SlowFeed(host.feed)
        draining = asyncio.create_task(worker.holder.drain(5.0))
        await feed.closing.wait()
        ledger.torn = True
        Gated.gate.set()
        await eventually(lambda: actor.fault)
        feed.gate.set()
        await draining
        assert (await first).data == "first"
        told = (await asyncio.wait_for(second, 5)).failure
        assert told is not None
        assert told.code == NoOwner.code


async def test_an_idle_actor_that_gets_a_letter_before_it_is_let_go_stays() -> None:
    """It would be cut short in the middle after the grace of a stop, and an ask would run twice."""
    world = MemoryWorld()
    await world.registry.define(Gated.named("gated", Options(idle=1.0)))
    async with at_work(world) as (worker, _):
        host = host_of(worker, "gated")
        Gated.gate.set()
        await ask(host, "gated", "first")
        actor = host.live["default", "gated"]
        await eventually(lambda: actor.idle)
        Gated.gate.clear()
        host.sweep(time.monotonic() + 60.0)
        second = ask(host, "gated", "second")
        await eventually(lambda: Gated.begun == 2)
        assert host.live["default", "gated"] is actor
        Gated.gate.set()
        assert (await second).data == "second"


async def test_what_was_given_up_comes_alive_where_it_lives_when_it_is_defined_anew() -> None:
    """The node with the mended program may not be the one that owns it."""
    world = MemoryWorld()
    sick = Sick.named("sick", Options(attempts=1, restart=Restart.TEMPORARY))
    await world.registry.define(sick)
    async with at_work(world) as (worker, client):
        await client.ask("sick", Task(action="fail"), timeout=5)
        await eventually(lambda: given_up(client))
        handle = await client.tell("sick", Task(action="waited"))
        host, now = host_of(worker, "sick"), time.monotonic() + 60.0
        host.sweep(now)
        Sick.sick = False
        assert (await client.status("sick"))["status"] == "error", "nobody mended it"
        await world.registry.define(sick)
        host.sweep(now + 60.0)
        assert (await handle.result(timeout=5)).data == "waited"


async def given_up(client: Client) -> bool:
    return (await client.status("sick"))["status"] == "error"


async def test_an_agent_that_was_given_up_stays_so_with_its_next_owner() -> None:
    """What waits for a restart must not run because a worker died."""
    world = MemoryWorld()
    sick = Sick.named("sick", Options(attempts=1, restart=Restart.TEMPORARY))
    await world.registry.define(sick)
    async with at_work(world) as (_, client):
        await client.ask("sick", Task(action="fail"), timeout=5)
        await eventually(lambda: given_up(client))
    Sick.sick = False
    async with at_work(world) as (worker, client):
        handle = await client.tell("sick", Task(action="waited"))
        host = host_of(worker, "sick")
        await eventually(lambda: host.live, what="it is alive, and waits")
        told = await client.status("sick")
        assert (told["status"], told["reason"]) == ("error", "a temporary actor is not restarted")
        assert told["waiting"] == 1
        await client.restart("sick")
        assert (await handle.result(timeout=5)).data == "waited"
        assert (await client.status("sick"))["status"] == "idle"


async def test_what_has_no_room_in_memory_is_done_in_its_order() -> None:
    """Its body is fetched from the stream at its turn, also where the actor is only being brought alive."""
    world = MemoryWorld()
    await world.registry.define(Gated.named("gated"))
    async with at_work(world) as (worker, client):
        worker.holder._means.room.free = 10
        handles = [await client.tell("gated", Task(action=f"t{n}")) for n in range(5)]
        await eventually(lambda: Gated.begun)
        actor = host_of(worker, "gated").live["default", "gated"]
        assert isinstance(actor, Activation)
        await eventually(lambda: actor.waiting == 4)
        assert not [letter for letter in actor._mailbox if letter.message is not None]
        Gated.gate.set()
        assert [(await handle.result(timeout=5)).data for handle in handles] == [f"t{n}" for n in range(5)]
