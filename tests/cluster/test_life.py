"""Everyday life on real processes: passivation, spawn and stop, large bodies, raw NATS clients."""

import random
from collections.abc import Callable

import msgspec
import pytest

from actorium.actors.definition import Definition
from actorium.actors.errors import ActorStopped, UnknownAgent
from actorium.bus.codec import read_event, read_result
from actorium.bus.task import Task
from cluster.apps import Add
from cluster.harness import SOON, Cluster, Node, attached, each_once, kill, whole
from eventually import eventually
from servers import TestServer


async def test_an_idle_actor_leaves_memory_and_comes_back_with_its_state(cluster: Cluster) -> None:
    first = (await cluster.client.ask("idler", Add(amount=5), timeout=SOON)).unwrap()[1]

    async def gone() -> bool:
        return not (await cluster.client.status("idler"))["in_memory"]

    await eventually(gone, SOON, every=0.05)
    handle = await cluster.client.tell("idler", Add(amount=2))
    assert (await handle.result(timeout=SOON)).unwrap()[1] == first + 2
    await eventually(gone, SOON, every=0.05)
    assert (await cluster.client.ask("idler", Add(amount=1), timeout=SOON)).unwrap()[1] == first + 3
    await whole(cluster, "idler")


async def test_agents_are_spawned_stopped_and_restarted_while_others_work(cluster: Cluster) -> None:
    others = [await cluster.client.tell("counter-2", Add(n=n, pause=0.05)) for n in range(20)]
    with pytest.raises(UnknownAgent):
        await cluster.client.ask("newcomer", Add(), timeout=SOON)
    await cluster.client.spawn(Definition(name="newcomer", kind="apps:Counter"))
    assert (await cluster.client.ask("newcomer", Add(amount=3), timeout=SOON)).unwrap()[1] == 3
    assert (await cluster.client.stop("newcomer"))["status"] == "stopped"
    with pytest.raises(ActorStopped):
        await cluster.client.ask("newcomer", Add(), timeout=SOON)
    waiting = await cluster.client.tell("newcomer", Add(amount=4))
    _, pid = await cluster.owner_of("newcomer")
    kill(pid)  # a stop outlives its worker
    await eventually(lambda: _gone(cluster, pid), SOON, what="the dead session is given up")
    await cluster.settled(2)
    with pytest.raises(ActorStopped):
        await cluster.client.ask("newcomer", Add(), timeout=SOON)
    assert (await cluster.client.restart("newcomer"))["status"] != "stopped"
    assert (await waiting.result(timeout=SOON)).unwrap()[1] == 7
    results = await each_once(cluster, "counter-2", [handle.id for handle in others])
    assert [r.unwrap()[0] for r in results] == list(range(20))


async def test_bodies_over_the_claim_check_go_both_ways_by_ask_and_tell(
    cluster: Cluster, rng: random.Random
) -> None:
    large = rng.randbytes(1_500_000).hex()  # 3 MB: more than the server takes in one message
    assert (await cluster.client.ask("echo", large, timeout=SOON)).unwrap() == large
    handle = await cluster.client.tell("echo", large)
    assert (await handle.result(timeout=SOON)).unwrap() == large
    _, pid = await cluster.owner_of("echo")
    kill(pid)
    async with attached(cluster.settings.nats.url) as other:  # the new owner reads it in its ledger
        again = await eventually(lambda: found(other, handle.id), SOON, every=0.2)
    assert again == large


async def found(cluster: Cluster, task_id: str) -> str | None:
    told = dict(await stored(cluster))
    return told.get(task_id)


async def stored(cluster: Cluster) -> list[tuple[str, str]]:
    from actorium.bus.claim import check_out
    from actorium.bus.envelope import BLOB, TASK_ID

    pasts = await cluster.names.bus.history("OUTBOX", "agents.echo.outbox")
    return [
        (
            past.message.headers[TASK_ID],
            read_result(
                await check_out(cluster.names.blobs, past.message.payload, past.message.headers.get(BLOB, ""))
            ).data,
        )
        for past in pasts
    ]


