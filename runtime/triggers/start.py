"""TriggerStart: starts the run of one message that came in for a trigger.

Not responsible for listening: see `triggers.py`. Invariant: what came in and starts nothing is a dead letter,
or is told to whoever waits for an answer.
"""

import logging
import secrets
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from ...actors.card import run_name
from ...actors.errors import BadTask
from ...bus import subjects
from ...bus.claim import check_out
from ...bus.dead_letters import DeadLetters
from ...bus.envelope import BLOB, TRACEPARENT, Envelope, may_answer, read_envelope
from ...bus.errors import ActoriumError
from ...bus.port import Message
from ..courier import BusCourier
from ..namespace import Namespace

if TYPE_CHECKING:  # imported where the first workflow is met: a worker without any does not pay for them
    from ...actors.workflows.definition import Workflow
    from ...actors.workflows.trigger import Published, Webhook
    from ...bus.task import Task

log = logging.getLogger("actorium.triggers")


class Place(msgspec.Struct, frozen=True):
    """A trigger of a workflow: whose, and which of all its triggers, from 0."""

    tenant: str
    workflow: str
    number: int


class Heard(msgspec.Struct, frozen=True):
    """A trigger that listens to a subject, and the workflow that it starts."""

    place: Place
    which: "Published | Webhook"
    workflow: "Workflow"
    subject: str


class Begun(msgspec.Struct, frozen=True):
    """What a request is answered with: its run is stored, and goes on over any death."""

    run: str
    workflow: str
    task_id: str


Answer: TypeAlias = Begun | ActoriumError


class TriggerStart:
    """Starts runs.

    Args:
        names: The namespace.
        courier: Tells the workflows.
    """

    def __init__(self, names: Namespace, courier: BusCourier) -> None:
        self._names = names
        self._courier = courier

    async def start(self, heard: Heard, message: Message) -> None:
        """Start the run of a message, and answer where somebody waits for it.

        Delivery: stored when it is answered; effectively once by the message's id.
        """
        from ...actors.workflows.trigger import Webhook
        from .occasion import task_id_of

        answers = isinstance(heard.which, Webhook) and may_answer(message.reply)
        run_id = task_id_of(message) or f"{_kind(heard)}-{secrets.token_hex(12)}"
        try:
            answer: Answer = await self._begin(heard, message, run_id)
        except ActoriumError as error:
            answer = error
        if answers:
            await self._names.bus.publish(message.reply, _packed(answer))
        elif isinstance(answer, ActoriumError):
            await self._bury(heard.place, message, run_id, answer)

    async def _begin(self, heard: Heard, message: Message, run_id: str) -> Begun:
        place, headers = heard.place, message.headers or {}
        task = await self._task(heard, message)
        sent = Envelope(task_id=run_id, traceparent=headers.get(TRACEPARENT, ""))
        await self._courier.of(place.tenant).tell(place.workflow, task, sent)
        return Begun(run=run_name(place.workflow, run_id), workflow=place.workflow, task_id=run_id)

    async def _task(self, heard: Heard, message: Message) -> "Task":
        """The task that starts the run. Raises ActoriumError: the workflow cannot be given what came."""
        from ...actors.workflows.inputs import take_inputs
        from ...actors.workflows.problem import InvalidWorkflow
        from ...actors.workflows.runner import inputs_of
        from .occasion import task_for, what_came

        blob = read_envelope({BLOB: (message.headers or {}).get(BLOB, "")}, 0.0).blob
        body = await check_out(self._names.blobs, message.payload, blob)
        task = task_for(heard.place.workflow, heard.which, what_came(body), tenant=heard.place.tenant)
        try:
            take_inputs(heard.workflow, inputs_of(task))
        except InvalidWorkflow as error:
            raise BadTask(error.message, **error.fields) from error
        return task

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


def _kind(heard: Heard) -> str:
    """What it is called in a workflow's file."""
    return str(heard.which.__struct_config__.tag)


def _packed(answer: Answer) -> bytes:
    told = {"error": answer.failure()} if isinstance(answer, ActoriumError) else answer
    return msgspec.json.encode(told)
