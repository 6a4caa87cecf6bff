"""Cancelling a task of a plain actor, over the deaths of processes."""

import asyncio

from actorium.actors.definition import Definition
from cluster.apps import Add
from cluster.harness import SOON, Cluster, each_once, kill, whole
from eventually import eventually


async def test_a_cancelled_task_has_one_result_and_changes_nothing(cluster: Cluster, seed: int) -> None:
    """Its handler is cut short, what it did to the state is gone, and the next task runs at once."""
    agent = await fresh(cluster, f"cut-{seed}")
    handle = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    behind = await cluster.client.tell(agent, Add(n=2))
    await cluster.started(agent, handle.id)
    assert await handle.cancel("changed my mind")
    result = await handle.result(timeout=SOON)
    assert result.failure is not None
    assert result.failure.code == "cancelled"
    assert (await behind.result(timeout=SOON)).unwrap() == [2, 1, 1]
    assert await handle.cancel()  # again is the same cancel
    assert not await behind.cancel()
    await each_once(cluster, agent, [handle.id, behind.id])
    await whole(cluster, agent)


async def test_an_acknowledged_cancel_of_a_task_that_waits_stands_whoever_dies(
    cluster: Cluster, seed: int
) -> None:
    """Its turn comes long after, with another owner."""
    agent = await fresh(cluster, f"waits-{seed}")
    first = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    second = await cluster.client.tell(agent, Add(n=2, pause=60.0))
    await cluster.started(agent, first.id)
    assert await second.cancel()
    _, pid = await cluster.owner_of(agent)
    kill(pid)
    assert await first.cancel()
    for result in await each_once(cluster, agent, [first.id, second.id]):
        assert result.failure is not None
        assert result.failure.code == "cancelled"
    kinds = [record.kind for record in await cluster.records(agent)]
    assert kinds.count("cancelled") == 2
    await whole(cluster, agent)


async def test_an_acknowledged_cancel_of_a_task_that_runs_stands_whoever_dies(
    cluster: Cluster, seed: int
) -> None:
    """Its worker dies in the moment of the acknowledgement."""
    agent = await fresh(cluster, f"runs-{seed}")
    handle = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    await cluster.started(agent, handle.id)
    _, pid = await cluster.owner_of(agent)
    assert await handle.cancel()
    kill(pid)
    assert (await cluster.answers(agent, Add(n=2))).unwrap() == [2, 1, 1]
    (result,) = await each_once(cluster, agent, [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"


async def test_a_cancelled_result_stands_whoever_dies_afterwards(cluster: Cluster, seed: int) -> None:
    """What was told of it is what stands in the ledger."""
    agent = await fresh(cluster, f"stands-{seed}")
    handle = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    await cluster.started(agent, handle.id)
    assert await handle.cancel()
    await handle.result(timeout=SOON)
    _, pid = await cluster.owner_of(agent)
    kill(pid)
    assert (await cluster.answers(agent, Add(n=2))).unwrap() == [2, 1, 1]
    (result,) = await each_once(cluster, agent, [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"


async def test_a_task_whose_worker_died_before_its_cancel_was_written_can_be_cancelled_again(
    cluster: Cluster, seed: int
) -> None:
    """A cancel is told to the owner and nobody else: the next one runs the task, until it is told too."""
    agent = await fresh(cluster, f"again-{seed}")
    handle = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    await cluster.started(agent, handle.id)
    _, pid = await cluster.owner_of(agent)
    kill(pid)
    await eventually(lambda: started_twice(cluster, agent), SOON, what="the next owner runs it")
    assert await handle.cancel()
    (result,) = await each_once(cluster, agent, [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"
    assert (await cluster.answers(agent, Add(n=2))).unwrap() == [2, 1, 1]


async def test_a_cancel_that_a_dying_worker_got_is_told_to_the_next_owner(
    cluster: Cluster, seed: int
) -> None:
    """Within seconds, not when its time is over."""
    agent = await fresh(cluster, f"dying-{seed}")
    handle = await cluster.client.tell(agent, Add(n=1, pause=60.0))
    await cluster.started(agent, handle.id)
    _, pid = await cluster.owner_of(agent)
    kill(pid)
    async with asyncio.timeout(SOON):
        assert await handle.cancel()
    (result,) = await each_once(cluster, agent, [handle.id])
    assert result.failure is not None
    assert result.failure.code == "cancelled"


async def started_twice(cluster: Cluster, agent: str) -> bool:
    return [record.kind for record in await cluster.records(agent)].count("started") == 2


async def fresh(cluster: Cluster, agent: str) -> str:
    """An agent of this test's own, which counts from nothing."""
    found = await cluster.client.names.registry.find("default", "counter-0")
    await cluster.client.spawn(Definition(name=agent, kind=found.kind, options=found.options))
    return agent
