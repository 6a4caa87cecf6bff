"""Agents with a process of their own: its death costs a moment, and it never outlives its owner."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from actorium.actors.definition import Definition, Isolation, Options
from actorium.bus import subjects
from actorium.bus.port import Message
from cluster.apps import QUICK, Add
from cluster.harness import SOON, Cluster, Node, Stopwatch, alive, attached, each_once, kill, note, whole
from eventually import eventually
from servers import TestServer


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


NATIVE = """
import ctypes
import os

from actorium import Actor, App, Context, Isolation, Options


class Native(Actor):
    async def receive(self, message: str, ctx: Context) -> int:
        if message == "block":
            ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter lock: no thread of Python's sees anything
        return os.getpid()


app = App(Native.named("native", Options(isolation=Isolation.PROCESS, attempts=1)))
"""


async def test_a_process_that_native_code_blocks_ends_with_its_owner(
    nats_server: TestServer, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    program = tmp_path / "native.py"
    program.write_text(NATIVE)
    make_node(nats_server.url, workers=1, source=str(program))
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        lags = await lags_of(cluster)
        pid = (await cluster.client.ask("native", "where", timeout=SOON)).unwrap()
        await cluster.client.tell("native", "block")
        await eventually(lambda: lags, SOON, what="it is blocked")
        _, worker = await cluster.owner_of("native")
        kill(worker)
        await eventually(lambda: not alive(pid), 5.0, what="the process ends with its owner")


async def lags_of(cluster: Cluster) -> list[dict[str, object]]:
    """What is told of blocked event loops from now on."""
    lags: list[dict[str, object]] = []

    def notice(message: Message) -> None:
        told = msgspec.json.decode(message.payload)
        if told["kind"] == "loop_lag":
            lags.append(told)

    await cluster.names.bus.subscribe(subjects.SYSTEM_EVENTS, notice)
    return lags


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


async def test_an_agent_that_blocks_its_process_for_ever_is_told_ended_and_answers_again(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """Its task becomes a dead letter, its worker stays, and whoever shares that answers meanwhile."""
    node = make_node(nats_server.url, workers=1, block_limit=1.5)
    options = Options(isolation=Isolation.PROCESS, attempts=2, policy=QUICK)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        await cluster.client.spawn(Definition(name="own-blocker", kind="apps:Blocker", options=options))
        lags = await lags_of(cluster)
        (session, worker), *_ = (await cluster.workers()).items()
        pid = (await cluster.client.ask("own-blocker", Add(), timeout=SOON)).unwrap()
        assert pid != worker

        handle = await cluster.client.tell("own-blocker", Add(pause=100_000.0))
        await cluster.started("own-blocker", handle.id)
        await cluster.client.ask("counter-0", Add(), timeout=SOON)
        assert not await cluster.results("own-blocker"), "it was over before a neighbour had answered"

        result = await handle.result(timeout=SOON)
        assert result.failure is not None
        assert result.failure.code == "undeliverable"
        assert "blocked" in result.failure.message
        assert len(await cluster.events("own-blocker", "retried")) == 1
        assert not alive(pid)
        assert (await cluster.client.ask("own-blocker", Add(), timeout=SOON)).unwrap() != pid
        assert {told["agent"] for told in lags} == {"default.own-blocker"}
        assert {told["session"] for told in lags} == {session}
        assert await cluster.workers() == {session: worker}
        assert "loop.lag" in node.log
