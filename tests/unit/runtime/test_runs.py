"""Thinking agents in one process: tasks become runs that outlive their owners, over the same worker code."""

import asyncio
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from actorium import App, Client, DeadlineExceeded, Status, Task
from actorium.actors import carriage
from actorium.actors.card import Cards, run_ledger
from actorium.actors.definition import Options
from actorium.actors.models.port import ModelRequest, ModelResponse
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.budget import Budget
from actorium.actors.runs.config import Agent
from actorium.actors.runs.delegation import Grant
from actorium.actors.runs.tool import tool
from actorium.bus.subjects import OUTBOX, public
from actorium.runtime import courier
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.storage.errors import NotFound
from actorium.storage.memory import MemoryState
from eventually import eventually


class Bank:
    """What really happened."""

    paid: ClassVar[list[int]] = []
    gate: ClassVar[asyncio.Event]


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    Bank.paid.append(amount)
    return f"paid {amount}"


@tool(effect="pure", risk="low")
async def look() -> str:
    """Look for a long time."""
    await Bank.gate.wait()
    return "seen"


greet = in_order(say("hello"))
payer = in_order(call(("pay", {"amount": 7}), text="It is due"), say("done"))
both = in_order(call(("look", {}), ("pay", {"amount": 7})), say("both"))
looker = in_order(call(("look", {})), say("I saw it"))


def boss(request: ModelRequest) -> ModelResponse:
    """Gives the same task to two agents, and reports."""
    return in_order(
        call(
            ("delegate_task", {"agent": "greeter", "task": "greet"}),
            ("delegate_task", {"agent": "payer", "task": "pay"}),
        ),
        say("both are done"),
    )(request)


def caller(request: ModelRequest) -> ModelResponse:
    """Calls another agent as it calls any tool."""
    return in_order(call(("payer", {"task": "pay"})), say("it is paid"))(request)


def waiter(request: ModelRequest) -> ModelResponse:
    """Gives a task to somebody slow."""
    return in_order(call(("delegate_task", {"agent": "looker", "task": "look"})), say("seen"))(request)


HERE = __name__
GREETER = Agent("greeter", model=f"scripted:{HERE}:greet")
PAYER = Agent("payer", model=f"scripted:{HERE}:payer", tools=[pay])
LOOKER = Agent("looker", model=f"scripted:{HERE}:looker", tools=[look])
BOSS = Agent("boss", model=f"scripted:{HERE}:boss", delegates=["greeter", "payer"])
CALLER = Agent("caller", model=f"scripted:{HERE}:caller", tools=[PAYER])
WAITER = Agent("waiter", model=f"scripted:{HERE}:waiter", delegates=["looker"])
BOTH = Agent("both", model=f"scripted:{HERE}:both", tools=[look, pay])
APP = App(GREETER, PAYER, LOOKER, BOSS, CALLER, WAITER, BOTH)


@pytest.fixture(autouse=True)
def bank() -> None:
    Bank.paid = []
    Bank.gate = asyncio.Event()


async def answer(world: MemoryWorld, client: Client, verdict: Verdict, **more: object) -> None:
    """Answer the one question that is open."""
    approvals = Approvals(world.state)

    async def asked() -> bool:
        return len(await approvals.list()) == 1

    await eventually(asked)
    (pending,) = await approvals.list()
    question = pending.question
    await approvals.answer(question.id, Decision(verdict=verdict, hash=question.hash, by="ann", **more))
    await client.courier.on_run(question.agent, question.run.partition("/")[2], "wake", {})


async def test_an_answered_call_goes_on_while_others_of_its_step_are_still_under_way():
    world = MemoryWorld()
    Bank.gate = asyncio.Event()
    async with in_memory(APP, world) as client:
        handle = await client.tell("both", "pay and look")

        async def asked() -> bool:
            return bool(await client.approvals())

        await eventually(asked)
        await answer(world, client, Verdict.ACCEPT)
        await eventually(lambda: Bank.paid == [7])
        assert not Bank.gate.is_set()
        Bank.gate.set()
        assert (await handle.result(timeout=5)).data == "both"


async def test_a_task_becomes_a_run_and_its_answer_the_result():
    async with in_memory(APP) as client:
        result = await client.ask("greeter", "greet me")
        assert (result.status, result.data, result.metrics.steps) == (Status.SUCCESS, "hello", 1)
        handle = await client.tell("greeter", "greet me")
        assert (await handle.result(timeout=5)).data == "hello"


