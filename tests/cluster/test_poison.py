"""Poison: it ends in the dead letters with its reason, and neither delays nor buries its neighbours."""

import asyncio

import msgspec
import pytest

from actorium.actors.definition import Options
from actorium.bus import subjects
from actorium.bus.codec import MAX_BODY
from actorium.bus.dead_letters import DeadLetter
from actorium.bus.envelope import BLOB, TASK_ID, VERSION
from actorium.bus.errors import ActoriumError
from actorium.bus.task import Result, Task
from cluster.apps import Add
from cluster.apps_stillborn import Stillborn
from cluster.harness import SOON, Cluster, each_once, whole
from eventually import eventually

BAD = {
    "broken": (b'{"action": "x"', {}),
    "deep": (b'{"spec":' + b"[" * 5000 + b"]" * 5000 + b"}", {}),
    "empty": (b"", {}),
    "no text": (b"\xff\xfe\x00", {}),
    "version": (b"hello", {VERSION: "99"}),
    "id": (b"hello", {TASK_ID: "spaces are no good"}),
    "no blob": (b"{}", {BLOB: "0" * 64}),
    "deadline": (b"hello", {"Deadline-Ms": "soon"}),
    "wrong type": (b'{"action": 5}', {}),
    "wrong spec": (b'{"action": "Add", "spec": {"n": "x"}}', {}),
}


async def store(cluster: Cluster, agent: str, payload: bytes, headers: dict[str, str], mark: str) -> None:
    """A stored task as it is, without the SDK's help."""
    part = subjects.partition(subjects.DEFAULT_TENANT, agent)
    subject = subjects.inbox(part, subjects.DEFAULT_TENANT, agent)
    await cluster.names.bus.store(subject, payload, headers, msg_id=mark)


async def buried(cluster: Cluster, agent: str, count: int) -> list[DeadLetter]:
    """The dead letters of an agent, once there are so many."""

    async def enough() -> list[DeadLetter] | None:
        found = list(await cluster.client.dead_letters.list(agent=agent, limit=1000))
        return found if len(found) >= count else None

    found = await eventually(enough, SOON, every=0.1, what=f"{count} dead letters of {agent}")
    assert len(found) == count
    return found


async def test_bytes_that_are_no_task_become_dead_letters_and_what_stands_between_is_handled(
    cluster: Cluster,
) -> None:
    agent, acked = "strict", []
    pids = await cluster.workers()
    for n, (payload, headers) in enumerate(BAD.values()):
        await store(cluster, agent, payload, headers, f"bad-{n}")
        acked.append((await cluster.client.tell(agent, Add(n=n), task_id=f"good-{n}")).id)
    huge = await cluster.names.blobs.put(b'{"spec":"' + b"x" * MAX_BODY + b'"}')
    await store(cluster, agent, b"{}", {BLOB: huge}, "bad-huge")
    acked.append((await cluster.client.tell(agent, Add(n=len(BAD)), task_id="good-huge")).id)
    results = await each_once(cluster, agent, acked)
    assert [r.unwrap()[0] for r in results] == list(range(len(BAD) + 1))
    letters = await buried(cluster, agent, len(BAD) + 1)
    assert all(letter.reason and letter.error for letter in letters), letters
    failed = [result for _, result in await cluster.results(agent) if result.failure]
    assert len(failed) == len(BAD) + 1
    assert await cluster.workers() == pids
    await whole(cluster, agent)


async def test_a_handler_that_raises_has_its_attempts_and_is_a_dead_letter_with_the_reason(
    cluster: Cluster,
) -> None:
    handle = await cluster.client.tell("hazard-0", Task(action="raise", spec=7))
    result = await handle.result(timeout=SOON)
    assert result.failure is not None
    assert result.failure.code == "undeliverable"
    (letter,) = await buried(cluster, "hazard-0", 1)
    assert letter.attempts == 3
    assert "as told" in letter.error
    assert "7" in letter.preview
    tries = [r.kind for r in await cluster.records("hazard-0")]
    assert tries.count("started") == tries.count("failed") == 3
    assert (await cluster.answers("hazard-0", Task(action="fine"))).unwrap() == "fine"


