"""Handlers that block the event loop: ownership is kept, the lag is told, and there is an end to it."""

import asyncio
import signal
from collections.abc import Callable

import msgspec

from actorium.bus import subjects
from actorium.bus.port import Message
from cluster.apps import Add
from cluster.harness import SOON, Node, attached, chance_pause, kill
from eventually import eventually
from servers import TestServer


async def test_a_handler_that_blocks_for_three_leases_keeps_its_partitions_and_is_told_as_loop_lag(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    make_node(nats_server.url, lease=1.5)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        notices: list[dict[str, object]] = []

        def notice(message: Message) -> None:
            notices.append(msgspec.json.decode(message.payload))

        await cluster.names.bus.subscribe(subjects.SYSTEM_EVENTS, notice)
        session, pid = await cluster.owner_of("blocker-0")
        before = await cluster.owners()
        handle = await cluster.client.tell("blocker-0", Add(pause=4.5))
        assert (await handle.result(timeout=SOON)).unwrap() == pid
        assert await cluster.owners() == before
        lags = [note for note in notices if note["kind"] == "loop_lag"]
        assert {note["session"] for note in lags} == {session}
        assert max(float(note["seconds"]) for note in lags) >= 1.0


async def test_a_handler_that_blocks_for_ever_is_ended_at_the_limit_and_its_partitions_move(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    node = make_node(nats_server.url, block_limit=2.0)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        session, pid = await cluster.owner_of("blocker-once")
        handle = await cluster.client.tell("blocker-once", Add(pause=600.0))
        result = await handle.result(timeout=SOON)
        assert result.failure is not None
        assert "process_died" in result.failure.message
        assert (await cluster.answers("blocker-once", Add())).unwrap() != pid
        assert session not in (await cluster.owners()).values()
        assert "worker.blocked" in node.log
        await cluster.settled(2)


async def test_other_workers_answer_while_one_is_blocked(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    make_node(nats_server.url)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        blocked, _ = await cluster.owner_of("blocker-0")
        free = [f"counter-{n}" for n in range(16) if (await cluster.owner_of(f"counter-{n}"))[0] != blocked]
        handle = await cluster.client.tell("blocker-0", Add(pause=3.0))
        await asyncio.gather(*(cluster.client.ask(name, Add(), timeout=SOON) for name in free))
        assert not await cluster.results("blocker-0"), "it was over before the others had answered"
        await eventually(lambda: cluster.results("blocker-0"), SOON)
        assert (await handle.result(timeout=SOON)).failure is None


async def test_a_node_that_is_stopped_as_a_whole_and_goes_on_ends_none_of_its_workers(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    """As in a debugger, or on a frozen virtual machine: nobody was blocked, for nobody watched."""
    limit = 2.0
    node = make_node(nats_server.url, block_limit=limit)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        before = await cluster.workers()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in [node.pid, *node.descendants()]:
                kill(pid, number)
            await chance_pause(2 * limit)
        await cluster.settled(2)
        assert await cluster.workers() == before
    assert "worker.blocked" not in node.log
