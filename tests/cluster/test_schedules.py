"""Schedules on real processes: kill -9 of the NATS server while times are due fires none twice."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from actorium.actors.schedules.schedule import Every, Misfire, Order, Schedule
from actorium.actors.schedules.schedules import Schedules
from actorium.bus import subjects
from actorium.bus.task import Task
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, whole
from eventually import eventually
from servers import TestServer

SECOND = timedelta(seconds=1)
AGENTS = {Misfire.ALL: "counter-0", Misfire.ONE: "counter-1", Misfire.SKIP: "counter-2"}
OUTAGES = (0.5, 4.0, 8.0)  # seconds: shorter and longer than the grace below
GRACE = 2.0


def beat(agent: str, misfire: Misfire) -> Schedule:
    """Counts, every second."""
    return Schedule(
        name=f"beat-{misfire}",
        agent=agent,
        when=Every(seconds=1),
        what=Order(task=Task(spec={"n": 0})),
        created=datetime.now(UTC).replace(microsecond=0),
        misfire=misfire,
        grace=GRACE,
    )


async def fired(cluster: Cluster, agent: str) -> list[str]:
    """Ids of the tasks that were done, in their order."""
    return [task_id for task_id, _ in await cluster.results(agent)]


def moments(ids: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(task_id.partition("/")[2]) for task_id in ids]


async def later(cluster: Cluster, agent: str, moment: datetime) -> None:
    """Wait until a time after that moment was fired and done."""

    async def seen() -> bool:
        return any(nominal > moment for nominal in moments(await fired(cluster, agent)))

    await eventually(seen, SOON, every=0.2, what=f"{agent} fires again")


async def test_times_that_are_due_while_the_server_is_killed_fire_once_and_by_their_policy(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random
) -> None:
    """All of them where all are owed; of those that were missed at most the newest where they are not."""
    node = make_node(nats_server.url)
    gone: list[tuple[datetime, datetime]] = []
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        pids = set((await cluster.workers()).values())
        for misfire, agent in AGENTS.items():
            await Schedules(cluster.names.state).add(beat(agent, misfire))
        await cluster.names.bus.publish(subjects.CHANGED, b"")
        for outage in OUTAGES:
            await later(cluster, AGENTS[Misfire.SKIP], datetime.now(UTC))
            await chance_pause(rng.random())
            killed = datetime.now(UTC)
            nats_server.kill()
            await chance_pause(outage)
            nats_server.start()
            gone.append((killed, datetime.now(UTC)))
        for agent in AGENTS.values():
            await later(cluster, agent, datetime.now(UTC))
        assert set((await cluster.workers()).values()) == pids, f"a worker died of it:\n{node.log}"
        for misfire, agent in AGENTS.items():
            ids = await fired(cluster, agent)
            results = await each_once(cluster, agent, ids)
            assert [result.unwrap()[2] for result in results] == list(range(1, len(ids) + 1)), misfire
            held(misfire, moments(ids), gone)
        await whole(cluster, *AGENTS.values())


def held(misfire: Misfire, found: list[datetime], gone: list[tuple[datetime, datetime]]) -> None:
    """What was fired is what the policy says."""
    assert found == sorted(set(found)), f"{misfire}: not in order, or one twice: {found}"
    if misfire is Misfire.ALL:
        assert found == [found[0] + SECOND * number for number in range(len(found))]
        return
    for killed, back in gone:  # what was claimed before is done after
        missed = [one for one in found if killed + SECOND < one < back - SECOND * GRACE]
        assert not missed, f"{misfire}: {missed} came late, between {killed} and {back}"
