"""Workflows from a program: given to an App, deployed, started, told something, retried and forked."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from actorium import (
    Actor,
    ActoriumError,
    App,
    Client,
    ConfigError,
    Context,
    Status,
    Task,
    UnknownAgent,
    Workflow,
    workflow,
)
from actorium.actors.workflows import errand, runner
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.runtime import workflow_parts
from actorium.runtime.app import load_app
from actorium.runtime.memory import in_memory
from actorium.storage.errors import NotFound
from eventually import eventually


class Work(Actor):
    """Does what a step says, and remembers it."""

    done: ClassVar[list[str]] = []

    async def receive(self, message: Task, ctx: Context) -> Any:
        self.done.append(message.action)
        if message.action == "fail":
            raise ValueError("no")
        return message.inputs


def two(name: str = "two", last: str = "last", agent: str = "work") -> Workflow:
    draft = workflow(name)
    first = draft.step("first", agent=agent, action="first", inputs={"n": draft.input("n", int, default=1)})
    draft.step("second", agent=agent, action=last, inputs=first.data)
    return draft.build()


def listening(name: str = "listening") -> Workflow:
    draft = workflow(name)
    heard = draft.step("hear", wait_signal="go")
    draft.step("then", agent="work", action="then", inputs=heard.data)
    return draft.build()


def app(*flows: Workflow) -> App:
    Work.done = []
    return App(Work.named("work"), *flows)


def test_the_names_that_stand_twice_are_the_same():
    assert workflow_parts.RUNNER == runner.KIND
    assert workflow_parts.EXECUTE == errand.EXECUTE


async def test_a_workflow_of_an_app_is_started_by_its_name():
    async with in_memory(app(two())) as client:
        result = await (await client.start("two", {"n": 3})).result(timeout=5)
        assert (result.status, result.data) == (Status.SUCCESS, {"second": {"n": 3}})


async def test_a_value_is_deployed_when_it_is_started_and_once_only():
    async with in_memory(app()) as client:
        result = await (await client.start(two())).result(timeout=5)
        assert result.status is Status.SUCCESS
        assert not (await client.deploy(two())).changed
        assert [one.name for one in await client.workflows.all()] == ["two"]


async def test_a_new_version_applies_to_new_runs_and_live_ones_keep_theirs():
    async with in_memory(app(listening())) as client:
        old = await client.start("listening", run_id="old")
        await client.signal("listening", "old", "other")
        draft = workflow("listening")
        draft.step("only", agent="work", action="only")
        deployed = await client.deploy(draft.build())
        assert deployed.changed
        new = await (await client.start("listening", run_id="new")).result(timeout=5)
        await client.signal("listening", "old", "go", {"said": 1})
        result = await old.result(timeout=5)
        assert (list(new.data), result.data) == (["only"], {"then": {"said": 1}})
        assert (await client.show("listening", "new"))["definition"] == deployed.definition


async def test_what_names_no_agent_is_refused_by_an_app_and_by_a_deploy():
    broken = two("broken", agent="nobody")
    with pytest.raises(ConfigError) as refused:
        app(broken).check()
    lines = refused.value.message.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("workflow broken: steps.first.agent: there is no agent 'nobody'")
    async with in_memory(app()) as client:
        with pytest.raises(InvalidWorkflow) as invalid:
            await client.start(broken)
        assert len(invalid.value.problems) == 2
        assert await client.workflows.all() == []


async def test_a_deploy_takes_no_agents_name():
    async with in_memory(app()) as client:
        with pytest.raises(ConfigError, match="an agent that is no workflow is called 'work'"):
            await client.deploy(two("work", agent="work"))


@pytest.mark.parametrize(
    ("part", "told"), [(workflow("draft"), "give the App what its build"), (7, "was given 7")]
)
def test_an_app_says_what_it_is_made_of(part: Any, told: str):
    with pytest.raises(ConfigError, match=told):
        App(part)


async def test_a_signal_may_come_right_after_the_start_and_counts_once():
    async with in_memory(app(listening())) as client:
        handle = await client.start("listening", run_id="r")
        assert await client.signal("listening", "r", "go", 7, signal_id="s")
        await client.signal("listening", "r", "go", 8, signal_id="s")
        assert (await handle.result(timeout=5)).data == {"then": 7}
        assert not await client.signal("listening", "r", "go", 9)


async def test_signals_that_come_at_once_all_count():
    async with in_memory(app(listening())) as client:
        handle = await client.start("listening", run_id="r")
        await eventually(lambda: _parked(client, "listening"))
        told = await asyncio.gather(*(client.signal("listening", "r", "other") for _ in range(5)))
        assert told == [True] * 5
        assert await client.signal("listening", "r", "go", 1)
        assert (await handle.result(timeout=5)).status is Status.SUCCESS


async def test_a_cancel_that_meets_a_run_as_it_parks_is_kept():
    async with in_memory(app(listening())) as client:
        for number in range(40):
            handle = await client.start("listening", run_id=f"r{number}")
            for _ in range(number):
                await asyncio.sleep(0)
            assert await handle.cancel(), number
            assert (await handle.result(timeout=5)).failure.code == "cancelled"


async def test_a_signal_to_a_run_that_is_being_taken_back_fences_nobody():
    draft = workflow("booking", on_failure="compensate")
    undo = {"action": "undo"}
    booked = draft.step("book", agent="work", action="book", effect="compensable", undo=undo)
    draft.step("hear", wait_signal="go", depends_on=[booked])
    async with in_memory(app(draft.build())) as client:
        handle = await client.start("booking", run_id="r")
        await eventually(lambda: _parked(client, "booking"))
        cancelling = asyncio.create_task(handle.cancel("no"))
        while not cancelling.done():
            with suppress(ActoriumError):
                await client.signal("booking", "r", "other")
        assert await cancelling
        assert (await handle.result(timeout=5)).failure.code == "cancelled"


async def _parked(client: Client, workflow_id: str) -> bool:
    return (await client.status(workflow_id)).get("parked") == 1


async def test_a_paused_run_begins_nothing_until_it_is_resumed():
    async with in_memory(app(listening())) as client:
        handle = await client.start("listening", run_id="r")
        assert await client.pause("listening", "r", by="ann")
        await client.signal("listening", "r", "go")
        assert (await client.show("listening", "r"))["stage"] == "paused"
        assert Work.done == []
        assert await client.resume("listening", "r")
        assert (await handle.result(timeout=5)).status is Status.SUCCESS


async def test_a_run_that_is_not_there_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actorium.runtime.workflows.SOON", 0.05)
    async with in_memory(app(listening())) as client:
        with pytest.raises(NotFound, match="there is no run listening/x"):
            await client.signal("listening", "x", "go")
        with pytest.raises(NotFound):
            await client.show("listening", "x")
        with pytest.raises(UnknownAgent, match="no workflow 'listenin', did you mean 'listening'"):
            await client.workflows.find("listenin")


async def test_a_failed_step_is_retried_by_the_newest_version_and_what_was_done_stands():
    async with in_memory(app(two(last="fail"))) as client:
        failed = await (await client.start("two", run_id="bad")).result(timeout=5)
        assert failed.status is Status.FAILURE
        await client.deploy(two())
        again = await client.retry("two", "bad", "second", latest=True)
        assert (await again.result(timeout=5)).status is Status.SUCCESS
        assert Work.done.count("first") == 1


async def test_a_fork_goes_on_from_a_page_of_another_run():
    async with in_memory(app(two())) as client:
        await (await client.start("two", {"n": 5}, run_id="one")).result(timeout=5)
        forked = await client.fork("two", "one", 1)
        assert (await forked.result(timeout=5)).data == {"second": {"n": 5}}
        assert Work.done == ["first", "last", "first", "last"]


async def listed(client: Client) -> dict[str, str]:
    runs = [*await client.workflows.ended(), *await client.workflows.live()]
    return {run.run: run.state for run in runs}


async def test_runs_are_listed_while_they_live_and_after_their_end():
    async with in_memory(app(two(), listening())) as client:
        await (await client.start("two", run_id="a")).result(timeout=5)
        await client.start("listening", run_id="b")

        async def both() -> bool:
            return await listed(client) == {"two/a": "success", "listening/b": "parked"}

        await eventually(both)


async def test_the_example_prices_charges_and_sends():
    path = Path(__file__).parents[3] / "examples" / "orders.py"
    async with in_memory(load_app(str(path))) as client:
        result = await (await client.start("order", {"number": 17, "items": ["tea", "cup"]})).result(
            timeout=5
        )
        assert result.data == {"paid": 13.5, "sent": 17}


TOML = """
workflows = ["{}"]

