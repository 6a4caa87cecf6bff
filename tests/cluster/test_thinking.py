"""Thinking agents on real processes: kill -9 at random moments repeats no finished call and loses no task."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import accumulate
from pathlib import Path

import msgspec
import pytest

from actorium import Budget, Result, Status, Task
from actorium.actors.card import Cards, chain
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.delegation import Grant
from actorium.actors.runs.reading import EPOCH, read_facts
from actorium.actors.runs.record import RunRecord
from actorium.bus import subjects
from actorium.bus.codec import read_result
from actorium.bus.envelope import DEADLINE_MS, Envelope
from actorium.runtime.asks import EVERY
from actorium.storage.verifier import Verifier
from cluster.apps_thinking import lines
from cluster.harness import SOON, Cluster, Node, attached, chance_pause, each_once, kill
from eventually import eventually
from servers import TestServer

SOURCE = str(Path(__file__).parent / "apps_thinking.py")


@pytest.fixture(scope="module")
def thinking_node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server and a node with two workers that run thinking agents."""
    home = tmp_path_factory.mktemp("thinking")
    server = TestServer(nats_binary, home / "nats")
    server.start()
    node = Node(server.url, home, "thinking").start(SOURCE)
    yield node
    node.end()
    server.kill()


@pytest.fixture
async def thinking(thinking_node: Node) -> AsyncIterator[Cluster]:
    """The node above, with both workers at work; its log is shown when a test fails."""
    before = len(thinking_node.log)
    try:
        async with attached(thinking_node.settings.nats.url) as seen:
            await seen.settled(2)
            yield seen
    finally:
        print(thinking_node.log[before:][-8000:])  # noqa: T201


async def whole_run(cluster: Cluster, agent: str, task_id: str) -> list[str]:
    """The kinds of the facts that stand in the verified records of a run."""
    part = subjects.partition(subjects.DEFAULT_TENANT, agent)
    name = chain(subjects.DEFAULT_TENANT, agent, task_id)
    subject = subjects.ledger(part, subjects.DEFAULT_TENANT, name)
    verifier = Verifier(subject)
    facts: list[RunRecord] = []
    async for entry in cluster.names.ledger.read(subject):
        record = verifier.feed(entry.value)
        if record.kind != EPOCH:
            facts += await read_facts(record.body, cluster.names.blobs)
    return [msgspec.to_builtins(fact)["type"] for fact in facts]


async def nothing_left(cluster: Cluster) -> None:
    """Every card goes, shortly after the result of its run was told."""

    async def none() -> bool:
        left = await Cards(cluster.names.live).all()
        assert left == [], [(card, await whole_run(cluster, card.agent, card.task_id)) for card in left]
        return True

    await eventually(none, SOON, what="no run is live")


def nothing_twice(journal: str) -> None:
    """No transfer stands twice, and no booking follows another of its key that was not taken back."""
    written = lines(journal)
    transfers = Counter(line for line in written if line.startswith("transfer"))
    assert not [line for line, times in transfers.items() if times > 1]
    last: dict[str, str] = {}
    for line in written:
        what, _, key = line.partition(" ")
        if what in ("book", "unbook"):  # to take it back twice does no harm, and a crash may ask for it
            assert (what, last.get(key)) != ("book", "book"), (line, written)
            last[key] = what
    assert set(last.values()) <= {"book"}, written


async def test_workers_killed_at_random_moments_repeat_no_effect_and_lose_no_run(
    thinking: Cluster, rng: random.Random, seed: int, tmp_path: Path
) -> None:
    journal, told = str(tmp_path / "journal"), {}
    for n in range(4):
        name = f"clerk-{n}"
        told[name] = [f"k{seed}-{n}-{i}" for i in range(6)]
        for task_id in told[name]:
            await thinking.client.tell(name, f"journal={journal} work", task_id=task_id)
    for _ in range(5):
        await chance_pause(rng.uniform(0.05, 0.3))
        victims = sorted((await thinking.workers()).values())
        if victims:
            kill(rng.choice(victims))
    for name, ids in told.items():
        for result in await each_once(thinking, name, ids):
            assert result.status is Status.SUCCESS, result
            assert result.data == "all done"
        for task_id in ids:
            kinds = await whole_run(thinking, name, task_id)
            assert kinds.count("answered") == 4
            assert kinds[-1] == "ended"
    nothing_twice(journal)
    transfers = {line for line in lines(journal) if line.startswith("transfer")}
    assert len(transfers) == 2 * sum(map(len, told.values()))
    await nothing_left(thinking)


