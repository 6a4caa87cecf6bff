"""Supervision over workers: who is restarted with whom, in which order, and when a supervisor gives up."""

import random
from pathlib import Path

import pytest

from actorium.actors.definition import Options
from actorium.actors.errors import ActorStopped
from actorium.actors.supervision import Policy, Strategy
from actorium.actors.supervisor import Supervisor
from actorium.bus.errors import ActoriumError
from actorium.bus.task import Event, Task
from cluster import apps
from cluster.apps import FAMILY, Life
from cluster.harness import SOON, Cluster, chance_pause, kill
from eventually import eventually


async def born(cluster: Cluster, name: str) -> list[Event]:
    """The births of every child of a family, in order of their time."""
    events = [event for n in range(FAMILY) for event in await cluster.events(f"{name}-{n}", "born")]
    return sorted(events, key=lambda event: event.data["at"])


async def bring_up(cluster: Cluster, name: str) -> None:
    """Make every child live, each once; they must live on both workers, or the test says nothing."""
    for n in range(FAMILY):
        assert (await cluster.client.ask(f"{name}-{n}", Task(), timeout=SOON)).unwrap() == f"{name}-{n}"
    assert len({event.data["pid"] for event in await born(cluster, name)}) <= 2


async def fail(cluster: Cluster, agent: str) -> None:
    """Have a child fail."""
    result = await cluster.client.ask(agent, Task(action="fail"), timeout=SOON)
    assert result.failure is not None
    assert result.failure.code == "handler_failed"


@pytest.mark.parametrize(
    ("name", "again"),
    [("one", [2]), ("rest", [2, 3, 4]), ("all", [0, 1, 2, 3, 4])],
)
async def test_a_group_is_restarted_as_its_strategy_says_in_its_order_over_workers(
    cluster: Cluster, name: str, again: list[int]
) -> None:
    await bring_up(cluster, name)
    before = len(await born(cluster, name))
    await fail(cluster, f"{name}-2")

    async def restarted() -> list[Event] | None:
        events = (await born(cluster, name))[before:]
        return events if len(events) >= len(again) else None

    events = await eventually(restarted, SOON, every=0.1, what=f"{len(again)} of {name} are restarted")
    for n in range(FAMILY):  # and they work
        assert (await cluster.answers(f"{name}-{n}", Task())).failure is None
    events = (await born(cluster, name))[before:]
    assert sorted(event.agent for event in events) == [f"{name}-{n}" for n in again]
    others = [event.agent for event in events if event.agent != f"{name}-2"]
    assert others == sorted(others), "those beside the one that failed start in their order"
    assert not any(definition.stopped for definition in await cluster.client.agents())


async def test_a_supervisor_whose_intensity_is_exceeded_stops_its_group_and_says_so(cluster: Cluster) -> None:
    await bring_up(cluster, "weak")
    await fail(cluster, "weak-1")
    for n in range(FAMILY):
        await cluster.answers(f"weak-{n}", Task())
    await fail(cluster, "weak-1")

    async def given_up() -> bool:
        told = [(await cluster.client.status(f"weak-{n}"))["status"] for n in range(FAMILY)]
        assert told == ["error"] * FAMILY
        return True

    await eventually(given_up, SOON, every=0.1, what="the group is stopped")
    (event,) = await cluster.events("weak", "escalated")
    assert event.data["child"] == "weak-1"
    with pytest.raises(ActorStopped):
        await cluster.client.ask("weak-0", Task(), timeout=SOON)
    for n in range(FAMILY):
        await cluster.client.restart(f"weak-{n}")
        assert (await cluster.client.ask(f"weak-{n}", Task(), timeout=SOON)).failure is None


