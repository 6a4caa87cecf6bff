"""Workflows in one process: deployed as agents, carried by whoever owns them, over the same worker code."""

import asyncio
from typing import Any, ClassVar

from actorium import Actor, App, Client, Context, Status, Task
from actorium.actors.card import Cards
from actorium.actors.definition import Definition
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.workflows.builder import workflow
from actorium.actors.workflows.definition import Workflow
from actorium.actors.workflows.runner import deployed
from actorium.runtime.memory import MemoryWorld, in_memory
from eventually import eventually


class Work(Actor):
    """Does what a step says, and remembers what it did."""

    done: ClassVar[list[str]] = []

    async def receive(self, message: Task, ctx: Context) -> Any:
        self.done.append(message.action)
        inputs: dict[str, Any] = message.inputs or {}
        match message.action:
            case "double":
                return inputs["n"] * 2
            case "sum":
                return sum(inputs["numbers"])
            case "fail":
                raise ValueError("no")
            case _:
                return inputs


def flow(name: str = "numbers") -> Workflow:
    """Doubles every number, side by side, then adds them up."""
    draft = workflow(name, inputs={"numbers": "array"})
    doubled = draft.step(
        "double", agent="work", action="double", for_each=draft.input("numbers"), inputs={"n": draft.item}
    )
    draft.step("sum", agent="work", action="sum", inputs={"numbers": doubled.data})
    return draft.build()


def waiting() -> Workflow:
    """Asks a person, waits for a signal, then says what it carried."""
    draft = workflow("waiting")
    draft.step("ask", agent="work", action="first", approve=True)
    signal = draft.step("wait", wait_signal="go", depends_on=["ask"])
    draft.step("last", agent="work", action="last", inputs={"signal": signal.data})
    return draft.build()


def app(*workflows: Definition) -> App:
    Work.done = []
    return App(Work.named("work"), *workflows)


async def test_a_workflow_is_an_agent_whose_tasks_are_runs():
    async with in_memory(app(deployed(flow()))) as client:
        handle = await client.tell("numbers", Task(inputs={"numbers": [1, 2, 3]}))
        result = await handle.result(timeout=5)
        assert (result.status, result.data) == (Status.SUCCESS, {"sum": 12})
        asked = await client.ask("numbers", {"numbers": [4]})
        assert asked.data == {"sum": 8}


async def test_inputs_that_do_not_fit_are_refused_before_anything_starts():
    async with in_memory(app(deployed(flow()))) as client:
        handle = await client.tell("numbers", Task(inputs={"number": [1]}))
        result = await handle.result(timeout=5)
        assert result.failure is not None
        assert result.failure.code == "undeliverable"
        assert "did you mean" in (result.error or "")
        assert Work.done == []


async def parked(client: Client, name: str) -> None:
    async def rests() -> bool:
        return (await client.status(name)).get("parked") == 1

    await eventually(rests)


async def test_a_run_waits_for_people_and_signals_over_a_stop_of_everything():
    world = MemoryWorld()
    async with in_memory(app(deployed(waiting())), world) as client:
        await client.tell("waiting", Task(), task_id="w1")
        await parked(client, "waiting")
        (pending,) = await Approvals(world.state).list()
        question = pending.question
        await Approvals(world.state).answer(
            question.id, Decision(verdict=Verdict.ACCEPT, hash=question.hash, by="ann")
        )
    async with in_memory(app(deployed(waiting())), world) as client:
        await parked(client, "waiting")
        assert Work.done == ["first"]
        told = await client.courier.on_run("waiting", "w1", "show", {})
        assert [step["stage"] for step in told["steps"]] == ["done", "listening", "waiting"]
        for _ in range(2):
            signal = {"name": "go", "id": "s1", "data": 7, "by": "ann"}
            answer = await client.courier.on_run("waiting", "w1", "signal", signal)
        assert answer["counts"] in (True, False)
        handle = await client.tell("waiting", Task(), task_id="w1")
        result = await handle.result(timeout=5)
        assert result.status is Status.SUCCESS
        assert result.data == {"last": {"signal": 7}}
        assert await Cards(world.live).all() == []


async def test_a_cancel_reaches_what_a_step_delegated():
    draft = workflow("inner")
    draft.step("wait", wait_signal="never")
    inner = draft.build()
    draft = workflow("outer")
    draft.step("in", workflow="inner")
    outer = draft.build()
    async with in_memory(app(deployed(inner), deployed(outer))) as client:
        handle = await client.tell("outer", Task())
        await parked(client, "outer")
        await parked(client, "inner")
        receipt = await handle.cancel("enough")
        assert receipt
        assert [(child.agent, child.cancelled) for child in receipt.children] == [("inner", True)]
        assert (await handle.result(timeout=5)).failure.code == "cancelled"


async def test_a_run_begins_again_from_a_step():
    draft = workflow("two")
    first = draft.step("one", agent="work", action="one", inputs={"x": 1})
    draft.step("two", agent="work", action="two", inputs={"y": first.data})
    async with in_memory(app(deployed(draft.build()))) as client:
        handle = await client.tell("two", Task(), task_id="t1")
        await handle.result(timeout=5)
        again = await client.tell(
            "two", Task(action="retry_workflow", spec={"run": "t1", "step": "two"}), task_id="t2"
        )
        result = await again.result(timeout=5)
        assert result.status is Status.SUCCESS
        assert Work.done == ["one", "two", "two"]


async def test_many_runs_of_one_workflow_go_side_by_side():
    async with in_memory(app(deployed(flow()))) as client:
        handles = [await client.tell("numbers", {"numbers": [n]}) for n in range(40)]
        results = await asyncio.gather(*(handle.result(timeout=20) for handle in handles))
        assert [result.data for result in results] == [{"sum": 2 * n} for n in range(40)]
