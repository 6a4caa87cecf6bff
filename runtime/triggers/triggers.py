"""Triggers: what starts the workflows of a namespace beside their names, as far as one worker sees to it.

Every worker listens for events and webhooks, and one of them takes each; the schedules of a workflow are kept
as its file says by the owner of its partition, and fired by `scheduling.py`. Not responsible for what becomes
of a message: see `start.py`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...actors.definition import Definition
from ...bus import subjects
from ...bus.errors import ActoriumError, ConfigError
from ...bus.port import Message, Subscription
from ..courier import BusCourier
from ..namespace import Namespace
from ..partition import PartitionHost
from ..workflow_parts import is_workflow
from .start import Heard, Place, TriggerStart

if TYPE_CHECKING:  # imported where the first workflow is met: a worker without any does not pay for them
    from ...actors.workflows.definition import Workflow
    from ...actors.workflows.trigger import AnyTrigger

LOOK = 30.0  # seconds until a deploy that nobody told of is seen
REST = 1.0  # seconds between two looks at least, however many changes are told
AT_ONCE = 64  # events whose runs are being stored


class Triggers:
    """The triggers of one worker.

    Args:
        names: The namespace.
        hosts: The partitions this worker owns, by number.
        courier: Tells the workflows.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        names: Namespace,
        hosts: Mapping[int, PartitionHost],
        courier: BusCourier,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._names = names
        self._hosts = hosts
        self._courier = courier
        self._wall = wall
        self._changed = asyncio.Event()
        self._start = TriggerStart(names, courier)
        self._heard: dict[Place, tuple[Heard, Subscription]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def run(self) -> None:
        """Until cancelled."""
        await self._names.bus.subscribe(subjects.CHANGED, lambda _: self._changed.set())
        async with asyncio.TaskGroup() as tasks:
            while not self._closed:
                self._changed.clear()
                with suppress(ActoriumError):  # seen at the next look
                    await self.look(tasks)
                await asyncio.sleep(REST)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._changed.wait()

    async def look(self, tasks: asyncio.TaskGroup) -> None:
        """Listen for events and webhooks, and keep the schedules, of all workflows as they are now.

        Args:
            tasks: Owns what events start.

        Raises:
            StorageError, BusError: Not all was seen; look again.
        """
        found = [one for one in await self._names.registry.all() if is_workflow(one)]
        there = [(one, workflow) for one in found if (workflow := _workflow(one)) is not None]
        await self._listen({heard.place: heard for heard in _heard(there)}, tasks)
        mine = [(one, workflow) for one, workflow in there if self._is_mine(one)]
        if mine:
            await self._keep_schedules(mine)

    async def close(self) -> None:
        """Take no more events; runs of those that came are stored first."""
        self._closed = True
        for place in list(self._heard):
            await self._heard.pop(place)[1].close()
        if self._starting:
            await asyncio.wait(self._starting)

    async def _listen(self, wanted: "dict[Place, Heard]", tasks: asyncio.TaskGroup) -> None:
        for place, (heard, subscription) in list(self._heard.items()):
            if wanted.get(place) != heard:
                del self._heard[place]
                await subscription.close()
        for place in wanted.keys() - self._heard.keys():
            if not self._closed:
                self._heard[place] = wanted[place], await self._subscribe(wanted[place], tasks)

    async def _subscribe(self, heard: Heard, tasks: asyncio.TaskGroup) -> Subscription:
        from ...actors.workflows.listening import may_listen

        place = heard.place

        def came(message: Message) -> None:
            if may_listen(place.tenant, place.workflow, message.subject):
                started = tasks.create_task(self._begin(heard, message))
                self._starting.add(started)
                started.add_done_callback(self._starting.discard)

        queue = f"trigger-{place.tenant}-{place.workflow}-{place.number}"
        return await self._names.bus.subscribe(heard.subject, came, queue=queue)

    async def _begin(self, heard: Heard, message: Message) -> None:
        async with self._slots:
            await self._start.start(heard, message)

    async def _keep_schedules(self, mine: "list[tuple[Definition, Workflow]]") -> None:
        from ...actors.schedules.schedules import Schedules
        from .schedules import keep_schedules

        now = datetime.fromtimestamp(self._wall(), UTC)
        if await keep_schedules(Schedules(self._names.state), mine, now):
            await self._names.bus.publish(subjects.CHANGED, b"")  # whoever fires them looks now

    def _is_mine(self, definition: Definition) -> bool:
        part = subjects.partition(definition.tenant, definition.name, self._names.partitions)
        return part in self._hosts


def _heard(there: "list[tuple[Definition, Workflow]]") -> Iterator[Heard]:
    """Every trigger that a message can start, of all workflows."""
    if not there:
        return
    from ...actors.workflows.trigger import Published, Webhook
    from .occasion import webhook_subject

    for definition, workflow in there:
        tenant = definition.tenant
        for number, which in _enabled(workflow) if not definition.stopped else ():
            place = Place(tenant, definition.name, number)
            if isinstance(which, Published):
                yield Heard(place, which, workflow, which.subject)
            elif isinstance(which, Webhook):
                subject = webhook_subject(tenant, which.path or definition.name)
                yield Heard(place, which, workflow, subject)


def _enabled(workflow: "Workflow") -> "Iterator[tuple[int, AnyTrigger]]":
    return ((number, which) for number, which in enumerate(workflow.triggers) if which.enabled)


def _workflow(definition: Definition) -> "Workflow | None":
    """None where it does not read: whoever starts it is told."""
    from ...actors.workflows.runner import workflow_of

    with suppress(ConfigError):
        return workflow_of(definition)
    return None
