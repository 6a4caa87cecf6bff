"""kill -9 of the NATS server: nothing acknowledged is lost, and everyone finds the way back."""

import asyncio
import random
from collections.abc import Callable

import pytest

from actorium.bus.errors import BusLost
from cluster.apps import Add
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, whole
from servers import TestServer

AGENTS = [f"counter-{n}" for n in range(6)]


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
