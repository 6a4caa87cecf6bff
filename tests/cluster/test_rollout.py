"""Nodes that are updated one after the other: what the new program knows and the old one does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actorium.bus.task import Task
from cluster.harness import SOON, Cluster, Node, attached, each_once
from eventually import eventually
from servers import TestServer

AGENTS = 10  # enough that each of two nodes owns some

OLD = """
from actorium import Actor, App, Context, Options, Policy, Task

FRAIL = Options(attempts=1, policy=Policy(intensity=0))

class Frail(Actor):
    async def receive(self, message: Task, ctx: Context) -> str:
        raise ValueError("a bug of this program")

app = App(Frail.named("frail", FRAIL))
"""

NEW = """
from actorium import Actor, App, Context, Options, Policy, Task

FRAIL = Options(attempts=1, policy=Policy(intensity=0))

class Frail(Actor):
    async def receive(self, message: Task, ctx: Context) -> str:
        return "mended"

class New(Actor):
    async def receive(self, message: Task, ctx: Context) -> str:
        return ctx.agent

app = App(Frail.named("frail", FRAIL), *[New.named(f"new-{n}") for n in range(10)])
"""


@pytest.fixture
def programs(tmp_path: Path) -> tuple[str, str]:
    """The program before and after the update."""
    found = []
    for version, text in (("old", OLD), ("new", NEW)):
        path = tmp_path / version / "program.py"
        path.parent.mkdir()
        path.write_text(text)
        found.append(str(path))
    return found[0], found[1]


async def update(node: Node, source: str) -> None:
    """Stop a node as planned, and start it with another program."""
    node.terminate()
    assert await node.ended() == 0
    node.start(source)


async def in_error(cluster: Cluster) -> bool:
    return (await cluster.client.status("frail"))["status"] == "error"


async def test_tasks_of_agents_that_only_the_new_program_has_wait_until_it_owns_them(
    nats_server: TestServer, make_node: Callable[..., Node], programs: tuple[str, str]
) -> None:
    """Their definitions are known as soon as the first node has it, the owner is whoever it is."""
    old, new = programs
    nodes = [make_node(nats_server.url, name, source=old, workers=1) for name in ("a", "b")]
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        await update(nodes[0], new)
        await cluster.settled(2)
        mine = [n for n in range(AGENTS) if (await cluster.owner_of(f"new-{n}"))[0].startswith("b")]
        assert mine, "the old node owns none of the new agents"
        for n in range(AGENTS):
            await cluster.client.tell(f"new-{n}", Task(), task_id="first")
        for n in range(AGENTS):  # those of the new node are done; those of the old one are held there
            if n not in mine:
                await each_once(cluster, f"new-{n}", ["first"])
        assert not [result for n in mine for result in await cluster.results(f"new-{n}")]
        await update(nodes[1], new)
        for n in mine:
            (result,) = await each_once(cluster, f"new-{n}", ["first"])
            assert result.unwrap() == f"new-{n}"


async def test_an_agent_that_was_given_up_comes_alive_with_the_mended_program(
    nats_server: TestServer, make_node: Callable[..., Node], programs: tuple[str, str]
) -> None:
    """The update needs no further command, and what waited for a restart is done."""
    old, new = programs
    node = make_node(nats_server.url, "a", source=old, workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        await cluster.client.ask("frail", Task(), timeout=SOON)
        await eventually(lambda: in_error(cluster), SOON, every=0.1)
        await cluster.client.tell("frail", Task(), task_id="waits")
        await update(node, new)
        (result,) = await each_once(cluster, "frail", ["waits"])
        assert result.unwrap() == "mended"
