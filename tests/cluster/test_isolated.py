"""Agents with a process of their own: its death costs a moment, and it never outlives its owner."""

import asyncio

from cluster.apps import Add
from cluster.harness import SOON, Cluster, Stopwatch, alive, each_once, kill, note, whole
from eventually import eventually


async def ran(cluster: Cluster, agent: str, n: int) -> list[int]:
    """Pids in which a message ran."""
    return [event.data["pid"] for event in await cluster.events(agent, "ran") if event.data["n"] == n]


async def test_a_killed_process_of_an_agent_costs_one_attempt_and_no_task(cluster: Cluster) -> None:
    workers = await cluster.workers()
    handle = await cluster.client.tell("own-witness", Add(n=1, pause=1.0))
    (pid,) = await eventually(lambda: ran(cluster, "own-witness", 1), SOON, every=0.02)
    assert pid not in workers.values()
    kill(pid)
    other = (await handle.result(timeout=SOON)).unwrap()
    assert other != pid
    assert len(await each_once(cluster, "own-witness", [handle.id])) == 1
    assert await cluster.workers() == workers


async def test_an_idle_process_of_an_agent_that_was_killed_is_not_missed(cluster: Cluster) -> None:
    pid = (await cluster.client.ask("own-witness", Add(n=2), timeout=SOON)).unwrap()
    kill(pid)
    await eventually(lambda: not alive(pid), SOON)
    watch = Stopwatch()
    result = await cluster.client.ask("own-witness", Add(n=3), timeout=SOON)
    note(f"an isolated agent answers {watch.seconds * 1000:.0f} ms after kill -9")
    assert result.unwrap() != pid


async def test_state_is_not_older_after_a_process_that_could_not_be_cancelled(cluster: Cluster) -> None:
    agent = "own-stubborn"
    for n in range(5):
        assert (await cluster.client.ask(agent, Add(n=n), timeout=SOON)).unwrap()[1] == n + 1
    handle = await cluster.client.tell(agent, Add(n=50, pause=20.0))
    (pid,) = await eventually(lambda: ran(cluster, agent, 50), SOON, every=0.02)
    assert await handle.cancel()
    result = await handle.result(timeout=SOON)
    assert result.failure is not None
    assert result.failure.code == "cancelled"
    assert (await cluster.client.ask(agent, Add(n=6), timeout=SOON)).unwrap()[1] == 6
    await eventually(lambda: not alive(pid), 5.0, what="the process that was let go ends")


async def test_a_blocked_process_of_an_agent_ends_with_its_owner(cluster: Cluster) -> None:
    """Or two processes of one agent would run at once: the next owner forks another."""
    agent = "own-stubborn"
    handle = await cluster.client.tell(agent, Add(n=60, pause=15.0), task_id="blocked-60")
    (first,) = await eventually(lambda: ran(cluster, agent, 60), SOON, every=0.02)
    _, worker = await cluster.owner_of(agent)
    kill(worker)
    await eventually(lambda: not alive(first), 5.0, what="the process ends with its owner")
    assert await eventually(handle.cancel, SOON, every=0.1)
    await handle.result(timeout=SOON)


async def test_kills_of_process_and_worker_in_any_order_apply_every_task_once(
    cluster: Cluster, seed: int
) -> None:
    agents = [f"own-{n}" for n in range(4)]
    acked: dict[str, list[str]] = {name: [] for name in agents}
    for n in range(10):
        for name in agents:
            mark = f"own{seed}-{name}-{n}"
            acked[name].append((await cluster.client.tell(name, Add(n=n, pause=0.05), task_id=mark)).id)
    _, worker = await cluster.owner_of("own-0")
    await cluster.started("own-0", acked["own-0"][2])
    kill(worker)
    for name in agents:
        data = [result.unwrap() for result in await each_once(cluster, name, acked[name], timeout=60.0)]
        assert [n for n, _, _ in data] == list(range(10))
        assert [total for _, total, _ in data] == list(range(1, 11))
    await whole(cluster, *agents)
    await asyncio.gather(*(cluster.answers(name, Add(amount=0)) for name in agents))
