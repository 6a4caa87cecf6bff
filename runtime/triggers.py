"""Triggers: what starts the workflows of a namespace beside their names, as far as one worker sees to it.

Every worker listens for events, and one of them takes each; the schedules of a workflow are kept as its file
says by the owner of its partition, and fired by `scheduling.py`. Not responsible for what starts a run in the
end: that is a task like any other. Invariant: what came in and starts nothing is a dead letter.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from ..actors.definition import Definition
from ..actors.errors import UnknownAgent
from ..bus import subjects
from ..bus.claim import check_out
from ..bus.dead_letters import DeadLetters
from ..bus.envelope import BLOB, MSG_ID, TRACEPARENT, Envelope, read_envelope
from ..bus.errors import ActoriumError, ConfigError
from ..bus.port import Message, Subscription
from .courier import BusCourier
from .namespace import Namespace
from .partition import PartitionHost
from .workflow_parts import is_workflow

if TYPE_CHECKING:  # imported where the first workflow is met: a worker without any does not pay for them
    from ..actors.workflows.definition import Workflow
    from ..actors.workflows.trigger import AnyTrigger, Published

log = logging.getLogger("actorium.triggers")
LOOK = 30.0  # seconds until a deploy that nobody told of is seen
REST = 1.0  # seconds between two looks at least, however many changes are told
AT_ONCE = 64  # events whose runs are being stored


class Place(msgspec.Struct, frozen=True):
    """A trigger of a workflow: whose, and which of all its triggers, from 0."""

    tenant: str
    workflow: str
    number: int


class Begun(msgspec.Struct, frozen=True):
    """A run that was started."""

    workflow: str
    run_id: str


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
        self._events: dict[Place, tuple[Published, Subscription]] = {}
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
        """Listen for the events, and keep the schedules, of all workflows as they are now.

        Args:
            tasks: Owns what events start.

        Raises:
            StorageError, BusError: Not all was seen; look again.
        """
        found = [one for one in await self._names.registry.all() if is_workflow(one)]
        there = [(one, workflow) for one in found if (workflow := _workflow(one)) is not None]
        await self._listen(dict(_published(there)), tasks)
        mine = [(one, workflow) for one, workflow in there if self._is_mine(one)]
        if mine:
            await self._keep_schedules(mine)

    async def close(self) -> None:
        """Take no more events; runs of those that came are stored first."""
        self._closed = True
        for place in list(self._events):
            await self._events.pop(place)[1].close()
        if self._starting:
            await asyncio.wait(self._starting)

    async def _listen(self, wanted: "dict[Place, Published]", tasks: asyncio.TaskGroup) -> None:
        for place, (which, subscription) in list(self._events.items()):
            if wanted.get(place) != which:
                del self._events[place]
                await subscription.close()
        for place in wanted.keys() - self._events.keys():
            if not self._closed:
                self._events[place] = wanted[place], await self._subscribe(place, wanted[place], tasks)

    async def _subscribe(self, place: Place, which: "Published", tasks: asyncio.TaskGroup) -> Subscription:
        from .occasion import may_listen

        def came(message: Message) -> None:
            if may_listen(place.tenant, place.workflow, message.subject):
                started = tasks.create_task(self._start(place, which, message))
                self._starting.add(started)
                started.add_done_callback(self._starting.discard)

        queue = f"trigger-{place.tenant}-{place.workflow}-{place.number}"
        return await self._names.bus.subscribe(which.subject, came, queue=queue)

    async def _start(self, place: Place, which: "Published", message: Message) -> None:
        """Start the run of an event; where it cannot be, keep the event with the reason."""
        from .occasion import task_for, task_id_of, what_came

        run_id = task_id_of(message) or f"event-{secrets.token_hex(12)}"
        async with self._slots:
            try:
                headers = message.headers or {}
                blob = read_envelope({BLOB: headers.get(BLOB, "")}, 0.0).blob
                body = await check_out(self._names.blobs, message.payload, blob)
                task = task_for(place.workflow, which, what_came(body), tenant=place.tenant)
                sent = Envelope(task_id=run_id, traceparent=headers.get(TRACEPARENT, ""))
                await self._courier.of(place.tenant).tell(place.workflow, task, sent)
            except ActoriumError as error:
                await self._bury(place, message, run_id, error)

    async def _bury(self, place: Place, message: Message, run_id: str, error: ActoriumError) -> None:
        part = subjects.partition(place.tenant, place.workflow, self._names.partitions)
        told = f"trigger {place.number} on {message.subject}: {error.message}"
        fields = {"workflow": place.workflow, "code": error.code, "error": told}
        log.warning("trigger.not_started", extra={"fields": fields})
        try:
            await DeadLetters(self._names.bus).put(
                part,
                place.tenant,
                place.workflow,
                message,
                reason=error.code,
                error=told,
                msg_id=f"dlq:trigger:{place.tenant}.{place.workflow}:{run_id}",
                origin=message.subject,
            )
        except ActoriumError as lost:
            log.error("trigger.lost", extra={"fields": {**fields, "error": lost.message}})  # noqa: TRY400

    async def _keep_schedules(self, mine: "list[tuple[Definition, Workflow]]") -> None:
        from ..actors.schedules.schedules import Schedules
        from .trigger_schedules import keep_schedules

        now = datetime.fromtimestamp(self._wall(), UTC)
        if await keep_schedules(Schedules(self._names.state), mine, now):
            await self._names.bus.publish(subjects.CHANGED, b"")  # whoever fires them looks now

    def _is_mine(self, definition: Definition) -> bool:
        part = subjects.partition(definition.tenant, definition.name, self._names.partitions)
        return part in self._hosts


async def start_from_webhook(
    names: Namespace,
    courier: BusCourier,
    path: str,
    body: bytes,
    *,
    request_id: str = "",
    tenant: str = subjects.DEFAULT_TENANT,
) -> Begun:
    """Start the workflow whose webhook trigger has a path, with a request's body as what came in.

    Delivery: stored when this returns, effectively once by `request_id`.

    Args:
        courier: Of the same tenant.
        path: The last part of the request's address.
        request_id: What makes a repetition the same request; empty: there is no such thing.

    Raises:
        UnknownAgent: No workflow has such a trigger, or it is not enabled.
        BadMessage, ExpressionError: The body is none that it can be started with.
        MailboxFull, BusLost: As `BusCourier.tell`.
    """
    from ..actors.workflows.trigger import Webhook
    from .occasion import task_for, task_id_of, what_came

    for definition in await names.registry.all(tenant):
        workflow = _workflow(definition) if is_workflow(definition) else None
        for _, which in _enabled(workflow) if workflow else ():
            if isinstance(which, Webhook) and (which.path or definition.name) == path:
                task = task_for(definition.name, which, what_came(body), tenant=tenant)
                run_id = task_id_of(Message("", b"", {MSG_ID: request_id})) or secrets.token_hex(12)
                await courier.tell(definition.name, task, Envelope(task_id=run_id))
                return Begun(definition.name, run_id)
    raise UnknownAgent(f"no workflow has a webhook trigger with path {path!r}", agent=path)


def _published(there: "list[tuple[Definition, Workflow]]") -> "Iterator[tuple[Place, Published]]":
    if not there:
        return
    from ..actors.workflows.trigger import Published

    for definition, workflow in there:
        for number, which in _enabled(workflow):
            if isinstance(which, Published) and not definition.stopped:
                yield Place(definition.tenant, definition.name, number), which


def _enabled(workflow: "Workflow") -> "Iterator[tuple[int, AnyTrigger]]":
    return ((number, which) for number, which in enumerate(workflow.triggers) if which.enabled)


def _workflow(definition: Definition) -> "Workflow | None":
    """None where it does not read: whoever starts it is told."""
    from ..actors.workflows.runner import workflow_of

    with suppress(ConfigError):
        return workflow_of(definition)
    return None