async def test_an_agent_in_a_process_of_its_own_goes_on_after_that_process_is_killed(
    thinking: Cluster, thinking_node: Node, tmp_path: Path, seed: int
) -> None:
    journal, ids = str(tmp_path / "journal"), [f"a{seed}-{n}" for n in range(3)]
    for task_id in ids:
        await thinking.client.tell("clerk-alone", f"journal={journal} work", task_id=task_id)
    workers = set((await thinking.workers()).values())

    def process() -> int | None:
        below = thinking_node.descendants()
        return next((pid for pid in below[1:] if pid not in workers), None)

    for at in range(2):
        await eventually(lambda at=at: len(lines(journal)) > at, SOON, what="it works")
        pid = process()
        assert pid is not None
        kill(pid)
    for result in await each_once(thinking, "clerk-alone", ids):
        assert (result.status, result.data) == (Status.SUCCESS, "all done")
    nothing_twice(journal)


async def test_a_delegation_survives_the_death_of_every_worker(
    thinking: Cluster, tmp_path: Path, seed: int
) -> None:
    journal = str(tmp_path / "journal")
    await thinking.client.tell("chief", f"journal={journal} all of you", task_id=f"c{seed}")
    await eventually(lambda: lines(journal), SOON, what="a clerk works")
    for pid in (await thinking.workers()).values():
        kill(pid)
    (result,) = await each_once(thinking, "chief", [f"c{seed}"])
    assert (result.status, result.data) == (Status.SUCCESS, "the clerks are done")
    assert result.metrics.tool_calls == 3
    nothing_twice(journal)
    assert sum(line.startswith("transfer") for line in lines(journal)) == 6


async def test_an_ask_of_an_agent_that_waits_outlives_its_worker(thinking: Cluster, tmp_path: Path) -> None:
    """The run has another owner then, who has the ask: nobody calls it lost, and it is answered."""
    journal, desk = str(tmp_path / "journal"), thinking.client.desk
    asked = asyncio.create_task(thinking.client.ask("payer", f"journal={journal} pay", timeout=2 * SOON))
    (pending,) = await eventually(desk.all, SOON, what="somebody is asked")
    _, pid = await thinking.owner_of("payer")
    kill(pid)
    await thinking.settled(2)
    await chance_pause(4 * EVERY)  # it is looked after meanwhile
    assert not asked.done()
    await desk.answer(pending.question, Verdict.ACCEPT)
    assert (await asked).data == "paid"
    assert [line.split()[:2] for line in lines(journal)] == [["pay", "17"]]


