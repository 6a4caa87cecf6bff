"""What a worker makes of what it sees, when others act between two of its looks."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from actorium.actors.activation import GRACE
from actorium.actors.context import Context
from actorium.actors.ledger import ActorLedger
from actorium.bus import subjects
from actorium.bus.envelope import Envelope
from actorium.bus.errors import BusError
from actorium.bus.task import Task
from actorium.runtime.holder import PATIENCE, STUCK
from actorium.runtime.ownership import share
from actorium.runtime.partition import PartitionHost
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryLeases
from actorium.storage.port import Owner, OwnerSeen, Session, SessionSeen
from simulation.cluster import AGENTS, PARTITIONS, TTL, Adder, Bugs, Cluster, SimWorker


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(Bugs())
    yield cluster
    assert cluster.failed() == []
    cluster.close()


def owners(cluster: Cluster) -> dict[int, str]:
    return {seen.part: seen.owner.session for seen in cluster.loop.play(cluster.leases.owners())}


class Newcomer(MemoryLeases):
    """Leases in which another worker joins and claims everything between the first two reads."""

    joined = False

    async def sessions(self, *, after: int = 0) -> list[SessionSeen]:
        seen = await super().sessions(after=after)
        await self._join()
        return seen

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        seen = await super().owners(after=after)
        await self._join()
        return seen

    async def _join(self) -> None:
        if not self.joined:
            self.joined = True
            await self.put_session(Session(id="newcomer", node="sim"), revision=0)
            for part in range(PARTITIONS):
                await self.put_owner(part, Owner(session="newcomer", epoch=1), revision=0)


def test_who_joins_between_two_reads_is_not_robbed(cluster: Cluster) -> None:
    """An owner that was seen is never of a session that could not yet be seen."""
    cluster.leases = Newcomer()
    cluster.start()
    cluster.pass_time(0.01)

    assert owners(cluster) == dict.fromkeys(range(PARTITIONS), "newcomer")


class Silent(MemoryLeases):
    """Leases that take a claim and do not say so."""

    silent = True

    async def put_owner(self, part: int, owner: Owner, *, revision: int) -> int:
        revision = await super().put_owner(part, owner, revision=revision)
        if self.silent:
            raise StoreUnavailable("no answer, and it stands")
        return revision


def test_a_claim_whose_answer_was_lost_is_made_again(cluster: Cluster) -> None:
    """The key names us and we host nothing: nobody else would ever take it."""
    leases = cluster.leases = Silent()
    worker = cluster.start()
    cluster.pass_time(0.01)
    assert worker.hosts == {}

    leases.silent = False
    cluster.pass_time(TTL)

    assert sorted(worker.hosts) == list(range(PARTITIONS))


def settled(cluster: Cluster, count: int) -> list[SimWorker]:
    workers = [cluster.start() for _ in range(count)]
    cluster.pass_time(2 * TTL)
    return workers


def test_workers_share_and_a_planned_stop_hands_over(cluster: Cluster) -> None:
    """Each partition is with its first candidate; after a drain the other one has all, within a second."""
    one, two = settled(cluster, 2)
    shares = share([one.session, two.session], PARTITIONS)
    assert owners(cluster) == {part: ranked[0] for part, ranked in shares.items()}

    cluster.loop.play(one.holder.drain(5.0))
    one.wire.die()
    cluster.reap(tell=True)
    cluster.pass_time(1.0)

    assert set(owners(cluster).values()) == {two.session}
    assert sorted(two.hosts) == list(range(PARTITIONS))


def test_a_worker_that_dies_silently_is_replaced_after_its_lease(cluster: Cluster) -> None:
    """Not before, because it may live; and soon after."""
    one, two = settled(cluster, 2)
    one.wire.die()
    cluster.reap(tell=False)
    mine = set(owners(cluster).values())

    cluster.pass_time(TTL * 0.7)
    assert set(owners(cluster).values()) == mine
    cluster.pass_time(TTL * 0.3 + TTL / 4 + 1.0)

    assert set(owners(cluster).values()) == {two.session}


def test_a_worker_that_lost_its_connection_goes_on_in_the_next_epoch(cluster: Cluster) -> None:
    """It owns what it owned, anew, so that what it may have missed comes again."""
    (worker,) = settled(cluster, 1)
    before = {part: host.epoch for part, host in worker.hosts.items()}

    worker.bus.sever()
    worker.bus.heal()
    cluster.pass_time(1.0)

    assert {part: host.epoch for part, host in worker.hosts.items()} == {
        part: epoch + 1 for part, epoch in before.items()
    }


def test_nothing_is_lost_where_a_session_was_ended_by_mistake(cluster: Cluster) -> None:
    """Its worker learns it with its next renewal and ends; another one takes over."""
    (worker,) = settled(cluster, 1)
    cluster.loop.play(cluster.leases.end_session(worker.session))
    cluster.pass_time(TTL)
    assert worker.dead
    cluster.reap(tell=False)
    cluster.start()
    cluster.pass_time(1.0)

    assert {subjects.partition("default", agent) for agent in AGENTS} <= set(cluster.workers[0].hosts)


class Unread(MemoryLeases):
    """Leases that take renewals while nobody can read who owns what."""

    unread = False

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        if self.unread:
            raise StoreUnavailable("no answer")
        return await super().owners(after=after)


def test_after_a_gap_a_worker_acts_only_on_what_it_has_seen_since(cluster: Cluster) -> None:
    """Its session is renewed, and in the gap another may have taken its partitions and given them back."""
    leases = cluster.leases = Unread()
    (worker,) = settled(cluster, 1)
    agent = AGENTS[0]
    spec = {"amount": 1, "kind": "add", "pause": 0.0}
    leases.unread = worker.wire.blind = True
    cluster.pass_time(2 * TTL)
    worker.wire.blind = False
    cluster.pass_time(TTL / 2)
    ask(cluster, agent, spec | {"id": "unseen"})

    leases.unread = False
    cluster.pass_time(TTL / 2)
    ask(cluster, agent, spec | {"id": "seen"})

    assert written(cluster, agent) == ["seen"]


def test_a_former_owner_never_says_that_an_ask_did_not_run(cluster: Cluster) -> None:
    """The new owner may have it too: who is told that it did not run sends it again, and it runs twice."""
    settled(cluster, 2)
    agent = AGENTS[0]
    part = subjects.partition("default", agent)
    spec = {"id": "first", "amount": 1, "kind": "add", "pause": 0.0}
    ask(cluster, agent, spec)
    old = next(worker for worker in cluster.workers if part in worker.hosts)
    cluster.loop.play(old.sweep())
    old.wire.zombie = True
    cluster.pass_time(2 * TTL)
    ask(cluster, agent, spec | {"id": "second"})
    old.wire.zombie = False  # it is about to see that its lease is over, and hears again

    ask(cluster, agent, spec | {"id": "third"})
    cluster.pass_time(TTL)

    log = written(cluster, agent)
    assert log[:2] == ["first", "second"]
    assert log.count("third") <= 1


def written(cluster: Cluster, agent: str) -> list[str]:
    """The ids of what an agent has done, in order, as its ledger tells the next owner."""
    subject = subjects.ledger(subjects.partition("default", agent), "default", agent)
    opening = ActorLedger.open(cluster.ledger, cluster.blobs, subject, 10_000)
    return list(cluster.loop.play(opening).progress.state["log"])


def ask(cluster: Cluster, agent: str, spec: dict[str, object]) -> None:
    """An ask that may fail."""
    deadline = cluster.loop.time() + 2.0
    envelope = Envelope(task_id=str(spec["id"]), deadline=deadline)
    with suppress(BusError):
        cluster.loop.play(cluster.courier.ask(agent, Task(spec=spec), envelope))


def test_a_partition_in_the_middle_of_calls_moves_when_they_have_ended_or_after_a_while(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that joins takes what is free at once, and cuts nothing short for the sake of even shares."""
    one = cluster.start()
    cluster.pass_time(2 * TTL)
    busy = {0, 1, 2, 3}
    monkeypatch.setattr(PartitionHost, "engaged", property(lambda host: host.part in busy))
    two = cluster.start()
    cluster.pass_time(2 * TTL)
    shares = share([one.session, two.session], PARTITIONS)
    wanted = {part: ranked[0] for part, ranked in shares.items()}
    assert owners(cluster) == {part: one.session if part in busy else to for part, to in wanted.items()}

    busy -= {0, 1}
    cluster.pass_time(TTL)
    assert {part: owners(cluster)[part] for part in (0, 1)} == {part: wanted[part] for part in (0, 1)}

    cluster.pass_time(PATIENCE)
    assert owners(cluster) == wanted


def test_a_handler_that_cannot_be_cut_short_does_not_keep_its_neighbours(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition is handed back without it, after its grace and a while."""
    deaf = [True]

    async def receive(self: Adder, message: Task, ctx: Context) -> int:
        while deaf[0] and message.spec["id"] == "deaf":
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1.0)
        self.state.log.append(message.spec["id"])
        return 0

    monkeypatch.setattr(Adder, "receive", receive)
    one = cluster.start()
    cluster.pass_time(2 * TTL)
    spec = {"amount": 1, "kind": "add", "pause": 0.0}
    for agent in AGENTS:
        ask(cluster, agent, spec | {"id": "deaf"})
    two = cluster.start()
    cluster.pass_time(2 * TTL + GRACE + STUCK)
    assert set(owners(cluster).values()) == {one.session, two.session}
    moved = next(agent for agent in AGENTS if subjects.partition("default", agent) in two.hosts)
    ask(cluster, moved, spec | {"id": "after"})
    assert written(cluster, moved) == ["after"]
    deaf.clear()
    deaf.append(False)
    cluster.pass_time(2.0)
