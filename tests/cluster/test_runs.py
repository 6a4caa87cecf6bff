"""Runs and people over real processes: a question outlives its worker, expires, any client answers it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest

from actorium.actors.card import run_ledger
from actorium.actors.runs.approval import Pending, Verdict
from actorium.actors.runs.approvals import AnswerRefused
from actorium.bus import subjects
from actorium.bus.codec import read_event
from actorium.bus.task import Status
from actorium.runtime.app import load_app
from actorium.runtime.client import Client
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import connect, connect_bus, prepare
from actorium.runtime.reminders import Reminders
from actorium.runtime.reports import Reporter
from actorium.runtime.spec import WorkerSpec
from actorium.runtime.worker import hosting
from actorium.storage.port import Session
from actorium.storage.verifier import Verifier
from cluster.harness import SOON, Cluster, Node, attached, kill
from eventually import eventually
from servers import TestServer

PROGRAM = '''
from pathlib import Path

from actorium import App
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.config import Agent
from actorium.actors.runs.tool import tool

PAID = Path({paid!r})


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    with PAID.open("a") as paid:
        paid.write(f"{{amount}}\\n")
    return f"paid {{amount}}"


payer = in_order(call(("pay", {{"amount": 7}}), text="It is due"), say("done"))
boss = in_order(call(("delegate_task", {{"agent": "payer", "task": "pay"}})), say("all is done"))
script = "scripted:{name}:"
app = App(
    Agent("payer", model=script + "payer", tools=[pay]),
    Agent("brief", model=script + "payer", tools=[pay], approval_ttl=0.5),
    Agent("boss", model=script + "boss", delegates=["payer"]),
)
'''


class Shop:
    """The program above, and what it really paid."""

    def __init__(self, home: Path, name: str) -> None:
        self._paid = home / "paid"
        self.source = home / f"{name}.py"
        self.source.write_text(PROGRAM.format(paid=str(self._paid), name=name))

    @property
    def paid(self) -> list[int]:
        return [int(line) for line in self._paid.read_text().split()] if self._paid.exists() else []


async def asked(client: Client, run: str) -> Pending:
    """The open question of a run, once there is one."""

    async def find() -> Pending | None:
        return next((one for one in await client.approvals() if one.question.run == run), None)

    return await eventually(find, SOON, what=f"{run} asks")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), "shop_of_runs")


@pytest.fixture(scope="module")
def node(
    nats_binary: Path, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, TestServer]]:
    home = tmp_path_factory.mktemp("runs")
    server = TestServer(nats_binary, home / "nats")
    server.start()
    made = Node(server.url, home, "runs").start(str(shop.source))
    yield made, server
    made.end()
    server.kill()


@pytest.fixture
async def cluster(node: tuple[Node, TestServer]) -> AsyncIterator[Cluster]:
    async with attached(node[0].settings.nats.url) as seen:
        await seen.settled(2)
        yield seen


@pytest.mark.parametrize("agent", ["payer", "boss"])
async def test_a_question_outlives_the_worker_that_asked_it(cluster: Cluster, shop: Shop, agent: str):
    """kill -9 of the owner while the approval waits: the answer, given at once, is found by the next one."""
    before, task_id = shop.paid, f"outlives-{agent}"
    handle = await cluster.client.tell(agent, "pay it", task_id=task_id)
    run = f"payer/{task_id}" if agent == "payer" else f"payer/boss/{task_id}/1/1/1"
    pending = await asked(cluster.client, run)
    for owned in {"payer", agent}:
        _, pid = await cluster.owner_of(owned)
        kill(pid)
    await cluster.client.answer(pending.question.id, "accept", by="ann")
    result = await handle.result(timeout=SOON)
    assert result.status is Status.SUCCESS
    assert shop.paid == [*before, 7]
    view = await cluster.client.runs.show(agent, task_id)
    (call,) = view.calls
    (paid,) = call.run.calls if call.run else (call,)
    assert paid.decision.by == "ann"
    await verified(cluster, "payer", run.partition("/")[2])


async def verified(cluster: Cluster, agent: str, task_id: str) -> None:
    subject = run_ledger(cluster.names.partitions, subjects.DEFAULT_TENANT, agent, task_id)
    verifier = Verifier(subject)
    kinds = [verifier.feed(entry.value).kind async for entry in cluster.names.ledger.read(subject)]
    assert kinds.count("intended") == kinds.count("ended") == 1
    assert "epoch" in kinds


async def test_an_edited_call_runs_with_what_the_person_wrote(cluster: Cluster, shop: Shop):
    handle = await cluster.client.tell("payer", "pay it", task_id="edited")
    pending = await asked(cluster.client, "payer/edited")
    before = shop.paid
    await cluster.client.answer(pending.question.id, "edit", arguments={"amount": 3}, by="ann")
    await handle.result(timeout=SOON)
    assert shop.paid == [*before, 3]


async def test_an_answer_to_another_question_than_was_shown_is_refused(cluster: Cluster, shop: Shop):
    """The hash binds an answer to arguments; a run that is over asks nobody."""
    handle = await cluster.client.tell("payer", "pay it", task_id="changed")
    pending = await asked(cluster.client, "payer/changed")
    before = shop.paid
    with pytest.raises(AnswerRefused, match="for other arguments"):
        await cluster.client.answer(pending.question.id, "accept", seen="0" * 64)
    assert (await handle.cancel("not now")).cancelled
    with pytest.raises(AnswerRefused, match="was answered by its run"):
        await cluster.client.answer(pending.question.id, "accept")
    assert shop.paid == before


async def test_any_nats_client_may_list_and_answer(cluster: Cluster, shop: Shop):
    """An empty request lists what an agent asks, a JSON one answers it; what is wrong has a code."""
    handle = await cluster.client.tell("payer", "pay it", task_id="raw")
    await asked(cluster.client, "payer/raw")
    client = await nats.connect(cluster.settings.nats.url)

    async def said(payload: object, agent: str = "payer") -> object:
        body = json.dumps(payload).encode() if payload else b""
        return json.loads((await client.request(f"agents.{agent}.approvals", body, timeout=10)).data)

    (question,) = await said(None)
    assert (question["tool"], question["arguments"], question["risk"]) == ("pay", {"amount": 7}, "high")
    assert (question["about"], question["at_expiry"], 86_000 < question["seconds_left"] <= 86_400) == (
        "approval",
        "deny",
        True,
    )
    right = {"id": question["id"], "verdict": "accept", "hash": question["hash"], "by": "ann"}
    assert await said(None, "boss") == []
    for wrong, code, agent in (
        (right | {"hash": "0" * 64}, "denied", "payer"),
        (right | {"verdict": "perhaps"}, "bad_message", "payer"),
        (right | {"id": "nothing"}, "not_found", "payer"),
        (right, "not_found", "boss"),  # it is none of its questions
        ([1], "bad_message", "payer"),
    ):
        assert (await said(wrong, agent))["failure"]["code"] == code
    assert (await said(right))["decision"] == {"verdict": "accept", "hash": question["hash"], "by": "ann"}
    assert (await handle.result(timeout=SOON)).data == "done"
    assert await said(None) == []
    assert (await said(right))["failure"]["code"] == "denied"  # it was answered, whichever way it is tried
    with pytest.raises(AnswerRefused, match="was answered by ann"):
        await cluster.client.answer(question["id"], "accept")
    assert (await said(right, "boss"))["failure"]["code"] == "not_found"
    for payload in (None, right):
        assert (await said(payload, "nobody"))["failure"]["code"] == "unknown_agent"
    await client.close()


async def test_a_runtime_that_stands_still_goes_on_with_what_was_answered_meanwhile(
    make_node: Callable[..., Node], nats_server: TestServer, tmp_path: Path
):
    """Everything stops while a question waits; it is answered with nobody there, and starts again."""
    shop = Shop(tmp_path, "shop_that_rests")
    node = make_node(nats_server.url, "resting", source=str(shop.source), workers=1)
    async with attached(nats_server.url) as seen:
        await seen.settled(1)
        await seen.client.tell("payer", "pay it", task_id="rested")
        pending = await asked(seen.client, "payer/rested")
        node.terminate()
        await node.ended()
        await seen.client.answer(pending.question.id, "accept", by="ann")
        assert shop.paid == []
        make_node(nats_server.url, "again", source=str(shop.source), workers=1)
        handle = await seen.client.tell("payer", "pay it", task_id="rested")
        assert (await handle.result(timeout=SOON)).data == "done"
    assert shop.paid == [7]


@asynccontextmanager
async def worker_with_reminders(url: str, shop: Shop) -> AsyncIterator[Client]:
    """A worker in this process on a real server, whose reminders look often."""
    settings = Settings(nats=NatsSettings(url=url))
    bus = await connect_bus(settings.nats, "test")
    await prepare(settings, bus)
    await bus.close()
    names = await connect(settings, "test")
    for definition in load_app(str(shop.source)).definitions:
        await names.registry.define(definition)
    await names.leases.put_session(Session(id="w", node="n"), revision=0)
    spec = WorkerSpec(session="w", node="n", settings=settings, lease=3600.0)
    async with hosting(spec, names, lambda: True, Reporter("", "w")) as worker:
        await worker.holder.settled.wait()
        made = Reminders(names.state, worker.hosts, worker.courier, names.bus, every=0.1)
        looking = worker._tasks.create_task(made.run())
        async with Client(url) as client:
            yield client
        looking.cancel()
        await worker.drain(5.0)
    await names.close()


async def test_a_question_that_nobody_answers_expires_by_itself(nats_server: TestServer, tmp_path: Path):
    """The call is denied, the model reads why, people are told, and a late answer is refused."""
    shop = Shop(tmp_path, "shop_that_waits")
    async with worker_with_reminders(nats_server.url, shop) as client:
        told = []
        await client.names.bus.subscribe(subjects.SYSTEM_EVENTS, lambda m: told.append(read_event(m.payload)))
        handle = await client.tell("brief", "pay it", task_id="expired")
        assert (await handle.result(timeout=SOON)).data == "done"
        assert [(event.kind, event.agent) for event in told] == [("expired", "brief")]
        (pending,) = await client.approvals(open_only=False)
        assert pending.decision.verdict is Verdict.EXPIRE
        with pytest.raises(AnswerRefused):
            await client.answer(pending.question.id, "accept")
    assert shop.paid == []
