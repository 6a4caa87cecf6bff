"""Workflows on real processes: kill -9 of workers, nodes and servers repeats no effect and loses no run."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actorium import Result, Status
from actorium.actors.card import Cards, run_ledger
from actorium.bus import subjects
from actorium.bus.errors import BusLost, DeadlineExceeded, NoOwner
from actorium.storage.errors import StorageError
from actorium.storage.verifier import Verifier
from cluster.apps_workflows import lines
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, kill, note
from eventually import eventually
from servers import TestServer

SOURCE = str(Path(__file__).parent / "apps_workflows.py")
TOTALS = {"chain": 5, "fan": sum(range(1, 13)), "diamond": 8, "outer": 15 + sum(range(1, 13))}
EFFECTS = {"chain": 5, "fan": 13, "diamond": 6, "outer": 19, "saga": 3, "patient": 2}


@pytest.fixture(scope="module")
def workflow_node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server and a node with two workers that run workflows."""
    home = tmp_path_factory.mktemp("workflows")
    server = TestServer(nats_binary, home / "nats")
    server.start()
    node = Node(server.url, home, "workflows").start(SOURCE)
    yield node
    node.end()
    server.kill()


@pytest.fixture
async def flows(workflow_node: Node) -> AsyncIterator[Cluster]:
    """The node above, with both workers at work; its log is shown when a test fails."""
    before = len(workflow_node.log)
    try:
        async with attached(workflow_node.settings.nats.url) as seen:
            await seen.settled(2)
            yield seen
    finally:
        print(workflow_node.log[before:][-8000:])  # noqa: T201


async def start(cluster: Cluster, name: str, run_id: str, home: Path) -> None:
    """Start a run with a journal of its own; again under its id while nobody knows whether it is stored."""
    while True:
        try:
            await cluster.client.start(name, {"journal": str(home / run_id)}, run_id=run_id)
        except BusLost:
            continue
        return


def runs_of(mark: str, each: int, *names: str) -> dict[str, list[str]]:
    """Ids of so many runs of each workflow."""
    return {name: [f"{name}-{mark}-{n}" for n in range(each)] for name in names}


async def load(cluster: Cluster, home: Path, runs: dict[str, list[str]], pause: float = 0.0) -> None:
    """Start runs, one of each workflow after the other."""
    for ids in zip(*runs.values(), strict=True):
        await asyncio.gather(
            *(start(cluster, name, run_id, home) for name, run_id in zip(runs, ids, strict=True))
        )
        await chance_pause(pause)


async def owners(cluster: Cluster, name: str, run_id: str) -> int:
    """How many owners carried a run, one after the other; its chain verifies and is over."""
    subject = run_ledger(cluster.names.partitions, subjects.DEFAULT_TENANT, name, run_id)
    verifier = Verifier(subject)
    kinds = [verifier.feed(entry.value).kind async for entry in cluster.names.ledger.read(subject)]
    assert kinds[-1] == "page"
    return 1 + kinds.count("epoch")


def once(name: str, journal: Path) -> list[str]:
    """What a run did and undid: each of its steps once, each under its first attempt but where it failed."""
    written = lines(str(journal))
    assert not [line for line, times in Counter(written).items() if times > 1], (name, written)
    done = [line for line in written if line.startswith("did ")]
    assert len(done) == EFFECTS[name], (name, written)
    return written


async def all_right(cluster: Cluster, home: Path, runs: dict[str, list[str]]) -> None:
    """Every run has one result, the right one, and did everything once."""
    carried: Counter[int] = Counter()
    for name, ids in runs.items():
        for run_id, result in zip(ids, await in_order(cluster, name, ids), strict=True):
            written = once(name, home / run_id)
            if name == "saga":
                undone(result, written)
            else:
                assert (result.status, result.data) == (Status.SUCCESS, {"total": TOTALS[name]}), result
            carried[await owners(cluster, name, run_id)] += 1
    note(f"runs by how many owners carried them: {dict(carried)}")
    assert [card for card in await Cards(cluster.names.live).all() if card.agent in runs] == []


async def in_order(cluster: Cluster, name: str, ids: list[str]) -> list[Result]:
    """The results of runs, each of which has exactly one."""
    await each_once(cluster, name, ids)
    told = dict(await cluster.results(name))
    return [told[run_id] for run_id in ids]


def undone(result: Result, written: list[str]) -> None:
    """A saga failed, and took back what it had booked, the last booking first."""
    assert result.status is Status.FAILURE
    steps = [(line.split()[0], line.split("/")[2]) for line in written]
    assert steps == [
        *(("did", f"book{n}") for n in (1, 2, 3)),
        *(("undid", f"book{n}") for n in (3, 2, 1)),
    ]


