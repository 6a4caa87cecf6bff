"""What a step says of its effect, on real processes.

Pure ones are done at once where their agent is near, and stored after a crash; irreversible ones are tried
once, whatever becomes of it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actorium import Status
from cluster.apps_pure import STEPS
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, kill
from eventually import eventually
from servers import TestServer

SOURCE = str(Path(__file__).parent / "apps_pure.py")


@pytest.fixture(scope="module")
def pure_node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server and a node with two workers."""
    home = tmp_path_factory.mktemp("pure")
    server = TestServer(nats_binary, home / "nats")
    server.start()
    node = Node(server.url, home, "pure").start(SOURCE)
    yield node
    node.end()
    server.kill()


@pytest.fixture
async def pure(pure_node: Node) -> AsyncIterator[Cluster]:
    """The node above, with both workers at work; its log is shown when a test fails."""
    before = len(pure_node.log)
    try:
        async with attached(pure_node.settings.nats.url) as seen:
            await seen.settled(2)
            yield seen
    finally:
        print(pure_node.log[before:][-8000:])  # noqa: T201


async def test_pure_steps_are_done_at_once_where_their_agent_is_near(pure: Cluster) -> None:
    for n in range(STEPS):
        await pure.client.ask(f"adder-{n}", 0)  # from here on all are alive
    before = sum([len(await pure.results(f"adder-{n}")) for n in range(STEPS)])
    result = await (await pure.client.start("adding")).result(timeout=SOON)
    assert (result.status, result.data) == (Status.SUCCESS, {"total": STEPS})
    stored = sum([len(await pure.results(f"adder-{n}")) for n in range(STEPS)]) - before
    assert stored < STEPS  # those of agents in the other worker


async def test_workers_killed_at_random_moments_lose_no_run_of_pure_steps(
    pure: Cluster, rng: random.Random, seed: int
) -> None:
    ids = [f"adding-{seed}-{n}" for n in range(40)]

    async def load() -> None:
        for run_id in ids:
            await pure.client.start("adding", run_id=run_id)
            await chance_pause(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        for _ in range(6):
            await chance_pause(rng.uniform(0.05, 0.3))
            kill(rng.choice(sorted((await pure.workers()).values())))
    for result in await each_once(pure, "adding", ids):
        assert (result.status, result.data) == (Status.SUCCESS, {"total": STEPS}), result


async def test_a_pure_step_that_kills_its_process_is_tried_once_more_than_its_agent_allows(
    pure: Cluster, tmp_path: Path
) -> None:
    journal = tmp_path / "kills"
    result = await (await pure.client.start("killing", {"journal": str(journal)})).result(timeout=2 * SOON)
    assert result.status is Status.FAILURE
    assert result.error is not None
    assert "process_died" in result.error
    lines = journal.read_text().split()
    assert 2 <= len(lines) <= 3  # two attempts that are counted, and where it was near one before them
    assert len(set(lines)) == 1


async def test_an_irreversible_step_whose_worker_dies_is_not_tried_again(
    pure: Cluster, tmp_path: Path
) -> None:
    journal = tmp_path / "lines"
    handle = await pure.client.start("writing-slowly", {"journal": str(journal)})
    await eventually(journal.exists, SOON, what="it has begun")
    kill(int(journal.read_text()))
    result = await handle.result(timeout=2 * SOON)
    assert (result.status, len(journal.read_text().split())) == (Status.FAILURE, 1), result
    assert "process_died" in str(result.error)
    assert "whether it happened is not known" in str(result.error)


async def test_an_irreversible_step_that_raises_is_not_tried_again(pure: Cluster, tmp_path: Path) -> None:
    journal = tmp_path / "lines"
    result = await (await pure.client.start("writing-raise", {"journal": str(journal)})).result(timeout=SOON)
    assert (result.status, len(journal.read_text().split())) == (Status.FAILURE, 1), result
    assert "behind the line" in str(result.error)


async def test_an_irreversible_step_that_a_stop_cuts_short_is_not_tried_again(
    pure: Cluster, tmp_path: Path
) -> None:
    journal = tmp_path / "lines"
    handle = await pure.client.start("writing-slowly", {"journal": str(journal)})
    await eventually(journal.exists, SOON, what="it has begun")
    await pure.client.restart("writer")
    result = await handle.result(timeout=SOON)
    assert (result.status, len(journal.read_text().split())) == (Status.FAILURE, 1), result
    assert "cut_short" in str(result.error)