[[agent]]
name = "work"
kind = "{}:Work"
"""
STEPS = """
name = "digest"

[[steps]]
id = "read"
agent = "{}"
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a program in TOML whose class is ours."""
    monkeypatch.setitem(sys.modules, "work_program", sys.modules[__name__])

    def write(agent: str, workflows: str = "flows/*.toml") -> str:
        (tmp_path / "flows").mkdir()
        (tmp_path / "flows" / "digest.toml").write_text(STEPS.format(agent))
        path = tmp_path / "agents.toml"
        path.write_text(TOML.format(workflows, "work_program"))
        return str(path)

    return write


def test_a_toml_program_names_the_files_of_its_workflows(program):
    assert [one.name for one in load_app(program("work")).definitions] == ["work", "digest"]


@pytest.mark.parametrize(
    ("agent", "workflows", "told"),
    [
        (
            "wrk",
            "flows/*.toml",
            "digest.toml:6: steps.read.agent: there is no agent 'wrk', did you mean 'work'?",
        ),
        ("", "flows/*.toml", "digest.toml:5: steps.read.id: it does nothing"),
        ("work", "flow/*.toml", "no file fits 'flow/*.toml'"),
        ("work", "digest.toml", "cannot read"),
    ],
)
def test_a_toml_program_is_refused_with_the_line_of_its_workflow(program, agent, workflows, told):
    with pytest.raises(ConfigError) as refused:
        load_app(program(agent, workflows))
    assert told in refused.value.message
