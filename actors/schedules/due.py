"""Due: which nominal times of a schedule shall be fired now, and when to look again.

Pure. A clock that jumps forward is like a time when nobody was there: the misfire policy decides. One that
jumps back finds everything up to the newest fired time decided: nothing is fired again. What was skipped
behind that is not written down, so after a jump that was a mistake it still comes. Invariant: times are fired
in order; a later one waits for the jitter of an earlier one.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice, takewhile

from .schedule import At, Misfire, Schedule, task_id
from .timetable import SECOND, following, preceding, whole


def due(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    """The nominal times to fire now, oldest first; costs as many steps, however long nobody looked."""
    if not schedule.enabled:
        return ()
    come = _come(schedule, now)
    match schedule.misfire:
        case Misfire.ALL:
            return tuple(islice(come, schedule.limit))[::-1]
        case Misfire.ONE:
            return tuple(islice(come, 1))
        case Misfire.SKIP:
            late = now - timedelta(seconds=schedule.grace)
            return tuple(time for time in islice(come, 1) if jittered(schedule, time) >= late)


def next_fire(schedule: Schedule, now: datetime) -> datetime | None:
    """The first nominal time that is yet to come; None: there is none, or it is paused."""
    if not schedule.enabled:
        return None
    after = max(schedule.decided, now - timedelta(seconds=schedule.jitter))
    return next((time for time in _ahead(schedule, after) if jittered(schedule, time) > now), None)


def wake_at(schedule: Schedule, now: datetime) -> datetime | None:
    """When there is something to do: now, later, or never."""
    if schedule.open or due(schedule, now):
        return now
    coming = next_fire(schedule, now)
    return None if coming is None else jittered(schedule, coming)


def over_since(schedule: Schedule, now: datetime) -> datetime | None:
    """The end of a schedule that will do nothing any more by itself; None where it may."""
    if not schedule.enabled or wake_at(schedule, now) is not None:
        return None
    end = schedule.when.moment if isinstance(schedule.when, At) else schedule.ends
    return max(end, schedule.decided) if end else schedule.decided


def jittered(schedule: Schedule, nominal: datetime) -> datetime:
    """When a nominal time is fired: a fraction of the jitter later that every owner computes alike."""
    if not schedule.jitter:
        return nominal
    digest = sha256(f"{schedule.tenant}.{task_id(schedule, nominal)}".encode()).digest()
    return nominal + timedelta(seconds=schedule.jitter * int.from_bytes(digest[:6]) / 2**48)


def _come(schedule: Schedule, now: datetime) -> Iterator[datetime]:
    """Times that have come and are not decided, newest first."""
    until = _until(schedule, now)
    times = preceding(schedule.when, _anchor(schedule), min(until, schedule.ends or until))
    first = whole(schedule.starts) if schedule.starts else schedule.decided
    return takewhile(lambda time: time > schedule.decided and time >= first, times)


def _until(schedule: Schedule, now: datetime) -> datetime:
    """The moment up to which every time has come, its jitter included."""
    if not schedule.jitter:
        return now
    after = max(schedule.decided, now - timedelta(seconds=schedule.jitter))
    times = takewhile(lambda time: time <= now, _ahead(schedule, after))
    waiting = next((time for time in times if jittered(schedule, time) > now), None)
    return now if waiting is None else waiting - SECOND


def _ahead(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Times later than a moment, between start and end."""
    if schedule.starts:
        after = max(after, whole(schedule.starts) - SECOND)
    times = following(schedule.when, _anchor(schedule), after)
    return takewhile(lambda time: schedule.ends is None or time <= schedule.ends, times)


def _anchor(schedule: Schedule) -> datetime:
    return schedule.starts or schedule.created