class Shut(MemoryState):
    """Keeps cards, once it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def put(self, key: str, value: bytes, **more: Any) -> int:
        await self.open.wait()
        return await super().put(key, value, **more)


async def test_a_run_waits_with_its_result_until_its_card_stands():
    world = MemoryWorld()
    world.live = Shut()
    async with in_memory(APP, world) as client:
        handle = await client.tell("greeter", "greet me", task_id="t1")

        async def over() -> bool:
            view = await client.runs.show("greeter", "t1") if await begun(client) else None
            return view is not None and view.over

        async def begun(client: Client) -> bool:
            subject = run_ledger(64, "default", "greeter", "t1")
            return await world.ledger.last(subject) is not None

        await eventually(over)
        with pytest.raises(DeadlineExceeded):
            await handle.result(timeout=0.1)
        world.live.open.set()
        assert (await handle.result(timeout=5)).data == "hello"


async def test_a_task_whose_run_was_cut_short_before_it_was_acknowledged_is_carried_after_a_restart(
    monkeypatch,
):
    monkeypatch.setattr(carriage, "QUIET", 0.05)
    monkeypatch.setattr(carriage, "GRACE", 0.05)
    world = MemoryWorld()
    world.live = Shut()
    async with in_memory(APP, world) as client:
        handle = await client.tell("greeter", "greet me")
        await eventually(lambda: world.ledger._chains)
        await client.restart("greeter")
        world.live.open.set()
        assert (await handle.result(timeout=5)).data == "hello"

        async def told() -> bool:
            return await client.names.bus.newest(OUTBOX, public("default", "greeter", "outbox")) is not None

        await eventually(told)
        assert await Cards(world.live).all() == []


async def test_a_restart_of_an_agent_in_the_middle_of_a_long_call_says_that_it_stands(monkeypatch):
    monkeypatch.setattr(courier, "CONTROL_TIMEOUT", 0.05)
    Bank.gate = asyncio.Event()
    async with in_memory(APP) as client:
        handle = await client.tell("looker", "look")

        async def looks() -> bool:
            with suppress(NotFound):
                return bool((await client.runs.show("looker", handle.id)).calls)
            return False

        await eventually(looks)
        with pytest.raises(DeadlineExceeded, match="the restart of agent 'looker' stands"):
            await client.restart("looker")
        Bank.gate.set()
        assert (await handle.result(timeout=15)).data == "I saw it"


async def test_a_task_that_waits_for_its_turn_is_cancelled_for_good():
    one = App(Agent("single", model=f"scripted:{HERE}:looker", tools=[look], options=Options(parallel=1)))
    world = MemoryWorld()
    Bank.gate = asyncio.Event()
    async with in_memory(one, world) as client:
        await client.tell("single", "first", task_id="t1")
        await eventually(lambda: world.ledger._chains)
        waits = await client.tell("single", "second", task_id="t2")
        assert await waits.cancel()
        subject = public("default", "single", "outbox")
        assert (await client.names.bus.newest(OUTBOX, subject)) is not None  # before anything else ends
        assert (await waits.result(timeout=5)).failure.code == "cancelled"
        Bank.gate.set()


async def test_the_same_task_told_twice_is_one_run():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        first = await client.tell("greeter", "greet me", task_id="t1")
        assert (await first.result(timeout=5)).data == "hello"
        second = await client.tell("greeter", "something else", task_id="t1")
        assert (await second.result(timeout=5)).data == "hello"


async def test_a_risky_call_waits_for_a_person_without_being_carried_and_then_goes_on():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("payer", "pay it")

        async def parked() -> bool:
            return (await client.status("payer")).get("parked") == 1

        await eventually(parked)
        assert (await client.status("payer"))["current_task_id"] is None
        assert Bank.paid == []
        await answer(world, client, Verdict.ACCEPT)
        assert (await handle.result(timeout=5)).data == "done"
        assert Bank.paid == [7]
        assert await Cards(world.live).all() == []


async def test_a_run_that_waits_for_a_person_goes_on_after_everything_was_stopped():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("payer", "pay it", task_id="t1")
        approvals = Approvals(world.state)

        async def asked() -> bool:
            return bool(await approvals.list())

        await eventually(asked)
    async with in_memory(APP, world) as client:
        await answer(world, client, Verdict.ACCEPT)
        handle = await client.tell("payer", "pay it", task_id="t1")
        assert (await handle.result(timeout=5)).data == "done"
    assert Bank.paid == [7]


async def test_a_parent_that_is_taken_up_again_asks_for_its_delegate_and_gives_no_new_task():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        await client.tell("boss", "do both", task_id="b1")
    for _ in range(3):
        async with in_memory(APP, world) as client:

            async def parked() -> bool:
                return (await client.status("boss")).get("parked") == 1

            await eventually(parked)
    async with in_memory(APP, world) as client:
        view = await client.runs.show("boss", "b1")
        attempts = [record async for record in world.ledger.read(run_ledger(64, "default", "boss", "b1"))]
        written = b"".join(entry.value for entry in attempts)
        assert written.count(b'"type":"intended"') == 2, written
        assert view is not None
        await answer(world, client, Verdict.ACCEPT)
        handle = await client.tell("boss", "do both", task_id="b1")
        assert (await handle.result(timeout=5)).data == "both are done"


async def test_a_task_may_be_given_with_fewer_tools_than_its_agent_has():
    async with in_memory(APP) as client:
        nothing = Grant(budget=Budget(), tools=())
        handle = await client.tell("payer", "pay it", grant=nothing)
        assert (await handle.result(timeout=5)).data == "done"
        assert Bank.paid == []


async def test_a_run_goes_on_with_the_definition_it_began_with():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        old = await client.tell("payer", "pay it")

        async def parked() -> bool:
            return (await client.status("payer")).get("parked") == 1

        await eventually(parked)
        await client.spawn(Agent("payer", model=f"scripted:{HERE}:greet"))
        assert (await client.ask("payer", "pay it")).data == "hello"
        await answer(world, client, Verdict.ACCEPT)
        assert (await old.result(timeout=5)).data == "done"
        assert Bank.paid == [7]


async def test_a_parent_rests_while_its_delegate_waits_for_a_person():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("boss", "do both")

        async def both_parked() -> bool:
            return [(await client.status(name)).get("parked") for name in ("boss", "payer")] == [1, 1]

        await eventually(both_parked)
        await answer(world, client, Verdict.ACCEPT)
        result = await handle.result(timeout=5)
        assert result.data == "both are done"
        assert Bank.paid == [7]
        assert result.metrics.tool_calls == 2


async def test_a_call_that_was_ordered_is_made_without_a_model_and_a_person_is_asked_all_the_same():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        task = Task(action="call_tool", spec={"tool": "pay", "arguments": {"amount": 9}})
        handle = await client.tell("payer", task)
        await answer(world, client, Verdict.ACCEPT)
        result = await handle.result(timeout=5)
        assert (result.status, result.data, result.metrics.steps) == (Status.SUCCESS, ["paid 9"], 0)
        assert Bank.paid == [9]
        wrong = Task(action="call_tool", spec={"tool": "pya", "arguments": {}})
        failed = await (await client.tell("payer", wrong)).result(timeout=5)
        assert failed.status is Status.FAILURE
        assert "Did you mean pay?" in (failed.error or "")
        unread = await (await client.tell("payer", Task(action="call_tool", spec="pay"))).result(timeout=5)
        assert unread.failure is not None
        assert unread.failure.fields["reason"] == "bad_task"


async def test_an_agent_is_called_as_a_tool_and_its_caller_rests_with_it():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("caller", "see to it")

        async def both_parked() -> bool:
            return [(await client.status(name)).get("parked") for name in ("caller", "payer")] == [1, 1]

        await eventually(both_parked)
        await answer(world, client, Verdict.ACCEPT)
        assert (await handle.result(timeout=5)).data == "it is paid"
        assert Bank.paid == [7]


async def test_a_cancel_reaches_what_was_delegated_and_says_so():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("waiter", "wait")

        async def looking() -> bool:
            return (await client.status("looker")).get("current_task_id") is not None

        await eventually(looking)
        receipt = await handle.cancel("enough")
        assert receipt
        assert [(child.agent, child.cancelled) for child in receipt.children] == [("looker", True)]
        result = await handle.result(timeout=5)
        assert result.failure is not None
        assert result.failure.code == "cancelled"
        assert await Cards(world.live).all() == []
        assert await handle.cancel()  # again says the same


async def test_runs_of_one_agent_go_side_by_side_up_to_its_bound():
    few = Agent("looker", model=f"scripted:{HERE}:looker", tools=[look], options=Options(parallel=2))
    async with in_memory(App(few)) as client:
        handles = [await client.tell("looker", Task(spec=n)) for n in range(3)]

        async def two() -> bool:
            return (await client.status("looker")).get("waiting") == 1

        await eventually(two)
        Bank.gate.set()
        results = [await handle.result(timeout=5) for handle in handles]
        assert [result.data for result in results] == ["I saw it"] * 3


async def test_a_run_in_the_middle_of_a_call_goes_on_with_the_next_owner():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        await client.tell("looker", "look", task_id="t1")

        async def looking() -> bool:
            return (await client.status("looker")).get("current_task_id") is not None

        await eventually(looking)
        stopping = asyncio.ensure_future(client.stop("looker"))
        Bank.gate.set()  # the call ends, and the run rests before its next step
        await stopping
    async with in_memory(APP, world) as client:
        await client.restart("looker")
        handle = await client.tell("looker", "look", task_id="t1")
        assert (await handle.result(timeout=5)).data == "I saw it"


async def test_a_broadcast_reaches_every_agent_that_is_not_stopped():
    named = App(GREETER, *(Agent(f"greeter-{n}", model=f"scripted:{HERE}:greet") for n in range(3)))
    async with in_memory(named) as client:
        await client.stop("greeter-1")
        answers = await client.broadcast("hello all")
        assert {name: result.data for name, result in answers.items()} == {
            "greeter": "hello",
            "greeter-0": "hello",
            "greeter-2": "hello",
        }
