"""A process whose scheduler believes to own every schedule; to be killed. Its argument is a NATS url."""

import asyncio
import sys

from actorium.actors.schedules.schedule import Schedule
from actorium.actors.schedules.scheduler import Scheduler
from actorium.actors.schedules.schedules import Schedules
from actorium.bus.envelope import Envelope
from actorium.bus.task import Task
from actorium.runtime.client import Client


async def main(url: str) -> None:
    async with Client(url) as client:

        async def tell(schedule: Schedule, task: Task, task_id: str) -> None:
            courier = client.courier.of(schedule.tenant)
            await courier.tell(schedule.agent, task, Envelope(task_id=task_id))

        changed = asyncio.Event()
        scheduler = Scheduler(Schedules(client.names.state), tell, mine=lambda _: True, changed=changed)
        await scheduler.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
