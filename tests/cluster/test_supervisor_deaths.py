"""Deaths of workers and forks that fail: what a node bears, and what it says where it does not."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from actorium.bus.task import Task
from actorium.runtime.config import Settings
from actorium.runtime.deaths import policy_of
from cluster.apps_supervised import POISONED
from cluster.harness import SOON, Cluster, Node, Stopwatch, attached, each_once, kill, note, whole
from eventually import eventually
from servers import TestServer

SOURCE = str(Path(__file__).parent / "apps_supervised.py")
FINE = Task(action="fine")
Start = Callable[..., Node]


@pytest.fixture
def start(nats_server: TestServer, make_node: Start) -> Start:
    """A node that treats its workers as the settings say, not as tests do that kill often."""

    def begin(**settings: object) -> Node:
        policy = policy_of(Settings(**({"workers": 2} | settings)))
        return make_node(nats_server.url, source=SOURCE, policy=policy, **settings)

    return begin


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The file that makes a fault while it is there."""

    def prepare(name: str) -> Path:
        monkeypatch.setenv(name, str(tmp_path / name))
        return tmp_path / name

    return prepare


async def test_ten_tasks_that_end_their_process_are_ten_dead_letters_and_the_node_lives(
    nats_server: TestServer, start: Start
) -> None:
    start()
    agents = [f"poisoned-{n}" for n in range(POISONED)]
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        watch = Stopwatch()
        told = [(await cluster.client.tell(name, Task(action="die"))).id for name in agents]
        for name, task in zip(agents, told, strict=True):
            (result,) = await each_once(cluster, name, [task], timeout=90.0)
            assert result.failure is not None
            assert "process_died" in result.failure.message
        note(f"{POISONED} poison tasks were dead letters after {watch.seconds:.1f} s")
        letters = await cluster.client.dead_letters.list(limit=100)
        assert sorted((letter.agent, letter.attempts) for letter in letters) == [
            (name, 3) for name in sorted(agents)
        ]
        await asyncio.gather(*(cluster.answers(name, FINE) for name in agents))
        await cluster.settled(2)
        await whole(cluster, *agents)


async def test_a_node_whose_workers_die_right_at_their_start_gives_up_and_says_so(
    nats_server: TestServer, start: Start, fault: Callable[[str], Path]
) -> None:
    dying = fault("DYING")
    node = start(workers=1, intensity=20)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        dying.touch()
        for pid in (await cluster.workers()).values():
            kill(pid)
        assert await node.ended() == 1
    assert "died within 600 s before they had begun to work" in node.log


async def workers(cluster: Cluster) -> list[int]:
    return sorted((await cluster.workers()).values())


async def test_a_process_that_cannot_be_forked_costs_neither_the_zygote_nor_the_node(
    nats_server: TestServer, start: Start, fault: Callable[[str], Path]
) -> None:
    full = fault("FULL")
    node = start()
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        before = await workers(cluster)
        full.touch()
        task = await cluster.client.tell("own", FINE)
        kill(before[0])
        await eventually(lambda: node.log.count("worker.failed") > 2, SOON, what="it is tried again")
        full.unlink()
        assert (await task.result(timeout=SOON)).unwrap() == "fine"
        await cluster.settled(2)
        assert before[1] in await workers(cluster)
    assert "no process could be forked: Resource temporarily unavailable" in node.log
