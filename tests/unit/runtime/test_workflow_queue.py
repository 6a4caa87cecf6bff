"""The queue interface of the seed worker: its JSON starts a run, once, wherever it is published."""

import asyncio
from typing import Any, ClassVar

import msgspec
import pytest

from actorium import Actor, App, Client, Context, Status, Task, Workflow, workflow
from actorium.bus import subjects
from actorium.bus.codec import read_event, read_result
from actorium.bus.envelope import TASK_ID
from actorium.bus.errors import BadMessage
from actorium.bus.memory_hub import MemoryHub
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.runtime.relaying import Routes
from actorium.runtime.workflow_parts import workflow_part
from eventually import eventually


class Work(Actor):
    done: ClassVar[list[Any]] = []

    async def receive(self, message: Task, ctx: Context) -> Any:
        if message.action == "hang":
            await asyncio.Event().wait()
        self.done.append(message.inputs)
        return {"doubled": message.inputs["n"] * 2}


def flow(**step: Any) -> Workflow:
    draft = workflow("wf-123")
    draft.step("step-1", agent="work", inputs={"n": draft.input("n", int)}, **step)
    return draft.build()


def queued(name: str = "wf-123", tenant: str = "default", **inputs: Any) -> bytes:
    payload = {"workflow_id": name, "tenant_id": tenant, "trigger": "manual", "input_data": inputs}
    return msgspec.json.encode({"task": "execute_workflow", "payload": payload})


def app(**step: Any) -> App:
    Work.done = []
    return App(Work.named("work"), flow(**step))


async def results(client: Client) -> list[tuple[str, Any]]:
    past = await client.names.bus.history(subjects.OUTBOX, "agents.wf-123.outbox")
    return [((one.message.headers or {}).get(TASK_ID), read_result(one.message.payload)) for one in past]


@pytest.mark.parametrize("subject", ["orchestrator.inbox", "agents.wf-123.inbox"])
@pytest.mark.parametrize("tenant", ["default", "tenant-456"])
async def test_the_json_of_the_queue_starts_a_run_and_events_and_a_result_come_back(subject, tenant):
    async with in_memory(app()) as client:
        await client.names.bus.publish(subject, queued(tenant=tenant, n=2), {"Nats-Msg-Id": "m1"})
        ((task_id, result),) = await eventually(lambda: results(client))
        assert (task_id, result.status, result.data) == ("m1", Status.SUCCESS, {"step-1": {"doubled": 4}})
        past = await client.names.bus.history(subjects.EVENTS, "agents.wf-123.events")
        events = [read_event(one.message.payload) for one in past]
        (done,) = [one for one in events if one.kind == "workflow_step_completed"]
        assert done.task == "m1"
        assert done.data["workflow_id"] == "wf-123"
        assert (done.data["step_id"], done.data["status"]) == ("step-1", "success")
        assert done.data["output"] == {"doubled": 4}
        assert (await client.workflows.state("wf-123", "m1")).started.trigger == "manual"


@pytest.mark.parametrize("subject", ["orchestrator.inbox", "agents.wf-123.inbox"])
async def test_a_repetition_long_after_the_servers_window_starts_no_second_run(subject):
    now = [0.0]
    world = MemoryWorld()
    world.hub = MemoryHub(clock=lambda: now[0])
    async with in_memory(app(), world) as client:
        for at in (0.0, 1.0, 10_000.0, 20_000.0):
            now[0] = at
            await client.names.bus.publish(subject, queued(n=2), {"Nats-Msg-Id": "m1"})
            await eventually(lambda: results(client))
        await client.names.bus.publish(subject, queued(n=3), {"Nats-Msg-Id": "m2"})

        async def both() -> bool:
            return {task_id for task_id, _ in await results(client)} == {"m1", "m2"}

        await eventually(both)
        assert Work.done == [{"n": 2}, {"n": 3}]
    async with in_memory(app(), world) as client:  # another owner, which remembers nothing
        now[0] += 10_000.0
        await client.names.bus.publish(subject, queued(n=2), {"Nats-Msg-Id": "m1"})
        await client.names.bus.publish(subject, queued(n=4), {"Nats-Msg-Id": "m3"})
        await eventually(lambda: Work.done)
        assert Work.done == [{"n": 4}]


@pytest.mark.parametrize(
    ("body", "reason", "told"),
    [
        (queued("nowhere"), "unknown_agent", "there is no agent 'nowhere'"),
        (queued("work"), "bad_message", "agent 'work' is no workflow"),
        (queued(""), "bad_message", "names no workflow"),
        (queued("No Name"), "bad_message", "no workflow can be called so"),
        (queued("wf-123", wrong=1), "bad_task", "inputs.wrong: there is no such input"),
    ],
)
async def test_what_can_start_no_run_is_a_dead_letter_with_the_reason(body, reason, told):
    async with in_memory(app()) as client:
        await eventually(lambda: knows(client, body))
        letters = await client.dead_letters.list()
        assert {letter.reason for letter in letters} == {reason}
        assert told in letters[0].error


async def knows(client: Client, body: bytes) -> bool:
    await client.names.bus.publish("orchestrator.inbox", body)
    return bool(await client.dead_letters.list())


async def test_a_step_without_an_answer_ends_at_its_timeout():
    async with in_memory(app(action="hang", timeout=0.2)) as client:
        await client.names.bus.publish("agents.wf-123.inbox", queued(n=2), {"Nats-Msg-Id": "m1"})
        ((_, result),) = await eventually(lambda: results(client))
        assert result.failure.code == "deadline_exceeded"


def test_another_tenants_workflow_is_not_started_from_the_orchestrator():
    routes = Routes()
    ours = workflow_part(flow())
    routes.learn([ours, msgspec.structs.replace(ours, tenant="ann")])
    task = Task(action="execute_workflow", spec={"workflow_id": "wf-123", "tenant_id": "ann"})
    with pytest.raises(BadMessage, match=r"use tenants.ann.agents.wf-123.inbox"):
        routes.route(task)
    shared = msgspec.structs.replace(task, spec={"workflow_id": "wf-123", "tenant_id": "bob"})
    assert routes.route(shared) == "wf-123"


def test_agents_of_a_skill_take_turns():
    routes = Routes()
    able = [msgspec.structs.replace(Work.named(name), skills=("sum",)) for name in ("a", "b")]
    routes.learn(able)
    assert [routes.route(Task(action="sum")) for _ in range(3)] == ["a", "b", "a"]
    assert routes.route(Task(action="other")) is None
