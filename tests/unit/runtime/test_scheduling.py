"""Schedules in one process: they fire through the worker that owns their agent."""

import asyncio
import time
from datetime import UTC, datetime

from actorium import App, Client, Task
from actorium.actors.models.scripted import in_order, say
from actorium.actors.runs.config import Agent
from actorium.actors.schedules.schedule import At, Order, Schedule
from actorium.actors.schedules.schedules import Schedules
from actorium.bus import subjects
from actorium.runtime.memory import MemoryWorld, in_memory
from eventually import eventually

greet = in_order(say("hello"))


async def results(client: Client, agent: str) -> list[str]:
    """Task ids of everything in an agent's outbox."""
    stored = await client.names.bus.history(
        subjects.OUTBOX, subjects.public("default", agent, "outbox"), after=0, limit=100
    )
    return [(past.message.headers or {}).get("Task-Id", "") for past in stored]


async def test_a_schedule_fires_once_and_its_task_becomes_a_run():
    world = MemoryWorld()
    async with in_memory(App(Agent("greeter", model=f"scripted:{__name__}:greet")), world) as client:
        now, greeting = datetime.now(UTC), Order(task=Task(spec="greet"))
        soon = datetime.fromtimestamp(time.time() + 0.2, UTC)
        await Schedules(world.state).add(
            Schedule(name="soon", agent="greeter", when=At(moment=soon), what=greeting, created=now)
        )
        await client.names.bus.publish(subjects.CHANGED, b"")

        async def done() -> bool:
            return len(await results(client, "greeter")) == 1

        await eventually(done)
        await asyncio.sleep(0.3)  # the time that a second firing would need; nothing to wait for
        (task_id,) = await results(client, "greeter")
        assert task_id.startswith("soon/")