async def test_workers_killed_at_random_moments_repeat_no_effect_and_lose_no_run(
    flows: Cluster, rng: random.Random, seed: int, tmp_path: Path
) -> None:
    runs = runs_of(f"k{seed}", 6, "chain", "fan", "diamond", "saga", "outer")
    async with asyncio.TaskGroup() as group:
        group.create_task(load(flows, tmp_path, runs, 0.1))
        for _ in range(6):
            await chance_pause(rng.uniform(0.05, 0.3))
            kill(rng.choice(sorted((await flows.workers()).values())))
    await all_right(flows, tmp_path, runs)


async def signalled(cluster: Cluster, run_id: str, n: int) -> bool:
    """Send a run its signal, under one id however often; False while nobody can take it."""
    with contextlib.suppress(NoOwner, DeadlineExceeded, BusLost, StorageError):
        await cluster.client.signal("patient", run_id, "go", n, signal_id="s1")
        return True
    return False


async def test_signals_and_timers_outlive_the_whole_node(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random, tmp_path: Path
) -> None:
    """Runs that wait are parked; the node dies before their signal, and again while they sleep."""
    node = make_node(nats_server.url, "first", source=SOURCE)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        runs = runs_of("p", 6, "patient")
        await load(cluster, tmp_path, runs)

        async def parked() -> bool:
            return [run.state for run in await cluster.client.workflows.live()] == ["parked"] * 6

        await eventually(parked, SOON, what="all runs wait for their signal")
        node.crash()
        node = make_node(nats_server.url, "second", source=SOURCE)
        for n, run_id in enumerate(runs["patient"]):
            await eventually(lambda run_id=run_id, n=n: signalled(cluster, run_id, n), SOON)
        await chance_pause(rng.uniform(0.0, 0.5))
        node.crash()
        make_node(nats_server.url, "third", source=SOURCE)
        results = await in_order(cluster, "patient", runs["patient"])
        assert [result.data for result in results] == [{"total": n + 1} for n in range(6)]
        for run_id in runs["patient"]:
            once("patient", tmp_path / run_id)
            told = await cluster.client.show("patient", run_id)
            (rest,) = [step for step in told["steps"] if step["id"] == "rest"]
            assert rest["ms"] >= 1000


async def test_a_node_killed_in_the_middle_of_everything_goes_on_where_it_was(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random, seed: int, tmp_path: Path
) -> None:
    node = make_node(nats_server.url, "before", source=SOURCE)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        runs = runs_of(f"n{seed}", 4, "chain", "fan", "diamond", "saga")
        async with asyncio.TaskGroup() as group:
            group.create_task(load(cluster, tmp_path, runs, 0.05))
            await chance_pause(rng.uniform(0.1, 0.4))
            node.crash()
        make_node(nats_server.url, "after", source=SOURCE)
        await all_right(cluster, tmp_path, runs)


async def test_a_killed_server_repeats_no_effect_and_loses_no_run(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random, seed: int, tmp_path: Path
) -> None:
    make_node(nats_server.url, source=SOURCE)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        runs = runs_of(f"s{seed}", 4, "chain", "fan", "diamond", "saga", "outer")
        async with asyncio.TaskGroup() as group:
            group.create_task(load(cluster, tmp_path, runs, 0.1))
            for _ in range(2):
                await chance_pause(rng.uniform(0.1, 0.4))
                nats_server.kill()
                await chance_pause(rng.uniform(0.1, 0.6))
                nats_server.start()
        await all_right(cluster, tmp_path, runs)


async def test_the_queues_json_starts_one_run_however_often_and_through_whatever_dies(
    flows: Cluster, rng: random.Random, seed: int, tmp_path: Path
) -> None:
    """Published to the orchestrator by any NATS client; repeated around the death of the relay's owner."""

    def body(run_id: str) -> bytes:
        payload: dict[str, Any] = {"workflow_id": "chain", "tenant_id": "default", "trigger": "manual"}
        payload["input_data"] = {"journal": str(tmp_path / run_id)}
        return msgspec.json.encode({"task": "execute_workflow", "payload": payload})

    ids = [f"q{seed}-{n}" for n in range(8)]
    for _ in range(3):
        for run_id in ids:
            headers = {"Nats-Msg-Id": run_id}
            await flows.names.bus.request("orchestrator.inbox", body(run_id), headers, timeout=SOON)
        _, pid = await flows.owner_of("chain")
        kill(rng.choice([pid, *(await flows.workers()).values()]))
        await chance_pause(rng.uniform(0.0, 0.3))
    await all_right(flows, tmp_path, {"chain": ids})
    completed = await flows.events("chain", "workflow_step_completed")
    ours = [event.data["step_id"] for event in completed if event.task == ids[0]]
    assert set(ours) == {f"s{number}" for number in range(1, 6)}