ODD = {
    "raise-odd": 10,
    "raise-huge": 3_000_000,
    "reject-odd": 10,
    "reject-huge": 3_000_000,
    "return-odd": 0,
    "return-huge": 9_000_000,
    "return-object": 0,
}


@pytest.mark.parametrize("action", ODD)
async def test_what_a_handler_raises_or_returns_never_ends_a_worker(cluster: Cluster, action: str) -> None:
    """Errors with texts that JSON cannot hold, or of megabytes; results that nobody could read."""
    pids = await cluster.workers()
    task = Task(
        action="reject-odd" if action == "reject-huge" else action.replace("raise-huge", "raise-odd"),
        spec=ODD[action],
    )
    try:
        answer = await cluster.client.ask("hazard-1", task, timeout=SOON)
    except ActoriumError:
        answer = Result(status="failure")
    assert answer.status == "failure"
    told = await cluster.client.tell("hazard-1", task)
    assert (await told.result(timeout=SOON)).status == "failure"
    assert (await cluster.client.ask("hazard-1", Task(action="fine"), timeout=SOON)).unwrap() == "fine"
    assert await cluster.workers() == pids


@pytest.mark.parametrize("action", ["exit", "kill"])
async def test_what_kills_its_process_is_buried_and_innocent_neighbours_are_not(
    cluster: Cluster, action: str, seed: int
) -> None:
    """Neighbours are in flight at every one of its attempts, and each ends in one result."""
    agent = "hazard-2"
    neighbours = [f"neighbour-{n}" for n in range(16)]
    tasks: dict[str, list[str]] = {name: [] for name in neighbours}
    for n in range(6):
        for name in neighbours:
            mark = f"{action}{seed}-{name}-{n}"
            tasks[name].append((await cluster.client.tell(name, Add(n=n, pause=0.2), task_id=mark)).id)
    await cluster.started(neighbours[0], tasks[neighbours[0]][0])
    killer = await cluster.client.tell(agent, Task(action=action))
    good = await cluster.client.tell(agent, Task(action="fine"))
    result = await killer.result(timeout=60.0)
    assert result.failure is not None
    assert result.failure.code == "undeliverable"
    assert (await good.result(timeout=SOON)).unwrap() == "fine"
    letter = (await cluster.client.dead_letters.list(agent=agent))[-1]
    assert letter.reason == "process_died"
    assert letter.attempts == 3
    for name in neighbours:
        results = await each_once(cluster, name, tasks[name])
        assert [r.unwrap()[0] for r in results] == list(range(6))
    await whole(cluster, agent, *neighbours)


@pytest.mark.parametrize("early", [True, False])
async def test_what_kills_its_process_before_its_first_message_is_buried(
    cluster: Cluster, early: bool
) -> None:
    """A death in `__init__` or `on_start` counts as an attempt of the task that the actor was made for."""
    agent = f"stillborn-{early}".lower()
    made = Stillborn.named(agent, Options(attempts=2), early=early)
    await cluster.client.spawn(msgspec.structs.replace(made, kind="apps_stillborn:Stillborn"))
    killer = await cluster.client.tell(agent, Task())
    result = await killer.result(timeout=60.0)
    assert result.failure is not None
    assert result.failure.code == "undeliverable"
    (letter,) = await buried(cluster, agent, 1)
    assert (letter.reason, letter.attempts) == ("process_died", 2)
    await cluster.settled(2)


async def test_every_dead_letter_has_its_body_also_of_a_task_that_waited_in_the_stream(
    cluster: Cluster,
) -> None:
    """Only so many bodies are kept in memory; a redrive needs the whole task all the same."""
    await cluster.client.tell("hazard-once", Task(action="sleep", spec=1.0))
    told = [cluster.client.tell("hazard-once", Task(action="raise", spec=f"body {n}")) for n in range(100)]
    await asyncio.gather(*told)
    letters = await buried(cluster, "hazard-once", 100)
    assert sorted(letter.preview for letter in letters) == sorted(
        f'{{"action":"raise","spec":"body {n}"}}' for n in range(100)
    )
    assert all(TASK_ID in letter.headers for letter in letters)
