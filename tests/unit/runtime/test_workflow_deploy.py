"""What a deploy, and a run under a given id, are held against: what is there already, and the clock."""

from typing import Any

import pytest

from actorium import Actor, App, Client, Context, Task, Workflow, workflow
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.runtime.cli.workflow_choice import run_of, workflow_shown
from actorium.runtime.memory import in_memory
from actorium.runtime.workflow_parts import workflow_part
from actorium.runtime.workflow_repeat import OtherRun, must_be_the_same
from actorium.storage.errors import NotFound


class Work(Actor):
    """Gives back what it is given."""

    async def receive(self, message: Task, ctx: Context) -> Any:
        return message.inputs


def flow(name: str = "flow", *, runs: str = "", **fields: Any) -> Workflow:
    draft = workflow(name, **fields)
    draft.step("s", workflow=runs) if runs else draft.step(
        "s", agent="work", inputs={"n": draft.input("n", int, default=1)}
    )
    return draft.build()


def until(moment: str) -> Workflow:
    draft = workflow("waits")
    draft.step("s", until=moment)
    return draft.build()


async def test_workflows_that_run_each_other_for_ever_are_refused_when_the_last_is_deployed():
    async with in_memory(App(Work.named("work"))) as client:
        await client.deploy(flow("two"))
        await client.deploy(flow("one", runs="two"))
        with pytest.raises(InvalidWorkflow, match="it never ends: two -> one -> two"):
            await client.deploy(flow("two", runs="one"))


async def test_a_webhook_address_belongs_to_one_workflow():
    hook = [{"type": "webhook", "path": "orders"}]
    async with in_memory(App(Work.named("work"))) as client:
        await client.deploy(flow("one", triggers=hook))
        with pytest.raises(InvalidWorkflow, match="a webhook of workflow one has the path 'orders' already"):
            await client.deploy(flow("two", triggers=hook))
        assert (await client.deploy(flow("one", triggers=hook))).changed is False


async def test_a_moment_that_has_passed_is_refused_and_what_stands_already_is_not():
    async with in_memory(App(Work.named("work"), until("2020-01-01T00:00:00Z"))) as client:
        assert (await client.deploy(until("2020-01-01T00:00:00Z"))).changed is False
        with pytest.raises(InvalidWorkflow, match=r"steps\.s\.until: 2021-01-01T00:00:00Z has passed"):
            await client.deploy(until("2021-01-01T00:00:00Z"))
        assert (await client.deploy(until("2121-01-01T00:00:00Z"))).changed is True


async def started(client: Client) -> None:
    await (await client.start("flow", {"n": 3}, run_id="r")).result(timeout=5)


@pytest.mark.parametrize("inputs", [{"n": 4}, {}, {"n": 3, "m": 1}, {"n": "3"}])
async def test_a_run_id_is_taken_by_the_inputs_that_it_began_with(inputs: dict[str, Any]):
    async with in_memory(App(Work.named("work"), flow())) as client:
        await started(client)
        with pytest.raises(OtherRun, match=r"run flow/r was started before with other inputs \([mn]\)"):
            await must_be_the_same(client.workflows, "flow", "r", inputs)


async def test_what_an_older_version_deployed_and_this_one_refuses_is_told_to_whoever_starts_it():
    """Its carrier lives, for its live runs go on."""
    stored = workflow_part(flow())
    stored.config["workflow"]["steps"] = [{"id": "s", "sleep": 1, "retry": {"max": 3}}]
    async with in_memory(App(Work.named("work"), stored)) as client:
        result = await (await client.start("flow")).result(timeout=5)
        assert result.failure is not None
        assert (result.failure.code, "has no retry" in result.failure.message) == ("undeliverable", True)


async def test_a_run_is_not_started_under_an_id_that_is_taken():
    async with in_memory(App(Work.named("work"), flow())) as client:
        await started(client)
        await started(client)
        with pytest.raises(OtherRun):
            await client.start("flow", {"n": 4}, run_id="r")


async def test_the_same_inputs_are_the_same_run_and_an_id_that_is_free_is_anybodys():
    async with in_memory(App(Work.named("work"), flow())) as client:
        await started(client)
        await must_be_the_same(client.workflows, "flow", "r", {"n": 3})
        await must_be_the_same(client.workflows, "flow", "free", {"n": 4})


async def test_a_run_of_a_workflow_is_told_from_one_of_an_agent():
    async with in_memory(App(Work.named("work"), flow())) as client:
        await started(client)
        await (await client.tell("work", "do", task_id="t")).result(timeout=5)
        assert await run_of(client, "flow/r") == ("flow", "r")
        shown = await workflow_shown(client, "flow", "r")
        assert shown is not None
        assert [step["id"] for step in shown["steps"]] == ["s"]
        assert await workflow_shown(client, "work", "t") is None
        with pytest.raises(NotFound, match="no run 'nope' of a workflow; actorium workflow ls"):
            await run_of(client, "nope")