async def test_a_group_that_gives_up_is_in_the_hands_of_the_one_above_over_workers(cluster: Cluster) -> None:
    """Twice too often: the first time the group begins anew, the second time the one above gives up too."""
    await bring_up(cluster, "low")

    async def escalated(name: str, outcomes: list[bool]) -> bool:
        return [event.data["restarted"] for event in await cluster.events(name, "escalated")] == outcomes

    for outcomes in ([True], [True, False]):
        for _ in range(2):
            for n in range(FAMILY):
                assert (await cluster.answers(f"low-{n}", Task())).failure is None
            await fail(cluster, "low-3")
        await eventually(lambda told=outcomes: escalated("low", told), SOON, every=0.1)
    assert await escalated("clan", [False])
    with pytest.raises(ActorStopped):
        await cluster.client.ask("low-0", Task(), timeout=SOON)


async def test_an_agent_that_fails_too_often_is_in_error_with_an_event_until_somebody_restarts_it(
    cluster: Cluster,
) -> None:
    for _ in range(3):
        await fail(cluster, "fragile")

    async def in_error() -> bool:
        return (await cluster.client.status("fragile"))["status"] == "error"

    await eventually(in_error, SOON, every=0.1)
    (event,) = await eventually(lambda: cluster.events("fragile", "stopped"), SOON, every=0.1)
    assert "3 times" in event.data["reason"]
    waits = await cluster.client.tell("fragile", Task())
    _, pid = await cluster.owner_of("fragile")
    kill(pid)
    await cluster.settled(2)
    told = await cluster.client.status("fragile")  # of the next owner
    assert told["status"] == "error"
    assert "3 times" in told["reason"]
    with pytest.raises(ActorStopped, match="3 times"):
        await cluster.client.ask("fragile", Task(), timeout=SOON)
    assert not await cluster.results("fragile")
    await cluster.client.restart("fragile")
    assert (await waits.result(timeout=SOON)).unwrap() == "fragile"
    assert (await cluster.client.ask("fragile", Task(), timeout=SOON)).unwrap() == "fragile"


async def test_a_child_that_cannot_start_leaves_none_of_its_siblings_stopped(
    cluster: Cluster, tmp_path: Path
) -> None:
    sick = tmp_path / "sick"
    policy = Policy(strategy=Strategy.ONE_FOR_ALL, intensity=50, period=60.0, backoff=0.5, backoff_max=0.5)
    children = [
        Life.named(f"frail-{n}", Options(attempts=1), **({"sick": str(sick)} if n == 1 else {}))
        for n in range(4)
    ]
    for definition in Supervisor.of("frail", *children, policy=policy):
        kind = definition.kind.replace(f"{apps.__name__}:", "apps:")
        await cluster.client.spawn(type(definition)(**{**as_dict(definition), "kind": kind}))
    for n in range(4):
        await cluster.client.ask(f"frail-{n}", Task(), timeout=SOON)
    sick.touch()
    await fail(cluster, "frail-0")
    await eventually(lambda: cluster.events("frail-1", "born"), SOON, every=0.1)
    sick.unlink()

    async def all_work() -> bool:
        for n in range(4):
            assert (await cluster.client.ask(f"frail-{n}", Task(), timeout=1.0)).failure is None
        return True

    async def settled() -> bool:
        try:
            return await all_work()
        except ActoriumError as error:
            raise AssertionError from error

    await eventually(settled, SOON, every=0.2, what="every sibling works again")


def as_dict(definition: object) -> dict[str, object]:
    return {name: getattr(definition, name) for name in definition.__struct_fields__}


async def test_the_death_of_a_supervisor_in_the_middle_leaves_none_of_its_children_stopped(
    cluster: Cluster, rng: random.Random
) -> None:
    """Its worker is killed while it restarts the group, again and again."""
    await bring_up(cluster, "torn")
    for _ in range(6):
        _, pid = await cluster.owner_of("torn")
        await cluster.client.tell("torn-0", Task(action="fail"))
        await chance_pause(rng.uniform(0.0, 0.05))  # a restart of the group takes about so long
        kill(pid)
        await cluster.settled(2)

    async def all_work() -> bool:
        for n in range(FAMILY):
            try:
                answer = await cluster.client.ask(f"torn-{n}", Task(), timeout=1.0)
            except ActoriumError as error:
                raise AssertionError(f"torn-{n}: {error}") from error
            assert answer.failure is None
        return True

    await eventually(all_work, SOON, every=0.2, what="every child works again")