async def test_raw_asks_of_runs_that_move_to_a_new_node_are_answered(
    nats_server: TestServer, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    """Whoever stood at the door had them from the worker next door, which has them no more."""
    journal = str(tmp_path / "journal")
    make_node(nats_server.url, "first", source=SOURCE, workers=1)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(1)
        payer = await cluster.names.registry.find("default", "payer")
        names = [f"payer-{n}" for n in range(8)]
        for name in names:
            await cluster.client.spawn(msgspec.structs.replace(payer, name=name))
        asked = [asyncio.create_task(raw_ask(cluster, name, f"journal={journal} pay")) for name in names]
        await eventually(lambda: all_asked(cluster, len(names)), SOON, what="everybody asks a person")
        before = [(await cluster.owner_of(name))[0] for name in names]
        make_node(nats_server.url, "second", source=SOURCE, workers=1)
        await cluster.settled(2)
        assert [(await cluster.owner_of(name))[0] for name in names] != before, "nobody moved"
        for pending in await cluster.client.desk.all():
            await cluster.client.desk.answer(pending.question, Verdict.ACCEPT)
        assert [result.data for result in await asyncio.gather(*asked)] == ["paid"] * len(names)


async def raw_ask(cluster: Cluster, agent: str, text: str) -> Result:
    headers = {DEADLINE_MS: str(int(2 * SOON * 1000))}
    answer = await cluster.names.bus.request(f"agents.{agent}.ask", text.encode(), headers, timeout=2 * SOON)
    return read_result(answer.payload)


async def all_asked(cluster: Cluster, count: int) -> bool:
    return len(await cluster.client.desk.all()) == count


async def test_a_run_that_waits_for_a_person_outlives_the_whole_node(
    nats_server: TestServer, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    journal = str(tmp_path / "journal")
    node = make_node(nats_server.url, "before", source=SOURCE)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        await cluster.client.tell("payer", f"journal={journal} pay", task_id="p1")
        approvals = Approvals(cluster.names.state)
        await eventually(approvals.list, SOON, what="somebody is asked")
        node.crash()
        (pending,) = await approvals.list()
        question = pending.question
        assert question.arguments == {"journal": journal, "amount": 17}
        edited = Decision(
            verdict=Verdict.EDIT, hash=question.hash, by="ann", arguments={"journal": journal, "amount": 16}
        )
        await approvals.answer(question.id, edited)  # while nothing runs at all
        make_node(nats_server.url, "after", source=SOURCE)
        (result,) = await each_once(cluster, "payer", ["p1"])
        assert (result.status, result.data) == (Status.SUCCESS, "paid")
        assert [line.split()[:2] for line in lines(journal)] == [["pay", "16"]]


async def spend_together(cluster: Cluster, kind: str, task_id: str, *, limit: int, journal: str) -> int:
    """Have two agents of a kind, on two workers, spend a budget that they share; what they spent."""
    account = f"team-{task_id}"
    owners = {(await cluster.owner_of(f"{kind}-{n}"))[0]: f"{kind}-{n}" for n in range(16)}
    names = list(owners.values())
    assert len(names) == 2, "they must live on two workers for this test to say anything"
    accounts = Accounts(cluster.names.state)
    await accounts.open(account, Budget(steps=None, tool_calls=None, seconds=None, tokens=limit))
    unlimited = Budget(steps=None, tool_calls=None, seconds=None, depth=0)
    grant = msgspec.json.encode(Grant(budget=unlimited, account=account)).decode()
    for name in names:
        envelope = Envelope(task_id=task_id, grant=grant)
        await cluster.client.courier.tell(name, Task(spec=f"journal={journal} spend"), envelope)
    results = [result for name in names for result in await each_once(cluster, name, [task_id])]
    assert [result.status for result in results] == [Status.PARTIAL] * 2
    assert [result.failure and result.failure.code for result in results] == ["run_account"] * 2
    ended = await accounts.open(account, Budget())
    assert ended.reserved == {}
    assert ended.spent.tokens == sum(result.metrics.tokens_used for result in results)
    return ended.spent.tokens


async def test_two_agents_on_two_workers_never_overspend_a_budget_that_they_share(
    thinking: Cluster, seed: int
) -> None:
    """By at most what one call in flight costs more than its estimate: here nothing."""
    spent = await spend_together(thinking, "spender", f"s{seed}", limit=30_000, journal="/dev/null")
    assert spent <= 30_000


async def test_calls_of_two_workers_that_race_for_a_budget_overspend_it_by_less_than_one_of_them(
    thinking: Cluster, seed: int, tmp_path: Path
) -> None:
    """Each costs half as much again as was reserved for it, and at the limit two are in flight."""
    for race in range(3):
        journal, limit = str(tmp_path / f"journal-{race}"), 20_000
        spent = await spend_together(thinking, "glutton", f"g{seed}-{race}", limit=limit, journal=journal)
        told = [line.split() for line in lines(journal)]
        in_flight = list(accumulate(1 if what == "begin" else -1 for what, _ in told))
        assert max(in_flight) == 2, "they must have spent side by side for this test to say anything"
        costs = [int(cost) for what, cost in told if what == "end"]
        assert sum(costs) == spent
        assert spent - limit < max(costs)


async def test_a_server_that_dies_and_comes_back_costs_no_run_and_no_effect(
    nats_server: TestServer, make_node: Callable[..., Node], rng: random.Random, tmp_path: Path
) -> None:
    journal = str(tmp_path / "journal")
    node = make_node(nats_server.url, source=SOURCE)
    async with attached(nats_server.url) as cluster:
        await cluster.settled(2)
        pids = set((await cluster.workers()).values())
        for n in range(4):
            for name in ("clerk-0", "clerk-3"):
                await cluster.client.tell(name, f"journal={journal} work", task_id=f"n{n}")
        for _ in range(2):
            await chance_pause(rng.uniform(0.05, 0.2))
            nats_server.kill()
            await chance_pause(0.5)
            nats_server.start()
        for name in ("clerk-0", "clerk-3"):
            for result in await each_once(cluster, name, [f"n{n}" for n in range(4)]):
                assert (result.status, result.data) == (Status.SUCCESS, "all done"), node.log[-3000:]
        nothing_twice(journal)
        assert set((await cluster.workers()).values()) == pids, "a worker died of it"
        await nothing_left(cluster)
