"""Several nodes: planned drains, a node that joins, a node that loses power."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from actorium.actors.errors import ActorStopped
from actorium.actors.supervision import Policy
from cluster.apps import Add
from cluster.harness import (
    LEASE,
    SOON,
    Cluster,
    Node,
    Stopwatch,
    alive,
    attached,
    each_once,
    kill,
    note,
    whole,
)
from eventually import eventually
from servers import TestServer

AGENTS = [f"counter-{n}" for n in range(8)]


@pytest.fixture(params=[LEASE])
async def pair(
    request: pytest.FixtureRequest, nats_server: TestServer, make_node: Callable[..., Node]
) -> AsyncIterator[tuple[Cluster, Node]]:
    """Two nodes of one worker each, and the first of them; the parameter is the lease."""
    first = make_node(nats_server.url, "a", workers=1, lease=request.param)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        make_node(nats_server.url, "b", workers=1, lease=request.param)
        await cluster.settled(2)
        yield cluster, first


async def tell_and_ask(cluster: Cluster, agent: str, over: asyncio.Event) -> tuple[list[str], int]:
    """Tell and ask one agent until it is over; ids told, and how many asks were answered."""
    told: list[str] = []
    asked = 0
    while not over.is_set():
        told.append((await cluster.client.tell(agent, Add(n=len(told)), task_id=f"{agent}-{len(told)}")).id)
        answer = await cluster.client.ask(agent, Add(n=-1), timeout=SOON)
        assert answer.failure is None, answer
        asked += 1
    return told, asked


@pytest.mark.parametrize("pair", [60.0], indirect=True)
async def test_a_planned_drain_hands_over_at_once_and_loses_neither_tasks_nor_asks(
    pair: tuple[Cluster, Node],
) -> None:
    cluster, first = pair
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        loads = [group.create_task(tell_and_ask(cluster, name, over)) for name in AGENTS]
        await eventually(lambda: cluster.results(AGENTS[0]), SOON, what="the load runs")
        watch = Stopwatch()
        first.terminate()

        async def alone() -> bool:
            owners = set((await cluster.owners()).values())
            return owners == set(await cluster.workers("b"))

        await eventually(alone, SOON, what="the other node owns everything")
        note(f"handed over in {watch.seconds:.2f} s")
        assert watch.seconds < 20.0, "it waited for the lease"
        assert await first.ended() == 0
        for name in AGENTS:
            await cluster.answers(name, Add(n=-1))
        over.set()
    for name, load in zip(AGENTS, loads, strict=True):
        told, asked = load.result()
        assert len(await each_once(cluster, name, told)) == len(told)
        total = (await cluster.client.ask(name, Add(amount=0), timeout=SOON)).unwrap()[1]
        assert total == len(told) + asked + 1
    await whole(cluster, *AGENTS)
    assert not await cluster.workers("a")


async def test_a_new_node_gets_its_share_and_a_task_in_hand_is_not_counted_as_failed(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """A move cuts a long handler short; it runs again elsewhere, though it may fail only once."""
    agents = [f"single-{n}" for n in range(8)]
    make_node(nats_server.url, "a", workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        tasks = [(await cluster.client.tell(name, Add(n=1, pause=4.0))).id for name in agents]
        for name, task in zip(agents, tasks, strict=True):
            await cluster.started(name, task)
        make_node(nats_server.url, "b", workers=1)
        await cluster.settled(2)
        make_node(nats_server.url, "c", workers=2)
        await cluster.settled(4)
        for name, task in zip(agents, tasks, strict=True):
            (result,) = await each_once(cluster, name, [task])
            assert result.unwrap() == [1, 1, 1]


async def test_the_partitions_of_a_node_without_power_are_taken_when_its_lease_is_over(
    pair: tuple[Cluster, Node],
) -> None:
    cluster, first = pair
    (lost,) = await cluster.workers("a")
    agents = [name for name in AGENTS if (await cluster.owner_of(name))[0] == lost]
    assert agents, "the node owns none of the test's agents"
    told = {
        name: [(await cluster.client.tell(name, Add(n=n, pause=0.2))).id for n in range(10)]
        for name in agents
    }
    first.crash()
    watch = Stopwatch()

    async def taken() -> bool:
        return lost not in (await cluster.owners()).values()

    await eventually(taken, SOON, what="the other node owns everything")
    note(f"takeover after a node's death: {watch.seconds:.2f} s with a lease of {LEASE} s")
    for name in agents:
        assert [r.unwrap()[1] for r in await each_once(cluster, name, told[name])] == list(range(1, 11))
    await whole(cluster, *agents)


async def test_workers_end_with_their_supervisor(pair: tuple[Cluster, Node]) -> None:
    """Nobody would watch them: they drain, and the other node serves on."""
    cluster, first = pair
    below = first.descendants()
    kill(first.pid)
    await cluster.settled(1)
    for name in AGENTS:
        await cluster.answers(name, Add())

    def gone() -> bool:
        return not any(alive(pid) for pid in below)

    await eventually(gone, SOON, what="nothing is left of the node")


async def test_a_blocked_worker_whose_supervisor_was_killed_ends_and_its_partitions_move(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """It hears no SIGTERM, and its lease thread renews: only a kill behind the drain time ends it."""
    first = make_node(nats_server.url, "a", workers=1, drain=1.0)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        handle = await cluster.client.tell("blocker-once", Add(pause=600.0))
        await cluster.started("blocker-once", handle.id)
        below = first.descendants()
        kill(first.pid)
        make_node(nats_server.url, "b", workers=1)
        await cluster.settled(1)
        assert (await cluster.answers("blocker-once", Add())).failure is None
        assert not any(alive(pid) for pid in below)


def terminate_all(node: Node) -> None:
    """As systemd does."""
    for pid in [node.pid, *node.descendants()]:
        kill(pid, signal.SIGTERM)


def kill_supervisor(node: Node) -> None:
    kill(node.pid)


@pytest.mark.parametrize("fault", [terminate_all, kill_supervisor])
async def test_agents_with_a_process_of_their_own_are_drained_like_all_others(
    nats_server: TestServer, make_node: Callable[..., Node], fault: Callable[[Node], None]
) -> None:
    node = make_node(nats_server.url, workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        agents = ["witness-0", "own-witness"]
        tasks = {name: (await cluster.client.tell(name, Add(n=1, pause=2.0))).id for name in agents}
        for name in agents:
            await eventually(lambda name=name: cluster.events(name, "ran"), SOON, what=f"{name} runs")
        below = node.descendants()
        fault(node)
        for name in agents:
            (result,) = await each_once(cluster, name, [tasks[name]])
            assert [event.data["pid"] for event in await cluster.events(name, "ran")] == [result.unwrap()]
        status = await node.ended()
        assert status == (0 if fault is terminate_all else -signal.SIGKILL), node.log
        await eventually(lambda: not any(alive(pid) for pid in below), SOON, what="nothing is left of it")


async def test_a_node_whose_workers_keep_dying_gives_up_and_says_so(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    node = make_node(nats_server.url, workers=1, policy=Policy(intensity=2, period=60.0, backoff=0.01))
    async with attached(nats_server.url) as cluster:
        killed: set[int] = set()

        async def another() -> int:
            return next((pid for pid in (await cluster.workers()).values() if pid not in killed), 0)

        await cluster.settled(1)
        for _ in range(3):
            pid = await eventually(another, SOON, what="another worker is up")
            killed.add(pid)
            kill(pid)
        assert await node.ended() == 1
    assert "workers keep dying" in node.log


async def test_a_stopped_agent_stays_stopped_when_a_node_joins(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    make_node(nats_server.url, "a", workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        await cluster.client.stop("echo")
        make_node(nats_server.url, "b", workers=2)
        await cluster.settled(3)
        with pytest.raises(ActorStopped):
            await cluster.client.ask("echo", "hello", timeout=SOON)
        await cluster.client.restart("echo")
        assert (await cluster.client.ask("echo", "hello", timeout=SOON)).unwrap() == "hello"
