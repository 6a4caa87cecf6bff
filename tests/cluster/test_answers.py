"""Never silence: what cannot be done is answered by a typed error, within the deadline."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from actorium.actors.definition import Definition
from actorium.actors.errors import UnknownAgent, UnknownKind
from actorium.bus import subjects
from actorium.bus.codec import read_result
from actorium.bus.errors import ActoriumError, DeadlineExceeded, MailboxFull, NoOwner
from actorium.bus.task import Result, Task
from cluster.apps import Add
from cluster.harness import SOON, Cluster, Node, Stopwatch, attached, each_once
from eventually import eventually
from servers import TestServer


async def raw_ask(cluster: Cluster, agent: str, payload: bytes = b"hi", **headers: str) -> Result:
    """What any NATS client gets for `nats request agents.<id>.ask`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await cluster.names.bus.request(f"agents.{agent}.ask", payload, named, timeout=SOON)
    return read_result(reply.payload)


async def test_an_ask_of_an_unknown_agent_is_answered_at_once(cluster: Cluster) -> None:
    watch = Stopwatch()
    with pytest.raises(UnknownAgent):
        await cluster.client.ask("nobody", "hi", timeout=SOON)
    for name in ("nobody", "B@d", "ünknown"):
        result = await raw_ask(cluster, name)
        assert result.failure is not None
        assert result.failure.code in {"unknown_agent", "config_error"}
    assert watch.seconds < SOON / 2


async def test_a_stored_task_for_an_unknown_agent_fails_in_the_outbox_and_is_a_dead_letter(
    cluster: Cluster,
) -> None:
    handle = await cluster.client.tell("nobody", "hi")
    result = await handle.result(timeout=SOON)
    assert result.failure is not None
    assert result.failure.code == "unknown_agent"
    (stored,) = await each_once(cluster, "nobody", [handle.id])
    assert stored.failure == result.failure
    (letter,) = await cluster.client.dead_letters.list(agent="nobody")
    assert letter.reason == "unknown_agent"


async def test_a_raw_task_for_a_name_that_no_agent_can_have_is_a_dead_letter(cluster: Cluster) -> None:
    await cluster.names.bus.request("agents.B@d.inbox", b"hi", timeout=SOON)
    found = await eventually(lambda: cluster.client.dead_letters.list(agent="B@d"), SOON, every=0.1)
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["apps:Missing", "nowhere:Thing", ".relative:Thing", "json:tool", ":", ""])
async def test_an_agent_whose_class_is_not_in_the_program_is_told_so_and_harms_nobody(
    cluster: Cluster, kind: str
) -> None:
    pids = await cluster.workers()
    await cluster.client.spawn(Definition(name="homeless", kind=kind))
    with pytest.raises(UnknownKind):
        await cluster.client.ask("homeless", "hi", timeout=SOON)
    assert await cluster.workers() == pids


async def test_without_any_worker_an_ask_is_answered_by_its_deadline(nats_server: TestServer) -> None:
    async with attached(nats_server.url) as cluster:
        watch = Stopwatch()
        with pytest.raises(NoOwner):
            await cluster.client.ask("echo", "hi", timeout=0.5)
        with pytest.raises(NoOwner):
            await raw_ask(cluster, "echo")
        assert watch.seconds < SOON / 2


async def test_a_handler_that_is_too_slow_is_answered_by_the_deadline(cluster: Cluster) -> None:
    slow = Task(action="sleep", spec=20)
    watch = Stopwatch()
    with pytest.raises(DeadlineExceeded):
        await cluster.client.ask("hazard-4", slow, timeout=0.3)
    result = await raw_ask(cluster, "hazard-4", msgspec.json.encode(slow), Deadline_Ms="300")
    assert result.failure is not None
    assert result.failure.code == "deadline_exceeded"
    part = subjects.partition(subjects.DEFAULT_TENANT, "hazard-4")
    subject = subjects.inbox(part, subjects.DEFAULT_TENANT, "hazard-4")
    headers = {"Deadline-Ms": "300", "Task-Id": "late"}
    await cluster.names.bus.store(subject, msgspec.json.encode(slow), headers, msg_id="late")
    (stored,) = await each_once(cluster, "hazard-4", ["late"])
    assert stored.failure is not None
    assert stored.failure.code == "deadline_exceeded"
    assert watch.seconds < 19, "it was not cut short"


async def test_a_full_mailbox_refuses_asks_at_once_and_never_passes_its_bound(cluster: Cluster) -> None:
    asks = [
        asyncio.create_task(cluster.client.ask("small", Add(n=n, pause=0.3), timeout=SOON)) for n in range(40)
    ]
    most = 0
    while not all(ask.done() for ask in asks):
        most = max(most, (await cluster.client.status("small")).get("waiting", 0))
    assert most <= 5
    ended = await asyncio.gather(*asks, return_exceptions=True)
    refused = [end for end in ended if isinstance(end, MailboxFull)]
    answered = [end for end in ended if isinstance(end, Result) and end.failure is None]
    assert len(refused) + len(answered) == 40
    assert refused
    assert (await cluster.client.ask("small", Add(amount=0))).unwrap()[1] == len(answered)


async def test_a_full_stream_refuses_stored_tasks_and_keeps_those_it_took(
    nats_server: TestServer, make_node: Callable[..., Node]
) -> None:
    make_node(nats_server.url, mailbox=20)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        await cluster.client.stop("counter-0")
        acked, refused = [], 0
        for n in range(30):
            try:
                acked.append((await cluster.client.tell("counter-0", Add(n=n))).id)
            except MailboxFull:
                refused += 1
        assert (len(acked), refused) == (20, 10)
        assert await cluster.waiting("counter-0") == 20
        raw = await cluster.names.bus.request("agents.counter-0.inbox", b"{}", timeout=SOON)
        assert msgspec.json.decode(raw.payload)["error"]["err_code"] == 10077
        await cluster.client.restart("counter-0")
        assert [r.unwrap()[0] for r in await each_once(cluster, "counter-0", acked)] == list(range(20))
        assert await cluster.waiting("counter-0") == 0


async def test_a_poisoned_control_message_harms_nobody(cluster: Cluster) -> None:
    """Anybody on the server may publish to the internal subjects; a worker must not fall for it."""
    pids = await cluster.workers()
    part = subjects.partition(subjects.DEFAULT_TENANT, "echo")
    subject = subjects.control(part, subjects.DEFAULT_TENANT, "echo")
    for headers in (
        {"Actorium-Blob": "0" * 64},
        {"Actorium-Op": "explode"},
        {"Actorium-Op": "cancel"},
        {"Actorium-Version": "7"},
    ):
        reply = await cluster.names.bus.request(subject, b"\xff", headers, timeout=SOON)
        assert b"failure" in reply.payload
    with pytest.raises(ActoriumError):
        await cluster.client.ask("echo", "", timeout=0.0)
    assert (await cluster.client.ask("echo", "hi", timeout=SOON)).unwrap() == "hi"
    assert await cluster.workers() == pids
