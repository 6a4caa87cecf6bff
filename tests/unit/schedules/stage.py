"""A schedule, a clock on the wall, and an inbox: what the tests of schedules are played with."""

from datetime import UTC, datetime, timedelta

from actorium.actors.schedules.schedule import Every, Order, Schedule
from actorium.bus.task import Task

CREATED = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Wall:
    """A clock on the wall that a test sets; it counts seconds for those who ask for seconds."""

    def __init__(self) -> None:
        self.time = CREATED

    def __call__(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return self.time.timestamp()

    def passes(self, **span: float) -> None:
        self.time += timedelta(**span)


class Inbox:
    """What was told, in order; an error that stands in `errors` is raised instead."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tasks: dict[str, Task] = {}
        self.errors: list[Exception] = []

    async def __call__(self, schedule: Schedule, task: Task, task_id: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.told.append(task_id)
        self.tasks[task_id] = task


def hourly(**more: object) -> Schedule:
    told = {"name": "report", "agent": "writer", "when": Every(seconds=3600), "created": CREATED}
    return Schedule(**{**told, "what": Order(task=Task(spec="Report")), **more})


def ids(*hours: int, name: str = "report") -> list[str]:
    return [f"{name}/{CREATED + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in hours]
