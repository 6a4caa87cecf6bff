"""Scheduling: the schedules of the agents of one worker fire here.

Not responsible for firing each time once: see `actors/schedules/firing.py`. Invariant: a schedule belongs to
whoever owns the partition of its agent, and while we do not surely own it we leave it alone.
"""

import asyncio
from collections.abc import Callable, Mapping

from ...actors.schedules.schedule import Schedule
from ...actors.schedules.scheduler import Scheduler
from ...actors.schedules.schedules import Schedules
from ...bus import subjects
from ...bus.envelope import Envelope
from ...bus.task import Task
from ..courier import BusCourier
from ..namespace import Namespace
from ..partition import PartitionHost
from .occasion import timely


class Scheduling:
    """Runs the scheduler of one worker.

    Args:
        names: The namespace.
        hosts: The partitions this worker owns, by number.
        courier: Tells the agents.
        owned: Whether this worker's session is certainly alive, by its own clock.
    """

    def __init__(
        self,
        names: Namespace,
        hosts: Mapping[int, PartitionHost],
        courier: BusCourier,
        owned: Callable[[], bool],
    ) -> None:
        self._names = names
        self._hosts = hosts
        self._courier = courier
        self._owned = owned
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        await self._names.bus.subscribe(subjects.CHANGED, lambda _: self._changed.set())
        schedules = Schedules(self._names.state)
        await Scheduler(schedules, self._tell, mine=self._mine, changed=self._changed).run()

    def _mine(self, schedule: Schedule) -> bool:
        part = subjects.partition(schedule.tenant, schedule.agent, self._names.partitions)
        return part in self._hosts and self._owned()

    async def _tell(self, schedule: Schedule, task: Task, task_id: str) -> None:
        envelope = Envelope(task_id=task_id)
        await self._courier.of(schedule.tenant).tell(schedule.agent, timely(task, task_id), envelope)
