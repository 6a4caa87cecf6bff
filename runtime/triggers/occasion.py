"""Occasion: what came in for a trigger of a workflow, and the task that follows from it.

Pure. Not responsible for listening: see `triggers.py`. Invariant: the same occasion makes the same task under
the same id, so one that is met twice starts one run.
"""

import re
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from ...actors.schedules.schedule import Cron, Order, Schedule
from ...actors.workflows import trigger
from ...actors.workflows.expressions.template import resolve, texts
from ...actors.workflows.trigger import Trigger
from ...bus.codec import check_size, too_deep
from ...bus.envelope import MSG_ID, TASK_ID
from ...bus.errors import BadMessage
from ...bus.port import Message
from ...bus.subjects import DEFAULT_TENANT
from ...bus.task import Task
from ...bus.value import Json, JsonObject
from ..workflow_parts import EXECUTE

STREAM, SEQUENCE = "Nats-Stream", "Nats-Sequence"  # headers of what a stream publishes again
UNREAD: Final = "templates"  # in the spec of a schedule's task: its inputs refer to the moment
_ID: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}\Z")
_NAME: Final = 63  # characters of a schedule's name


def what_came(payload: bytes) -> Json:
    """The body of an event or a request: JSON where it is, else its text.

    Raises:
        BadMessage: It is too large, too deep, or neither.
    """
    check_size(payload)
    if not payload:
        return None
    try:
        if too_deep(payload):
            raise BadMessage("the message nests deeper than a message may")
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise BadMessage(f"the message is neither JSON nor UTF-8 text: {error.reason}") from error


def task_for(workflow: str, which: Trigger, came: Json, *, tenant: str = DEFAULT_TENANT) -> Task:
    """The task that starts a run because of what came in.

    Raises:
        ExpressionError: The trigger's inputs refer to what did not come.
    """
    inputs = resolve(which.inputs, {"trigger": came}, "triggers.inputs") if which.inputs else came
    spec = {"workflow_id": workflow, "tenant_id": tenant, "trigger": _kind(which)}
    return Task(action=EXECUTE, spec=spec, inputs={} if inputs is None else inputs)


def task_id_of(message: Message) -> str:
    """The id of the run that a message starts: its own, or its place in a stream; empty: it has neither."""
    headers = message.headers or {}
    own = headers.get(MSG_ID) or headers.get(TASK_ID, "")
    if own:
        return own if _ID.match(own) else f"event-{_hash(own)}"
    stream, seq = headers.get(STREAM, ""), headers.get(SEQUENCE, "")
    return f"event-{_hash(f'{stream}/{seq}')}" if stream and seq else ""


def webhook_subject(tenant: str, path: str) -> str:
    """Where the requests to a webhook are published: `webhooks.<path>`."""
    prefix = "" if tenant == DEFAULT_TENANT else f"tenants.{tenant}."
    return f"{prefix}webhooks.{path}"


def schedule_for(
    workflow: str, number: int, which: "trigger.Schedule", now: datetime, *, tenant: str = DEFAULT_TENANT
) -> Schedule:
    """The schedule that starts a workflow for one of its triggers.

    Args:
        number: The trigger's place among all of the workflow, from 0.
        now: Times before it are not owed.
    """
    spec: JsonObject = {"workflow_id": workflow, "tenant_id": tenant, "trigger": _kind(which)}
    if any("$" in text for _, text in texts(which.inputs)):
        spec[UNREAD] = True
    return Schedule(
        name=schedule_name(workflow, number),
        agent=workflow,
        tenant=tenant,
        when=Cron(expression=which.cron, timezone=which.timezone),
        what=Order(task=Task(action=EXECUTE, spec=spec, inputs=which.inputs)),
        created=now,
    )


def schedule_name(workflow: str, number: int) -> str:
    """The name of the schedule of a workflow's trigger; that of a long one keeps its beginning."""
    name = f"{workflow}-trigger-{number}"
    return name if len(name) <= _NAME else f"{workflow[:30]}-{_hash(workflow)[:8]}-trigger-{number}"


def is_trigger_of(schedule: Schedule, workflow: str) -> bool:
    """Whether a schedule was made for a trigger of a workflow."""
    match schedule.what:
        case Order(task=Task(action=action, spec=dict(spec))) if action == EXECUTE:
            mine = schedule.name.startswith(schedule_name(workflow, 0)[:-1])
            return mine and spec.get("workflow_id") == workflow and spec.get("trigger") == "schedule"
        case _:
            return False


def timely(task: Task, task_id: str) -> Task:
    """A schedule's task as its agent gets it: what refers to the moment it fired for is that moment.

    Args:
        task_id: `<schedule>/<moment>`.

    Raises:
        ExpressionError: Something in it cannot be read.
    """
    spec = task.spec
    if task.action != EXECUTE or not isinstance(spec, dict) or UNREAD not in spec:
        return task
    read = {name: told for name, told in spec.items() if name != UNREAD}
    scope = {"trigger": task_id.rpartition("/")[2].removeprefix("by-hand-")}
    return msgspec.structs.replace(task, spec=read, inputs=resolve(task.inputs, scope, "triggers.inputs"))


def _kind(which: Trigger) -> str:
    """What it is called in a workflow's file."""
    return str(which.__struct_config__.tag)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:24]