@pytest.mark.parametrize("mappings", [True, False])
async def test_a_raw_client_needs_nothing_but_subjects(
    nats_server_factory: Callable[..., TestServer], make_node: Callable[..., Node], mappings: bool
) -> None:
    """Publish to the inbox, watch outbox and events; with the server's mappings and with the relay."""
    server = nats_server_factory(mappings=mappings)
    make_node(server.url)
    async with attached(server.url) as cluster:
        await cluster.settled(2)
        bus, outbox, events = cluster.names.bus, [], []
        await bus.subscribe("agents.*.outbox", lambda message: outbox.append(read_result(message.payload)))
        await bus.subscribe("agents.*.events", lambda message: events.append(read_event(message.payload)))
        for n in range(10):
            ack = await bus.request(
                "agents.counter-0.inbox",
                msgspec.json.encode({"action": "Add", "spec": {"n": n}}),
                timeout=SOON,
            )
            assert msgspec.json.decode(ack.payload)["seq"] > 0
        await bus.request("agents.echo.inbox", b"plain text", {"Nats-Msg-Id": "text-1"}, timeout=SOON)
        await bus.request("agents.echo.inbox", b"plain text", {"Nats-Msg-Id": "text-1"}, timeout=SOON)
        await eventually(lambda: len(outbox) >= 11, SOON)
        assert [r.data[0] for r in outbox if isinstance(r.data, list)] == list(range(10))
        assert [r.data for r in outbox if not isinstance(r.data, list)] == ["plain text"]
        assert [e.kind for e in events if e.agent == "echo"] == ["started", "completed"]
        answer = await bus.request("agents.echo.ask", b"raw", timeout=SOON)
        assert read_result(answer.payload).data == "raw"
        # The worker that relays is killed in the middle; nothing is lost or said twice.
        for n in range(40):
            if n in (10, 25):
                kill((await cluster.workers()).popitem()[1])
            await bus.request(
                "agents.counter-1.inbox",
                msgspec.json.encode({"action": "Add", "spec": {"n": n}}),
                {"Nats-Msg-Id": f"raw-{n}"},
                timeout=SOON,
            )
        results = await each_once(cluster, "counter-1", [f"raw-{n}" for n in range(40)])
        assert [r.unwrap()[0] for r in results] == list(range(40))
        assert [r.unwrap()[1] for r in results] == list(range(1, 41))


async def test_a_task_for_anybody_that_nobody_can_do_is_a_dead_letter(cluster: Cluster) -> None:
    body = msgspec.json.encode(Task(action="fly", spec="to the moon"))
    await cluster.names.bus.request("orchestrator.inbox", body, timeout=SOON)
    letters = await eventually(lambda: cluster.client.dead_letters.list(agent="unroutable"), SOON, every=0.1)
    assert [letter.reason for letter in letters] == ["no_agent"]


async def test_a_cancelled_plain_function_never_runs_beside_the_next_message(cluster: Cluster) -> None:
    """A thread cannot be cut short: it ends with an instance that nobody uses any more."""
    agent = "threaded-0"
    first = await cluster.client.tell(agent, Add(n=1, pause=1.5))
    await cluster.started(agent, first.id)
    assert await first.cancel()
    rest = [await cluster.client.tell(agent, Add(n=n, pause=0.01)) for n in range(2, 6)]
    answers = [(await handle.result(timeout=SOON)).unwrap() for handle in rest]
    assert [(n, total, seen) for n, total, seen in answers] == [(n, n - 1, n - 1) for n in range(2, 6)]
    late = await cluster.client.tell(agent, Add(n=6, pause=2.0))  # the thread has ended by then
    assert (await late.result(timeout=SOON)).unwrap() == [6, 5, 5]
    await whole(cluster, agent)


async def _gone(cluster: Cluster, pid: int) -> bool:
    return pid not in (await cluster.workers()).values()
