"""Delegation over workers: one result, whoever dies; cancelled through and through when asked to."""

import asyncio
import random
import signal
from collections.abc import Callable

from actorium.bus.task import Result
from cluster.apps import Add, Errand
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, kill, whole
from eventually import eventually
from servers import TestServer

DELEGATES = [f"counter-{n}" for n in range(12, 16)]


async def apart(cluster: Cluster) -> tuple[str, str]:
    """A delegator and a delegate on different workers."""
    owners = {
        name: (await cluster.owner_of(name))[0]
        for name in [*DELEGATES, *(f"delegator-{n}" for n in range(8))]
    }
    return next(
        (one, other)
        for one in owners
        for other in DELEGATES
        if one.startswith("delegator") and owners[one] != owners[other]
    )


async def test_delegation_survives_the_death_of_either_side_with_one_result(
    cluster: Cluster, rng: random.Random, seed: int
) -> None:
    """Each errand reaches four delegates at once, each of which counts; both workers are killed."""
    before = {name: (await cluster.answers(name, Add(amount=0))).unwrap()[1] for name in DELEGATES}
    acked: dict[str, list[str]] = {}
    for d in range(4):
        name = f"delegator-{d}"
        acked[name] = [
            (
                await cluster.client.tell(
                    name, Errand(to=DELEGATES, n=n, pause=0.05), task_id=f"errand{seed}-{d}-{n}"
                )
            ).id
            for n in range(3)
        ]
    for _ in range(3):
        await chance_pause(rng.uniform(0.1, 0.5))
        kill(rng.choice(sorted((await cluster.workers()).values())))
    for name, tasks in acked.items():
        results = await each_once(cluster, name, tasks, timeout=60.0)
        assert [[n for n, _, _ in result.unwrap()] for result in results] == [[n] * 4 for n in range(3)]
    for name in DELEGATES:
        assert (await cluster.answers(name, Add(amount=0))).unwrap()[1] - before[name] == 12
    await whole(cluster, *DELEGATES, *acked)


async def test_delegators_and_delegates_that_died_together_go_on_together(
    cluster: Cluster, seed: int
) -> None:
    """All are under suspicion of having killed their worker, run one at a time, and wait for one another."""
    names = [f"delegator-{n}" for n in range(8)]
    handles = {
        name: await cluster.client.tell(name, Errand(to=DELEGATES, pause=0.5), task_id=f"pair{seed}-{name}")
        for name in names
    }
    for name in [*names, *DELEGATES]:
        await eventually(lambda who=name: open_task(cluster, who), SOON, every=0.02)
    for pid in (await cluster.workers()).values():
        kill(pid)
    for name, handle in handles.items():
        assert len((await handle.result(timeout=60.0)).unwrap()) == 4
        assert len(await each_once(cluster, name, [handle.id])) == 1


async def open_task(cluster: Cluster, agent: str) -> bool:
    """Whether the last record of an agent is the start of a task."""
    records = await cluster.records(agent)
    return bool(records) and records[-1].kind == "started"


async def test_a_cancel_reaches_the_delegate_on_another_worker(cluster: Cluster, seed: int) -> None:
    delegator, delegate = await apart(cluster)
    handle = await cluster.client.tell(
        delegator, Errand(to=[delegate], n=7, pause=60.0), task_id=f"cancel{seed}"
    )
    await cluster.started(delegate, f"cancel{seed}/1")
    assert await handle.cancel()
    assert code(await handle.result(timeout=SOON)) == "cancelled"
    (result,) = await each_once(cluster, delegate, [f"cancel{seed}/1"])
    assert code(result) == "cancelled"
    assert (await cluster.client.status(delegate))["status"] == "idle"


async def test_a_cancel_counts_whatever_the_moment_it_comes_at(cluster: Cluster, seed: int) -> None:
    """Before the task is delivered it is refused; from then on it ends the task."""

    async def tell_and_cancel(name: str) -> str:
        handle = await cluster.client.tell(name, Add(n=1, pause=60.0), task_id=f"quick{seed}-{name}")
        await eventually(handle.cancel, SOON, every=0.0)
        return code(await handle.result(timeout=SOON))

    codes = await asyncio.gather(*(tell_and_cancel(f"counter-{n}") for n in range(16)))
    assert set(codes) == {"cancelled"}


async def test_a_planned_drain_of_a_delegator_does_not_cancel_what_it_delegated(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """Its handler is cut short and runs again elsewhere: the delegates work on and are found."""
    make_node(nats_server.url, "a", workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        make_node(nats_server.url, "b", workers=1)
        await cluster.settled(2)
        nodes = {name: (await cluster.owner_of(name))[0] for name in [f"delegator-{n}" for n in range(8)]}
        handles = {
            name: await cluster.client.tell(name, Errand(to=["counter-0", "counter-1"], n=1, pause=0.5))
            for name in nodes
        }
        for handle in handles.values():
            await cluster.started(handle.agent, handle.id)
        drained = make_node(nats_server.url, "c", workers=1)
        await cluster.settled(3)
        drained.terminate()
        assert await drained.ended() == 0
        for name, handle in handles.items():
            (result,) = await each_once(cluster, name, [handle.id], timeout=60.0)
            assert [n for n, _, _ in result.unwrap()] == [1, 1], result
        for name in ("counter-0", "counter-1"):
            assert (await cluster.client.ask(name, Add(amount=0), timeout=SOON)).unwrap()[1] == len(handles)


async def test_a_stopped_worker_that_comes_back_does_not_cancel_what_its_successor_waits_for(
    cluster: Cluster, seed: int
) -> None:
    delegator, delegate = await apart(cluster)
    session, pid = await cluster.owner_of(delegator)
    handle = await cluster.client.tell(
        delegator, Errand(to=[delegate], n=8, pause=6.0), task_id=f"zombie{seed}"
    )
    await cluster.started(delegate, f"zombie{seed}/1")
    kill(pid, signal.SIGSTOP)
    try:

        async def moved() -> bool:
            return (await cluster.owner_of(delegator))[0] != session

        await eventually(moved, SOON)
    finally:
        kill(pid, signal.SIGCONT)
    result = await handle.result(timeout=SOON)
    assert result.failure is None, result
    (result,) = await each_once(cluster, delegate, [f"zombie{seed}/1"])
    assert result.failure is None, result
    await asyncio.gather(whole(cluster, delegator), whole(cluster, delegate))


async def test_a_delegates_result_is_found_however_much_it_did_since(cluster: Cluster, seed: int) -> None:
    """The answer was lost with the delegator's worker, and the delegate has moved and forgotten."""
    delegator, delegate = await apart(cluster)
    _, pid = await cluster.owner_of(delegator)
    handle = await cluster.client.tell(
        delegator, Errand(to=[delegate], n=9, pause=0.5), task_id=f"past{seed}"
    )
    await cluster.started(delegate, f"past{seed}/1")
    kill(pid, signal.SIGSTOP)
    later = [
        (await cluster.client.tell(delegate, Add(n=n), task_id=f"later{seed}-{n}")).id for n in range(40)
    ]
    await each_once(cluster, delegate, later)
    for worker in (await cluster.workers()).values():
        kill(worker)
    result = await handle.result(timeout=SOON)
    assert [n for n, _, _ in result.unwrap()] == [9]
    assert len(await each_once(cluster, delegate, [f"past{seed}/1"])) == 1


def code(result: Result) -> str:
    return result.failure.code if result.failure else ""
