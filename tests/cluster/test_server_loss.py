"""kill -9 of the NATS server: nothing acknowledged is lost, and everyone finds the way back."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from actorium.bus.errors import BusLost, DeadlineExceeded, NoOwner
from actorium.runtime.client import Handle
from cluster.apps import Add, Errand
from cluster.harness import SOON, Cluster, Node, Stopwatch, attached, chance_pause, each_once, whole
from eventually import eventually
from servers import TestServer

AGENTS = [f"counter-{n}" for n in range(6)]
LOST = (BusLost, DeadlineExceeded, NoOwner)


@pytest.fixture
async def alone(nats_server: TestServer, make_node: Callable[..., Node]) -> AsyncIterator[Cluster]:
    """A node on a server that the test kills."""
    make_node(nats_server.url)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        yield cluster


@pytest.mark.parametrize(
    "outage",
    [0.5, pytest.param(24.0, id="longer than anybody's patience")],
)
async def test_a_killed_server_loses_no_acknowledged_task_and_everyone_comes_back(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random, outage: float
) -> None:
    node = make_node(nats_server.url)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        pids = set((await cluster.workers()).values())
        async with asyncio.TaskGroup() as group:
            loads = [group.create_task(tell_through(cluster, name, 40)) for name in AGENTS]
            await chance_pause(rng.uniform(0.2, 0.4))
            nats_server.kill()
            await chance_pause(outage)
            nats_server.start()
        for name, load in zip(AGENTS, loads, strict=True):
            results = await each_once(cluster, name, load.result())
            assert [r.unwrap()[2] for r in results] == list(range(1, len(results) + 1))
        await cluster.settled(2)
        assert set((await cluster.workers()).values()) == pids, f"a worker died of it:\n{node.log}"
        await whole(cluster, *AGENTS)
        async with attached(nats_server.url) as other:
            assert (await other.client.ask(AGENTS[0], Add(n=99), timeout=SOON)).unwrap()[0] == 99


async def tell_through(cluster: Cluster, agent: str, count: int) -> list[str]:
    """Tell on and on; a task whose end is unknown is told again under its id, as the promise says."""
    acked = []
    for n in range(count):
        while True:
            try:
                handle = await cluster.client.tell(agent, Add(n=n, pause=0.01), task_id=f"{agent}-{n}")
            except BusLost:
                continue
            acked.append(handle.id)
            break
    return acked


async def test_an_ask_that_meets_the_death_of_the_server_ends_in_time_and_runs_once_at_most(
    alone: Cluster, nats_server: TestServer
) -> None:
    """Its handler goes on, and its answer has nowhere to go."""
    await alone.answers("witness-0", Add(n=0))
    asked = asyncio.create_task(alone.client.ask("witness-0", Add(n=1, pause=1.0), timeout=4.0))
    await eventually(lambda: busy(alone, "witness-0"), SOON)
    watch = Stopwatch()
    nats_server.kill()
    with pytest.raises(LOST):
        await asked
    assert watch.seconds < 5.0
    nats_server.start()
    await alone.answers("witness-0", Add(n=2))
    assert [event.data["n"] for event in await alone.events("witness-0", "ran")].count(1) <= 1


async def test_an_ask_while_the_server_is_away_is_told_in_time_or_sent_when_it_is_back(
    alone: Cluster, nats_server: TestServer
) -> None:
    nats_server.kill()
    watch = Stopwatch()
    with pytest.raises(LOST):
        await alone.client.ask("counter-0", Add(n=1), timeout=0.5)
    assert watch.seconds < 1.5
    patient = asyncio.create_task(alone.client.ask("counter-0", Add(n=2), timeout=SOON))
    await chance_pause(0.3)
    nats_server.start()
    assert (await patient).unwrap() == [2, 1, 1]


async def test_an_acknowledged_cancel_stands_over_the_death_of_the_server(
    alone: Cluster, nats_server: TestServer
) -> None:
    """Its worker lives, and writes down that the task was cancelled as soon as it can."""
    handle = await alone.client.tell("counter-0", Add(n=1, pause=60.0))
    await alone.started("counter-0", handle.id)
    assert await handle.cancel()
    nats_server.kill()
    nats_server.start()
    (result,) = await each_once(alone, "counter-0", [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"
    assert (await alone.answers("counter-0", Add(amount=0))).unwrap()[1] == 0


async def test_a_cancel_while_the_server_is_away_is_told_in_time_and_may_be_told_again(
    alone: Cluster, nats_server: TestServer
) -> None:
    handle = await alone.client.tell("counter-0", Add(n=1, pause=60.0))
    await alone.started("counter-0", handle.id)
    nats_server.kill()
    watch = Stopwatch()
    with pytest.raises(LOST):
        await handle.cancel()
    assert watch.seconds < 15.0
    nats_server.start()
    assert await eventually(lambda: cancelled(handle), SOON)
    (result,) = await each_once(alone, "counter-0", [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"


async def test_a_delegation_has_one_result_over_the_death_of_the_server(
    alone: Cluster, nats_server: TestServer, rng: random.Random
) -> None:
    """Whichever of both sides was just writing."""
    delegates = AGENTS[:4]
    handles = {
        name: await alone.client.tell(name, Errand(to=delegates, n=1, pause=0.3))
        for name in [f"delegator-{n}" for n in range(4)]
    }
    for _ in range(2):
        await chance_pause(rng.uniform(0.05, 0.5))
        nats_server.kill()
        nats_server.start()
    for name, handle in handles.items():
        (result,) = await each_once(alone, name, [handle.id], timeout=60.0)
        assert [n for n, _, _ in result.unwrap()] == [1] * 4
    for name in delegates:
        assert (await alone.answers(name, Add(amount=0))).unwrap()[1] == len(handles)
    await whole(alone, *delegates, *handles)


async def busy(cluster: Cluster, agent: str) -> bool:
    return bool((await cluster.client.status(agent))["status"] == "busy")


async def cancelled(handle: Handle) -> bool:
    """Whether a cancel was acknowledged; nobody may answer yet."""
    try:
        return bool(await handle.cancel())
    except LOST:
        return False
