"""Firing: each due time becomes one stored task, over crashes and with two owners at once.

A time is claimed by compare-and-set in the schedule itself, then published, then settled. Whoever finds a
claim that is not settled publishes it again under the same task id, which the server knows for two minutes
and the agent's own ledger longer. Not responsible for when to look (`scheduler.py`).
Invariant: nobody claims a time twice, and nobody publishes one by what he read long ago.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from ...bus.errors import ActoriumError
from ...bus.task import Task
from .progress import claimed, settled
from .schedule import Schedule, task_id, task_of
from .schedules import Schedules, Seen

FRESH: Final = 30.0  # seconds; with the longest publish well below the time that the server knows an id


class Tell(Protocol):
    """How a task is stored for an agent. Delivery: effectively once by `task_id`."""

    async def __call__(self, schedule: Schedule, task: Task, task_id: str) -> None:
        """Store it; an error that is not `retryable` says that it can never be stored."""


async def fire(
    schedules: Schedules,
    tell: Tell,
    tenant: str,
    name: str,
    *,
    now: Callable[[], datetime],
    clock: Callable[[], float],
) -> Seen | None:
    """Publish what a schedule has claimed, and claim and publish what is due.

    Delivery: each time at least once, under an id that makes it once. Ordering: by nominal time.
    Cancellation: a claim that is not settled is published by the next call, of whatever owner.

    Args:
        now: Wall time.
        clock: Monotonic seconds.

    Returns:
        The schedule as it stands, with nothing left to do; None where it was removed.

    Raises:
        ActoriumError: Retryable; the claim stands, call again.
    """
    read = clock()
    seen = await schedules.find(tenant, name)
    while seen is not None:
        seen = await schedules.change(seen, lambda schedule: claimed(schedule, now()))
        if seen is None or not seen.schedule.open:
            break
        if clock() - read > FRESH:  # we slept: somebody else may have settled it long ago
            read = clock()
            seen = await schedules.find(tenant, name)
            continue
        nominal = seen.schedule.open[0]
        error = await _refusal(tell, seen.schedule, nominal)
        read = clock()
        seen = await schedules.change(seen, _settling(nominal, error))
    return seen


async def _refusal(tell: Tell, schedule: Schedule, nominal: datetime) -> str:
    """Publish one time; why it never can be, or nothing."""
    try:
        await tell(schedule, task_of(schedule, nominal), task_id(schedule, nominal))
    except ActoriumError as error:
        if error.retryable:
            raise
        return error.message
    return ""


def _settling(nominal: datetime, error: str) -> Callable[[Schedule], Schedule]:
    return lambda schedule: settled(schedule, nominal, error)
