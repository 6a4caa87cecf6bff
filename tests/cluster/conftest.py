"""Fixtures of the reliability tests: a node that most tests share, and nodes of a test's own.

A test on the shared node keeps apart by the names of its agents, and leaves both workers alive.
"""

import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from cluster.harness import Cluster, Node, attached
from servers import TestServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.server)


@pytest.fixture
def seed(record_property: Callable[[str, object], None]) -> int:
    """The seed of a test's randomness: ACTORIUM_SEED, or a new one; printed, so shown when it fails."""
    chosen = int(os.environ.get("ACTORIUM_SEED") or secrets.randbits(32))
    record_property("seed", chosen)
    print(f"ACTORIUM_SEED={chosen}")  # noqa: T201
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Moments and victims of faults."""
    return random.Random(seed)


@pytest.fixture(scope="package")
def shared_node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server and one node with two workers, for all tests that leave both running."""
    home = tmp_path_factory.mktemp("cluster")
    server = TestServer(nats_binary, home / "nats")
    server.start()
    node = Node(server.url, home, "shared").start()
    yield node
    node.end()
    server.kill()


@pytest.fixture
async def cluster(shared_node: Node) -> AsyncIterator[Cluster]:
    """The shared node, with both workers at work; its log is shown when a test fails."""
    before = len(shared_node.log)
    try:
        async with attached(shared_node.settings.nats.url) as seen:
            await seen.settled(2)
            yield seen
    finally:
        print(shared_node.log[before:][-8000:])  # noqa: T201


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts nodes: `make_node(url, "a", workers=1)`; none outlives the test, logs are shown if it fails."""
    nodes: list[Node] = []

    def make(url: str, name: str = "node", *, source: str = "", **settings: object) -> Node:
        nodes.append(Node(url, tmp_path, name, **settings))
        return nodes[-1].start(source)

    yield make
    for node in nodes:
        node.end()
        print(f"--- {node.name}\n{node.log[-8000:]}")  # noqa: T201
