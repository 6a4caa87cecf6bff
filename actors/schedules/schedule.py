"""Schedule: what the clock shall have an agent do, and how far that has come.

Not responsible for when its times are (`timetable.py`) nor for which of them are due (`due.py`).
Invariant: one schedule is one value in the store. Its nominal times up to `last_run` are decided for ever;
those in `open` are promised: published, under the same task id however often, until they are settled.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from ...bus.subjects import DEFAULT_TENANT
from ...bus.task import Task
from ...bus.value import JsonObject

MOST: Final = 1000  # missed times that one catching-up may fire
LONGEST_JITTER: Final = 3600.0  # seconds
LONGEST_PERIOD: Final = 100 * 366 * 86400

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class Cron(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="cron"):
    """Times on the clock on the wall of a zone.

    Attributes:
        expression: Five fields: minute, hour, day of month, month, day of week.
        timezone: IANA name.
    """

    expression: str
    timezone: str = "UTC"


class Every(msgspec.Struct, frozen=True, kw_only=True, tag="every"):
    """Elapsed time, whatever clocks on walls do; counted from the schedule's start, else its creation."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_PERIOD)]


class At(msgspec.Struct, frozen=True, kw_only=True, tag="at"):
    """One moment."""

    moment: Moment


When: TypeAlias = Cron | Every | At


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="message"):
    """A task for the agent, as it is."""

    task: Task


class ToolOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tool_call"):
    """A call of one of the agent's tools."""

    tool: str
    arguments: JsonObject = {}


class WorkflowOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="workflow"):
    """A run of a workflow, started by the agent that carries it."""

    workflow: str
    inputs: JsonObject = {}


What: TypeAlias = Order | ToolOrder | WorkflowOrder


class Misfire(StrEnum):
    """What becomes of times that passed while nobody could fire them. Later than `grace` counts as missed."""

    SKIP = "skip"  # the newest, unless it is missed
    ONE = "one"  # the newest, however late: one stands for all
    ALL = "all"  # the newest `limit` of them, oldest first


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent's order for the clock. Moments are UTC, nominal times whole seconds.

    Attributes:
        name: Unique in its tenant.
        limit: Most that `Misfire.ALL` makes up for at once.
        grace: Seconds that a time may be late and not be missed.
        jitter: Each time is late by a fraction of so many seconds, always the same for the same time.
        starts: No time before it; `Every` counts from it.
        ends: No time after it.
        since: Times up to it are not owed: it was paused. None: `created`.
        last_run: The newest time that was fired.
        open: Fired and not yet known to be published.
        error: Why the newest one could not be published.
    """

    name: str
    agent: str
    when: When
    what: What
    created: Moment
    tenant: str = DEFAULT_TENANT
    enabled: bool = True
    misfire: Misfire = Misfire.ONE
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 100
    grace: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_JITTER)] = 0.0
    starts: Moment | None = None
    ends: Moment | None = None
    since: Moment | None = None
    last_run: Moment | None = None
    open: tuple[Moment, ...] = ()
    error: str = ""

    @property
    def decided(self) -> datetime:
        """Times up to this one are fired, skipped or not owed."""
        since = self.since or self.created
        return max(since, self.last_run) if self.last_run else since


def task_id(schedule: Schedule, nominal: datetime) -> str:
    """The id of the task of one nominal time; whoever fires it, and however often, it is this."""
    return f"{schedule.name}/{said(nominal)}"


def task_of(schedule: Schedule, nominal: datetime | None = None) -> Task:
    """What the agent is told; without a nominal time somebody starts it by hand."""
    match schedule.what:
        case Order(task=task):
            return task
        case ToolOrder(tool=tool, arguments=arguments):
            return Task(action="call_tool", spec={"tool": tool, "arguments": arguments})
        case WorkflowOrder(workflow=workflow, inputs=inputs):
            spec = {"workflow_id": workflow, "trigger": "schedule" if nominal else "manual"}
            told = {"scheduled_for": said(nominal)} if nominal else {}
            return Task(action="execute_workflow", spec=spec | told, inputs=inputs)


def said(nominal: datetime) -> str:
    """A nominal time as text, in UTC."""
    return f"{nominal:%Y-%m-%dT%H:%M:%SZ}"
