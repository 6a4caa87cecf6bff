"""Progress: what becomes of a schedule, step by step, as functions from one value of it to the next.

Not responsible for storing them: `schedules.py` does, by compare-and-set, so that of two owners who claim the
same times one finds out. Invariant: `last_run` never falls, but where a person resumes a schedule whose times
were fired by a clock that was wrong.
"""

from datetime import datetime, timedelta

import msgspec

from .due import due
from .schedule import Schedule

AHEAD = timedelta(minutes=5)  # clocks of our machines agree better than that


def claimed(schedule: Schedule, now: datetime) -> Schedule:
    """With what is due promised; the same where nothing is, or where older promises are open."""
    times = () if schedule.open else due(schedule, now)
    return msgspec.structs.replace(schedule, open=times, last_run=times[-1]) if times else schedule


def settled(schedule: Schedule, nominal: datetime, error: str = "") -> Schedule:
    """With one promise kept, or with the reason why it never can be."""
    if nominal not in schedule.open:
        return schedule
    left = tuple(time for time in schedule.open if time != nominal)
    return msgspec.structs.replace(schedule, open=left, error=error)


def paused(schedule: Schedule) -> Schedule:
    """Fires nothing more; what was claimed is still published."""
    return msgspec.structs.replace(schedule, enabled=False)


def resumed(schedule: Schedule, now: datetime) -> Schedule:
    """Fires again and owes nothing of what passed meanwhile; one that is on stays, unless it ran ahead."""
    astray = ran_ahead(schedule, now)
    if schedule.enabled and not astray:
        return schedule
    last = None if astray else schedule.last_run
    return msgspec.structs.replace(schedule, enabled=True, since=now, last_run=last)


def ran_ahead(schedule: Schedule, now: datetime) -> bool:
    """Whether it waits for its own past: a clock that was wrong fired times that are yet to come."""
    return schedule.decided > now + AHEAD
