"""What people see of a run, folded from its records; and how runs are found, listed and followed."""

import asyncio
from typing import ClassVar

import pytest

from actorium import App, Client, ConfigError, Task
from actorium.actors.card import run_ledger
from actorium.actors.errors import BadTask
from actorium.actors.models.port import ModelResponse, StopReason, Text
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.budget import Budget, Cost
from actorium.actors.runs.config import Agent
from actorium.actors.runs.effect import EffectClass
from actorium.actors.runs.record import (
    Answered,
    Compacted,
    Ended,
    Intended,
    Objected,
    Requested,
    Started,
    Unanswered,
    Undone,
    Why,
)
from actorium.actors.runs.tool import tool
from actorium.bus import subjects
from actorium.bus.codec import read_event
from actorium.bus.task import Result, Status
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.runtime.views.run_fold import fold
from actorium.runtime.views.run_lines import line
from actorium.runtime.views.run_reader import TreeReader
from actorium.runtime.views.run_view import CallStage, RunStage, RunView
from actorium.runtime.views.run_watch import RunWatch
from actorium.storage.chain import Chain
from actorium.storage.errors import NotFound
from eventually import eventually


class Gate:
    """What the slow tool waits for."""

    open: ClassVar[asyncio.Event]


@tool(effect="irreversible", risk="high")
async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@tool(effect="pure", risk="low")
async def look() -> str:
    """Look for a long time."""
    await Gate.open.wait()
    return "seen"


@tool(effect="pure", risk="low")
async def large() -> str:
    """Say more than a record can hold."""
    return "x" * 30_000


def give(*agents: str) -> ModelResponse:
    return call(*(("delegate_task", {"agent": agent, "task": f"{agent} it"}) for agent in agents))


greet = in_order(say("hello"))
payer = in_order(call(("pay", {"amount": 7}), text="It is due"), say("done"))
looker = in_order(call(("look", {})), say("I saw it"))
talker = in_order(*(call(("large", {}), prefix=f"c{n}") for n in range(2)), say("y" * 100_000))
middle = in_order(give("payer"), say("the middle is done"))
boss = in_order(give("greeter", "middle"), say("all is done"))
HERE = f"scripted:{__name__}:"
APP = App(
    Agent("greeter", model=f"{HERE}greet"),
    Agent("payer", model=f"{HERE}payer", tools=[pay]),
    Agent("looker", model=f"{HERE}looker", tools=[look]),
    Agent("talker", model=f"{HERE}talker", tools=[large]),
    Agent("middle", model=f"{HERE}middle", delegates=["payer"]),
    Agent("boss", model=f"{HERE}boss", delegates=["greeter", "middle"], budget=Budget(depth=2)),
)


@pytest.fixture(autouse=True)
def gate() -> None:
    Gate.open = asyncio.Event()


async def asked(client: Client) -> str:
    """The id of the one question that is open, once it is."""

    async def there() -> str:
        found = await client.approvals()
        return found[0].question.id if found else ""

    return await eventually(there)


async def test_a_tree_of_runs_is_seen_as_one():
    async with in_memory(APP) as client:
        handle = await client.tell("boss", "do it", task_id="t1")
        await client.answer(await asked(client), "edit", arguments={"amount": 9}, by="ann")
        assert (await handle.result(timeout=5)).data == "all is done"
        view = await client.runs.show("boss", "t1")
    assert (view.stage, view.task, view.answer, len(view.steps)) == (
        RunStage.SUCCESS,
        "do it",
        "all is done",
        2,
    )
    greeting, giving = view.steps[0].calls
    assert greeting.run is not None
    assert giving.run is not None
    assert (greeting.run.run, greeting.run.answer) == ("greeter/boss/t1/1/1/1", "hello")
    assert giving.run.parent == "boss/t1"
    (inner,) = giving.run.calls
    assert inner.run is not None
    (paid,) = inner.run.calls
    assert (paid.arguments, paid.content) == ({"amount": 9}, "paid 9")
    assert view.tokens == sum(step.tokens for step in view.steps) + greeting.run.tokens + giving.run.tokens


async def test_a_run_that_waits_for_people_says_so_and_for_what():
    async with in_memory(APP) as client:
        await client.tell("payer", "pay it", task_id="t1")
        question = await asked(client)
        view = await client.runs.show("payer", "t1")
        assert view.stage is RunStage.WAITING
        (waiting,) = view.calls
        assert waiting.asks is not None
        assert (waiting.asks.id, waiting.asks.reasoning) == (question, "It is due")
        (live,) = await client.runs.live()
        assert (live.run, live.asks) == ("payer/t1", (question,))


async def test_large_records_are_read_from_where_they_are():
    async with in_memory(APP) as client:
        handle = await client.tell("talker", "talk", task_id="t1")
        await handle.result(timeout=5)
        view = await client.runs.show("talker", "t1")
        assert view.answer == "y" * 100_000


async def test_runs_are_found_by_what_is_unique_of_their_names():
    async with in_memory(APP) as client:
        for agent, task_id in (("payer", "live-1"), ("greeter", "over-1"), ("greeter", "over-12")):
            handle = await client.tell(agent, "do it", task_id=task_id)
            if agent == "greeter":
                await handle.result(timeout=5)
        await asked(client)
        for text in ("payer/live-1", "live-1", "live", "payer/l"):
            assert await client.runs.find(text) == ("payer", "live-1")
        assert await client.runs.find("over-1") == ("greeter", "over-1")  # whole, though another begins so
        assert await client.runs.find("over-12") == ("greeter", "over-12")
        with pytest.raises(ConfigError, match="fits 2 runs: greeter/over-1, greeter/over-12"):
            await client.runs.find("over")
        with pytest.raises(NotFound, match="no run 'nothing'"):
            await client.runs.find("nothing")
        with pytest.raises(NotFound):
            await client.runs.find("No Agent/over-1")


