"""kill -9 and SIGSTOP of workers: every acknowledged task ends in exactly one result, in order."""

import asyncio
import random
import signal
from collections.abc import Callable

import pytest

from actorium.bus.errors import BusLost, DeadlineExceeded
from cluster.apps import Add
from cluster.harness import (
    LEASE,
    SOON,
    Cluster,
    Node,
    Stopwatch,
    attached,
    chance_pause,
    each_once,
    kill,
    note,
    whole,
)
from eventually import eventually
from servers import TestServer


async def tell_many(cluster: Cluster, agent: str, mark: str, count: int, *, pause: float = 0.0) -> list[str]:
    """Tell one agent many tasks, one after the other; the ids of those that were acknowledged."""
    acked = []
    for n in range(count):
        handle = await cluster.client.tell(agent, Add(n=n, pause=pause), task_id=f"{mark}-{agent}-{n}")
        acked.append(handle.id)
    return acked


def in_order(results: list) -> None:
    """The data of a Counter's results: message number, total, how many: each grows by one, none twice."""
    data = [result.unwrap() for result in results]
    assert [n for n, _, _ in data] == sorted({n for n, _, _ in data}), data
    assert [seen for _, _, seen in data] == list(range(data[0][2], data[0][2] + len(data))), data


async def test_workers_killed_at_random_points_cost_no_task_no_order_and_no_state(
    cluster: Cluster, rng: random.Random, seed: int
) -> None:
    agents = [f"counter-{n}" for n in range(8)]
    before = {name: (await cluster.client.ask(name, Add(amount=0))).unwrap()[1] for name in agents}
    async with asyncio.TaskGroup() as group:
        loads = [
            group.create_task(tell_many(cluster, name, f"k{seed}", 120, pause=0.002 * (n % 2)))
            for n, name in enumerate(agents)
        ]
        for _ in range(6):
            await chance_pause(rng.uniform(0.05, 0.4))
            living = await eventually(cluster.workers, SOON, what="a worker to kill")
            kill(rng.choice(sorted(living.values())))
    for name, load in zip(agents, loads, strict=True):
        in_order(await each_once(cluster, name, load.result()))
        total = (await cluster.answers(name, Add(amount=0))).unwrap()[1]
        assert total - before[name] == len(load.result())
    await whole(cluster, *agents)


async def test_a_killed_workers_agents_answer_again_long_before_the_lease_is_over(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """Its supervisor sees it die and gives the session up: nobody waits for the lease."""
    make_node(nats_server.url, lease=60.0)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        for _ in range(3):
            _, pid = await cluster.owner_of("counter-9")
            kill(pid)
            watch = Stopwatch()
            await cluster.answers("counter-9", Add(n=1))
            note(f"takeover after kill -9: {watch.seconds:.2f} s")
            assert watch.seconds < 20.0, "it waited for the lease"
            await cluster.settled(2)


async def test_a_stopped_worker_is_replaced_within_the_lease_and_is_refused_when_it_comes_back(
    cluster: Cluster, seed: int
) -> None:
    """It is stopped in the middle of a handler, and goes on in it as if nothing had happened."""
    agent, mark = "counter-10", f"z{seed}"
    session, pid = await cluster.owner_of(agent)
    acked = await tell_many(cluster, agent, mark, 20, pause=0.1)
    await cluster.started(agent, f"{mark}-{agent}-3")
    kill(pid, signal.SIGSTOP)
    watch = Stopwatch()
    try:
        await eventually(lambda: moved(cluster, agent, session), SOON, what="the partition moves")
        taken = watch.seconds
        results = await each_once(cluster, agent, acked)
    finally:
        kill(pid, signal.SIGCONT)
    note(f"takeover after SIGSTOP: {taken:.2f} s with a lease of {LEASE} s")
    assert taken > LEASE / 2, "it was taken from a worker that still had it"
    await cluster.settled(2)  # the zombie lives on, and owns again what it is given
    assert (await cluster.workers()).get(session) == pid
    in_order(results)
    in_order(await each_once(cluster, agent, acked))
    await whole(cluster, agent)


async def moved(cluster: Cluster, agent: str, session: str) -> bool:
    return (await cluster.owner_of(agent))[0] != session


async def test_an_ask_that_waits_in_a_stopped_worker_is_not_run_a_second_time_when_it_comes_back(
    cluster: Cluster, seed: int
) -> None:
    agent = "witness-3"
    await cluster.answers(agent, Add(n=0))
    session, pid = await cluster.owner_of(agent)
    kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: moved(cluster, agent, session), SOON, what="the partition moves")
        await cluster.answers(agent, Add(n=0))  # its new owner listens: a key that moved does not say so yet
        asked = [seed + n for n in range(300)]
        # the stopped worker gets them too, and finds them when it comes back
        await asyncio.gather(*(cluster.client.ask(agent, Add(n=n), timeout=SOON) for n in asked))
    finally:
        kill(pid, signal.SIGCONT)
    await cluster.settled(2)
    await cluster.answers(agent, Add(n=0))
    ran = [event.data["n"] for event in await cluster.events(agent, "ran")]
    assert sorted(n for n in ran if n in asked) == asked


async def test_an_ask_that_a_stopped_worker_took_is_told_in_time_and_changes_nothing_when_it_goes_on(
    cluster: Cluster, seed: int
) -> None:
    """It is stopped in the middle of the handler; what the handler does then is refused by the ledger."""
    agent = "counter-11"
    before = (await cluster.answers(agent, Add(amount=0))).unwrap()[1]
    session, pid = await cluster.owner_of(agent)
    watch = Stopwatch()
    asked = asyncio.create_task(cluster.client.ask(agent, Add(n=seed, pause=1.0), timeout=3.0))
    await eventually(lambda: busy(cluster, agent), SOON, what="it has the ask")
    kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineExceeded):
            await asked
        assert watch.seconds < 4.0
        await eventually(lambda: moved(cluster, agent, session), SOON, what="the partition moves")
        assert (await cluster.answers(agent, Add(n=1))).unwrap()[1] == before + 1
    finally:
        kill(pid, signal.SIGCONT)
    await cluster.settled(2)
    assert (await cluster.answers(agent, Add(amount=0))).unwrap()[1] == before + 1
    await whole(cluster, agent)


async def test_an_ask_that_a_killed_worker_took_is_told_long_before_its_deadline(
    cluster: Cluster, seed: int
) -> None:
    """Whoever owns the agent then does not have it: the caller may decide, and need not wait."""
    agent = "counter-12"
    before = (await cluster.answers(agent, Add(amount=0))).unwrap()[1]
    _, pid = await cluster.owner_of(agent)
    asked = asyncio.create_task(cluster.client.ask(agent, Add(n=seed, pause=90.0), timeout=100.0))
    await eventually(lambda: busy(cluster, agent), SOON, what="it has the ask")
    kill(pid)
    watch = Stopwatch()
    with pytest.raises(BusLost, match="replaced"):
        await asyncio.wait_for(asked, SOON)
    note(f"told after kill -9: {watch.seconds:.2f} s")
    assert (await cluster.answers(agent, Add(n=1))).unwrap()[1] == before + 1


async def busy(cluster: Cluster, agent: str) -> bool:
    return bool((await cluster.client.status(agent))["status"] == "busy")
