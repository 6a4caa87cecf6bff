"""Triggers: an event starts one run however many workers listen, and what cannot start one is not lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest

from actorium import Actor, App, Client, Context, Task, Workflow, workflow
from actorium.actors.schedules.schedule import task_id, task_of
from actorium.actors.schedules.schedules import Schedules
from actorium.actors.workflows.listening import may_listen
from actorium.bus.errors import BadMessage, NoOwner
from actorium.bus.port import Message
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.runtime.triggers.occasion import task_id_of, timely, what_came
from actorium.runtime.triggers.triggers import Triggers
from eventually import eventually

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = datetime.now(UTC).replace(microsecond=0)  # the worker's own scheduler owes nothing before it


class Notes(Actor):
    """Keeps what steps give it."""

    taken: ClassVar[list[Any]] = []

    async def receive(self, message: Task, ctx: Context) -> Any:
        self.taken.append(message.inputs)
        return message.inputs


def flow(*triggers: dict[str, Any], name: str = "note") -> Workflow:
    """Notes the number that it is given."""
    draft = workflow(name, triggers=triggers)
    draft.step("note", agent="notes", inputs={"n": draft.input("n", default=0)})
    return draft.build()


@asynccontextmanager
async def listening(
    *flows: Workflow, workers: int = 1, now: datetime = NOW, world: MemoryWorld | None = None
) -> AsyncIterator[tuple[Client, MemoryWorld]]:
    """An app with these workflows, and the triggers of so many workers, which own every partition."""
    Notes.taken = []
    world = world or MemoryWorld()
    async with in_memory(App(Notes.named("notes"), *flows), world) as client:
        parts: dict[int, Any] = dict.fromkeys(range(client.names.partitions))
        triggers = [
            Triggers(world.connect(), parts, client.courier, wall=now.timestamp) for _ in range(workers)
        ]
        async with asyncio.TaskGroup() as tasks:
            for one in triggers:
                await one.look(tasks)
            yield client, world
            for one in triggers:
                await one.close()


async def taken(count: int) -> list[Any]:
    """What was noted, once it is so much."""
    await eventually(lambda: len(Notes.taken) >= count)
    return Notes.taken


async def over(client: Client) -> None:
    """Wait until no run is live."""

    async def none() -> bool:
        return not await client.workflows.live()

    await eventually(none)


EVENT = {"type": "event", "subject": "orders.*"}


async def test_one_of_several_workers_starts_the_run_of_an_event():
    async with listening(flow(EVENT), workers=3) as (client, world):
        for n in range(5):
            await world.connect().bus.publish(f"orders.{n}", b'{"n": %d}' % n)
        assert sorted(note["n"] for note in await taken(5)) == [0, 1, 2, 3, 4]
        await over(client)
        assert len(await client.workflows.ended()) == 5


async def test_inputs_say_what_of_an_event_a_run_is_given():
    told = EVENT | {"inputs": {"n": "${trigger.order.number}"}}
    async with listening(flow(told)) as (_, world):
        await world.connect().bus.publish("orders.new", b'{"order": {"number": 7}}')
        assert await taken(1) == [{"n": 7}]


async def test_the_same_message_id_starts_one_run_that_is_found_by_it():
    async with listening(flow(EVENT)) as (client, world):
        for _ in range(2):
            await world.connect().bus.publish("orders.new", b'{"n": 1}', {"Nats-Msg-Id": "order-1"})
        await world.connect().bus.publish("orders.new", b'{"n": 2}')
        await taken(2)
        assert (await client.show("note", "order-1"))["workflow"] == "note"
        await over(client)
        assert sorted(note["n"] for note in Notes.taken) == [1, 2]


async def test_an_event_that_can_start_nothing_is_a_dead_letter_with_the_reason():
    told = EVENT | {"inputs": {"n": "${trigger.number}"}}
    async with listening(flow(told)) as (client, world):
        await world.connect().bus.publish("orders.new", b'{"order": 1}')
        (letter,) = await eventually(lambda: client.dead_letters.list(agent="note"))
        assert letter.reason == "expression_error"
        assert "there is no 'number'" in letter.error
        assert letter.preview == '{"order": 1}'


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"\xff", {}, "bad_message"),
        (b"", {"Actorium-Blob": "../x"}, "bad_message"),
        (b"[1]", {}, "bad_task"),
        (b'{"n": {}, "m": 1}', {}, "bad_task"),
    ],
)
async def test_what_strangers_publish_starts_nothing_and_stops_nobody(body, headers, reason):
    async with listening(flow(EVENT)) as (client, world):
        await world.connect().bus.publish("orders.bad", body, headers)
        (letter,) = await eventually(lambda: client.dead_letters.list(agent="note"))
        assert letter.reason == reason
        await world.connect().bus.publish("orders.good", b'{"n": 1}')
        assert await taken(1) == [{"n": 1}]


async def test_a_trigger_that_is_changed_listens_to_its_new_subject_only():
    async with listening(flow(EVENT)) as (client, world):
        parts: dict[int, Any] = dict.fromkeys(range(client.names.partitions))
        triggers = Triggers(world.connect(), parts, client.courier)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(triggers.run())
            await client.deploy(flow({"type": "event", "subject": "parcels.>"}))

            async def heard() -> bool:
                await world.connect().bus.publish("parcels.a.b", b'{"n": 3}')
                return {"n": 3} in Notes.taken

            await eventually(heard)
            await triggers.close()
            running.cancel()


@pytest.mark.parametrize(
    ("tenant", "subject", "may"),
    [
        ("default", "orders.new", True),
        ("default", "agents.other.outbox", True),
        ("default", "agents.note.outbox", False),
        ("default", "led.3.default.note", False),
        ("default", "$JS.API.INFO", False),
        ("default", "_INBOX.x", False),
        ("ann", "orders.new", False),
        ("ann", "tenants.ann.orders", True),
        ("ann", "tenants.bob.orders", False),
        ("ann", "tenants.ann.agents.note.events", False),
    ],
)
def test_nothing_of_its_own_and_nothing_of_other_tenants_starts_a_workflow(
    tenant: str, subject: str, may: bool
):
    assert may_listen(tenant, "note", subject) is may


def test_a_message_that_a_stream_publishes_again_has_the_id_of_its_place():
    first, again, other = (
        task_id_of(Message("s", b"", {"Nats-Stream": "ORDERS", "Nats-Sequence": seq}))
        for seq in ("7", "7", "8")
    )
    assert first == again != other
    assert task_id_of(Message("s", b"", {"Nats-Msg-Id": "no id: ü"})).startswith("event-")
    assert task_id_of(Message("s", b"")) == ""


def test_what_came_is_json_or_text_and_never_too_deep():
    assert what_came(b'{"a": [1]}') == {"a": [1]}
    assert what_came(b"hello") == "hello"
    assert what_came(b"") is None
    for bad in (b"\xff\xfe", b"[" * 100 + b"]" * 100):
        with pytest.raises(BadMessage):
            what_came(bad)


CLOCK = {"type": "schedule", "cron": "0 9 * * 1", "timezone": "Europe/Zurich"}


async def test_a_schedule_trigger_is_a_schedule_and_a_pause_by_hand_stays():
    world = MemoryWorld()
    async with listening(flow(CLOCK | {"inputs": {"n": 4}}), world=world) as (_, world):
        (seen,) = await Schedules(world.state).all()
        assert (seen.schedule.agent, seen.schedule.created) == ("note", NOW)
        await Schedules(world.state).change(
            seen, lambda schedule: msgspec.structs.replace(schedule, enabled=False)
        )
    async with listening(flow(CLOCK | {"inputs": {"n": 4}}), world=world):
        assert [seen.schedule.enabled for seen in await Schedules(world.state).all()] == [False]
    later = NOW + timedelta(days=1)
    async with listening(flow(CLOCK | {"cron": "0 10 * * 1"}), world=world, now=later):
        (seen,) = await Schedules(world.state).all()
        assert (seen.schedule.when.expression, seen.schedule.since) == ("0 10 * * 1", later)
    async with listening(flow(), world=world):
        assert await Schedules(world.state).all() == []


async def test_the_task_of_a_schedule_starts_a_run_with_the_moment_it_fired_for():
    async with listening(flow(CLOCK | {"inputs": {"n": "at ${trigger}"}})) as (client, world):
        (seen,) = await Schedules(world.state).all()
        run_id = task_id(seen.schedule, NOON)
        task = timely(task_of(seen.schedule), run_id)
        await client.tell("note", task, task_id=run_id)
        assert await taken(1) == [{"n": "at 2026-06-01T12:00:00Z"}]
        assert (await client.workflows.state("note", run_id)).started.trigger == "schedule"


async def test_a_schedule_of_somebody_elses_is_left_alone():
    plain = Task(action="execute_workflow", spec={"workflow_id": "note"}, inputs={"n": "${x}"})
    assert timely(plain, "by/2026-06-01T12:00:00Z") is plain


HOOK = {"type": "webhook", "path": "hook", "inputs": {"n": "${trigger.n}"}}


async def asked(world: MemoryWorld, subject: str, body: bytes, **headers: str) -> Any:
    """What a request to a webhook is answered."""
    reply = await world.connect().bus.request(subject, body, headers, timeout=5)
    return msgspec.json.decode(reply.payload)


async def test_a_request_to_a_webhook_is_answered_with_the_run_that_it_started_once():
    async with listening(flow(HOOK), workers=2) as (client, world):
        answers = [await asked(world, "webhooks.hook", b'{"n": 5}', **{"Nats-Msg-Id": "r1"}) for _ in "ab"]
        assert answers == [{"run": "note/r1", "workflow": "note", "task_id": "r1"}] * 2
        assert await taken(1) == [{"n": 5}]
        await over(client)
        assert (await client.workflows.state("note", "r1")).started.trigger == "webhook"
        assert Notes.taken == [{"n": 5}]


async def test_a_webhook_without_a_path_has_the_name_of_its_workflow():
    async with listening(flow({"type": "webhook"})) as (_, world):
        assert (await asked(world, "webhooks.note", b'{"n": 5}'))["workflow"] == "note"


@pytest.mark.parametrize(("body", "code"), [(b'{"m": 5}', "expression_error"), (b"\xff", "bad_message")])
async def test_a_request_that_can_start_nothing_is_answered_with_the_reason(body, code):
    async with listening(flow(HOOK)) as (client, world):
        answer = await asked(world, "webhooks.hook", body)
        assert answer.get("error", {}).get("code", "") == code
        assert await client.dead_letters.list(agent="note") == []


async def test_a_request_whose_inputs_do_not_fit_is_answered_with_what_does_not():
    async with listening(flow({"type": "webhook"})) as (_, world):
        error = (await asked(world, "webhooks.note", b'{"m": 1}'))["error"]
        assert (error["code"], "inputs.m: there is no such input" in error["message"]) == ("bad_task", True)


async def test_what_is_only_published_to_a_webhook_and_starts_nothing_is_a_dead_letter():
    async with listening(flow(HOOK)) as (client, world):
        await world.connect().bus.publish("webhooks.hook", b'{"m": 5}')
        (letter,) = await eventually(lambda: client.dead_letters.list(agent="note"))
        assert letter.reason == "expression_error"


@pytest.mark.parametrize("told", [{**HOOK, "enabled": False}, {**HOOK, "path": "other"}])
async def test_nobody_answers_at_a_webhook_that_is_not_there(told):
    async with listening(flow(told)) as (_, world):
        with pytest.raises(NoOwner):
            await asked(world, "webhooks.hook", b'{"n": 5}')