async def test_ended_runs_are_listed_with_their_cost_and_actors_results_are_not_among_them():
    async with in_memory(APP) as client:
        for task_id in ("a", "b", "c"):
            handle = await client.tell("greeter", "greet", task_id=task_id)
            await handle.result(timeout=5)
        assert [one.task_id for one in await client.runs.ended()] == ["a", "b", "c"]
        (last,) = await client.runs.ended(limit=1)
        assert (last.run, last.state, last.why, last.tokens > 0) == (
            "greeter/c",
            "success",
            "completed",
            True,
        )
        assert await client.runs.live() == []


async def test_a_chain_that_is_no_thinking_agents_is_listed_all_the_same():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        handle = await client.tell("greeter", "greet", task_id="t1")
        await handle.result(timeout=5)
        chain = await Chain.open(world.ledger, run_ledger(64, "default", "greeter", "t1"), 99)
        await chain.append("ended", {"type": "ended", "of": "a workflow"})
        (one,) = await client.runs.ended()
        assert (one.run, one.state) == ("greeter/t1", "ended")


async def test_a_run_is_verified_and_another_head_refused():
    async with in_memory(APP) as client:
        handle = await client.tell("greeter", "greet", task_id="t1")
        await handle.result(timeout=5)
        proven = await client.runs.verify("greeter", "t1")
        assert proven.count == 3  # started; requested; answered and ended
        assert await client.runs.verify("greeter", "t1", proven) == proven


async def test_a_watch_sees_every_record_of_the_tree_until_the_end_and_hears_the_words():
    heard: list[str] = []
    async with in_memory(APP) as client:
        async with RunWatch(client.names, "boss", "t1", on_words=lambda: heard.append("")) as watch:
            handle = await client.tell("boss", "do it", task_id="t1")
            seen = []
            async for told in watch.records():
                seen += told
                if any("asks      " in line(each) for each in told):
                    await client.answer(await asked(client), "accept")
        assert (await handle.result(timeout=5)).data == "all is done"
        assert heard
        kept = await client.names.bus.history(subjects.EVENTS, "agents.*.events")
        kinds = {read_event(past.message.payload).kind for past in kept}
        assert {"step", "answered", "ended"} <= kinds
        assert "delta" not in kinds  # words are for who listens now; no stream keeps them
        again = TreeReader(client.names, "boss", "t1")
        assert sorted(map(line, await again.read())) == sorted(map(line, seen))
        assert {told.run for told in seen} == set(again.runs)
        assert await again.read() == []


async def test_a_watch_without_following_ends_with_what_stands():
    async with in_memory(APP) as client:
        await client.tell("looker", "look", task_id="t1")
        await eventually(client.runs.live)
        async with RunWatch(client.names, "looker", "t1") as watch:
            found = [told async for told in watch.records(follow=False)]
        assert found[0][0].run == "looker/t1"
        assert not watch.view.over
        Gate.open.set()


async def test_a_chain_of_something_else_is_no_run_of_a_thinking_agent():
    world = MemoryWorld()
    async with in_memory(APP, world) as client:
        reader = TreeReader(client.names, "other", "t1")
        chain = await Chain.open(world.ledger, reader.root._subject, 1)
        await chain.append("opened", {"type": "opened", "workflow": "x"})
        with pytest.raises(BadTask, match="other/t1 is no run of a thinking agent"):
            await reader.read()


def test_what_happens_beside_calls_is_noted_in_its_step():
    view = RunView(agent="", task_id="")
    response = ModelResponse(parts=(Text("no"),), stop=StopReason.END_TURN, provider="p", model="m")
    for record in (
        Started(agent="a", task_id="t", task=Task(spec="x"), definition="d", budget=Budget(), at_ms=5),
        Requested(step=1, model="p:m", reserved=Cost()),
        Unanswered(step=1, cost=Cost(tokens=3), priced=False),
        Requested(step=1, model="p:m", reserved=Cost()),
        Answered(step=1, response=response, cost=Cost(tokens=4, usd=0.5)),
        Objected(text="JSON, please"),
        Compacted(keep=2),
        Undone(call="1/1"),
    ):
        view = fold(view, record)
    (step,) = view.steps
    assert (step.text, step.asking, len(step.notes)) == ("no", False, 4)
    assert (view.tokens, view.usd, view.priced, view.began_ms) == (7, 0.5, False, 5)
    ended = fold(view, Ended(why=Why.BUDGET, limit="usd", result=Result(status=Status.PARTIAL, error="e")))
    assert (ended.stage, ended.why, ended.limit, ended.error) == (RunStage.PARTIAL, "budget", "usd", "e")


def test_calls_of_an_answer_that_was_refused_are_not_there():
    view = RunView(agent="a", task_id="t")
    wanted = call(("pay", {"amount": 1}))
    refused = ModelResponse(parts=wanted.parts, stop=StopReason.REFUSAL, provider="p", model="m")
    view = fold(view, Requested(step=1, model="p:m", reserved=Cost()))
    assert fold(view, Answered(step=1, response=refused, cost=Cost())).calls == []
    view = fold(view, Answered(step=1, response=wanted, cost=Cost()))
    again = Intended(
        call="1/1", tool="pay", arguments={}, key="k", effect=EffectClass.PURE, reserved=Cost(), attempt=2
    )
    (one,) = fold(view, again).calls
    assert (one.stage, one.attempt, one.delegate) == (CallStage.RUNNING, 2, "")
