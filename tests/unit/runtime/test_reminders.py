"""What time does to questions: reminders, escalation, expiry, and answers that nobody told the run of."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from actorium import Status
from actorium.actors.definition import Definition
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.approval import Decision, Pending, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.config import Agent
from actorium.actors.runs.tool import tool
from actorium.bus import subjects
from actorium.bus.codec import read_event
from actorium.bus.task import Event
from actorium.runtime.client import Client
from actorium.runtime.config import Settings
from actorium.runtime.handle import Handle
from actorium.runtime.memory import LEASE, MemoryWorld
from actorium.runtime.reminders import Reminders
from actorium.runtime.reports import Reporter
from actorium.runtime.spec import WorkerSpec
from actorium.runtime.worker import Worker, hosting
from actorium.storage.memory import MemoryState
from actorium.storage.port import Entry, Session
from eventually import eventually


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


payer = in_order(call(("pay", {"amount": 7})), say("done"))
MODEL = f"scripted:{__name__}:payer"
PAYER = Agent("payer", model=MODEL, tools=[pay], approval_ttl=100.0, reminders=[10.0, 20.0])
ASKER = Agent(
    "asker",
    model=MODEL,
    tools=[pay],
    approval_ttl=100.0,
    reminders=[],
    on_expiry="escalate",
    escalate_to="the boss",
)


class CountedState(MemoryState):
    """A store that counts how often it is listed."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = 0

    async def entries(self, prefix: str = "") -> list[tuple[str, Entry]]:
        self.listed += prefix == "approval"
        return await super().entries(prefix)


class Bench:
    """A worker in this process, its reminders with a clock of their own, and what they say."""

    def __init__(self, world: MemoryWorld, worker: Worker, client: Client) -> None:
        self.world = world
        self.client = client
        self.ahead = 0.0  # seconds by which the reminders' clock is ahead
        self.said: list[tuple[str, Event]] = []
        bus = client.names.bus
        wall = lambda: time.time() + self.ahead  # noqa: E731
        self.reminders = Reminders(world.state, worker.hosts, worker.courier, bus, wall=wall, every=3600.0)

    async def listen(self) -> None:
        for subject in ("agents.*.events", subjects.SYSTEM_EVENTS):
            await self.client.names.bus.subscribe(
                subject, lambda message: self.said.append((message.subject, read_event(message.payload)))
            )

    def kinds(self, *kinds: str) -> list[tuple[str, str]]:
        return [(subject, event.kind) for subject, event in self.said if event.kind in kinds]

    async def parked(self, agent: str) -> tuple[Handle, Pending]:
        """A run that waits for its answer, and the question."""
        handle = await self.client.tell(agent, "pay it")

        async def rests() -> bool:
            return (await self.client.status(agent)).get("parked") == 1

        await eventually(rests)
        (pending,) = await self.client.approvals()
        return handle, pending


@asynccontextmanager
async def bench(*definitions: Definition) -> AsyncIterator[Bench]:
    world = MemoryWorld()
    world.state = CountedState()
    names = world.connect()
    for definition in definitions:
        await names.registry.define(definition)
    await world.leases.put_session(Session(id="w", node="n"), revision=0)
    spec = WorkerSpec(session="w", node="n", settings=Settings(), lease=LEASE)
    async with hosting(spec, names, lambda: True, Reporter("", "w")) as worker:
        await worker.holder.settled.wait()
        async with Client.over(world.connect()) as client:
            made = Bench(world, worker, client)
            await made.listen()
            yield made
        await worker.drain(5.0)


async def test_a_reminder_is_said_once_where_people_listen():
    async with bench(PAYER) as at:
        await at.parked("payer")
        for at.ahead in (0.0, 11.0, 12.0):
            await at.reminders.look()
        told = [("agents.payer.events", "reminder"), ("system.events", "reminder")]
        await eventually(lambda: at.kinds("reminder") == told)
        at.ahead = 25.0
        await at.reminders.look()
        await eventually(lambda: at.kinds("reminder") == told * 2)
        (_, event), *_ = [said for said in at.said if said[1].kind == "reminder"]
        assert (event.agent, event.data["tool"], event.data["number"]) == ("payer", "pay", 1)


async def test_a_question_that_expires_wakes_its_run_which_reads_a_denial():
    async with bench(PAYER) as at:
        handle, pending = await at.parked("payer")
        at.ahead = 101.0
        await at.reminders.look()
        assert (await handle.result(timeout=5)).status is Status.SUCCESS
        view = await at.client.runs.show("payer", handle.id)
        (paid,) = view.calls
        assert paid.content == "Nobody approved it in time, so it was denied."
        (expired,) = await at.client.approvals(open_only=False)
        assert (expired.question, expired.decision.verdict) == (pending.question, Verdict.EXPIRE)
        await eventually(lambda: ("agents.payer.events", "expired") in at.kinds("expired"))


async def test_an_escalated_question_gets_its_time_again_before_it_expires():
    async with bench(ASKER) as at:
        handle, _ = await at.parked("asker")
        at.ahead = 101.0
        await at.reminders.look()
        await at.reminders.look()
        await eventually(lambda: len(at.kinds("escalated")) >= 2)
        (pending,) = await at.client.approvals()
        assert pending.escalated
        at.ahead = 201.0
        await at.reminders.look()
        assert (await handle.result(timeout=5)).data == "done"
        assert len(at.kinds("escalated")) == 2  # of the agent, and of the system: once


async def test_an_answer_that_nobody_told_the_run_of_wakes_it():
    async with bench(PAYER) as at:
        handle, pending = await at.parked("payer")
        decision = Decision(verdict=Verdict.ACCEPT, hash=pending.question.hash, by="ann")
        await Approvals(at.world.state).answer(pending.question.id, decision)
        await at.reminders.look()
        assert (await handle.result(timeout=5)).data == "done"


async def test_a_word_that_somebody_answered_is_looked_at_at_once():
    async with bench(PAYER) as at, asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(at.reminders.run())
        handle, pending = await at.parked("payer")
        decision = Decision(verdict=Verdict.ACCEPT, hash=pending.question.hash, by="ann")
        await Approvals(at.world.state).answer(pending.question.id, decision)
        await at.client.names.bus.publish(subjects.ANSWERED, b"")
        assert (await handle.result(timeout=5)).data == "done"  # the next look would come in an hour
        looking.cancel()


async def test_where_no_run_is_live_nothing_is_read():
    async with bench(PAYER) as at:
        await at.reminders.look()
        assert at.world.state.listed == 0
        handle, pending = await at.parked("payer")
        before = at.world.state.listed
        await at.reminders.look()
        assert at.world.state.listed == before + 1
        await at.client.answer(pending.question.id, "deny")
        await handle.result(timeout=5)

        async def idle() -> bool:
            return (await at.client.status("payer"))["status"] == "idle"

        await eventually(idle)
        before = at.world.state.listed
        await at.reminders.look()
        assert at.world.state.listed == before


async def test_a_question_of_a_run_elsewhere_is_left_alone():
    async with bench(PAYER, ASKER) as at:
        _, pending = await at.parked("payer")
        stranger = msgspec.structs.replace(
            pending.question, id="f" * 16, agent="stranger", run="stranger/t1", asked_ms=0
        )
        await Approvals(at.world.state).ask(stranger)
        await at.reminders.look()
        assert (await Approvals(at.world.state).show("f" * 16)).decision is None
