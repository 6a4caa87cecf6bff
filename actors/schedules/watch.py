"""Watch: what a scheduler remembers of one schedule between two looks, so that a look costs next to nothing.

Not responsible for what is true: firing reads the schedule again. Invariant: `wake` is right for every moment
from `computed` on until the schedule changes.
"""

import random
from datetime import datetime, timedelta
from typing import Final

import msgspec

from .due import over_since, wake_at
from .schedule import Schedule

KEPT: Final = timedelta(days=7)  # how long one that is over can be looked at
FIRST_PAUSE: Final = 0.5  # seconds before a firing that failed is tried again
LONGEST_PAUSE: Final = 30.0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule under watch.

    Attributes:
        wake: Wall time when there is something to do; None: never, as it stands.
        computed: Wall time at which that was found out.
        failures: Firings in a row that failed.
        retry_at: Monotonic seconds before which none is tried again.
    """

    schedule: Schedule
    wake: datetime | None
    computed: datetime
    failures: int = 0
    retry_at: float = 0.0


def watching(schedule: Schedule, now: datetime) -> Watch:
    """The watch of a schedule as it stands; one that is over is woken up for its removal.

    Raises:
        ConfigError: Its times cannot be told here.
    """
    wake = wake_at(schedule, now)
    end = over_since(schedule, now) if wake is None else None
    return Watch(schedule=schedule, wake=end + KEPT if end else wake, computed=now)


def looked(watch: Watch, schedule: Schedule, now: datetime) -> Watch:
    """The watch at the next look: the same, unless the schedule changed or the clock went back."""
    if schedule == watch.schedule and now >= watch.computed:
        return watch
    fresh = watching(schedule, now)
    return msgspec.structs.replace(fresh, failures=watch.failures, retry_at=watch.retry_at)


def failed(watch: Watch, clock: float, rng: random.Random) -> Watch:
    """The watch after a firing that failed: later and later, each at a moment of its own."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(watch.failures, 10)) * (0.5 + rng.random())
    return msgspec.structs.replace(watch, failures=watch.failures + 1, retry_at=clock + pause)


def wait(watch: Watch, now: datetime, clock: float) -> float:
    """Seconds until there is something to do; infinite where there is nothing."""
    if watch.wake is None:
        return float("inf")
    return max(0.0, (watch.wake - now).total_seconds(), watch.retry_at - clock)


def is_over(schedule: Schedule, now: datetime) -> bool:
    """Whether it was over long enough to be removed."""
    end = over_since(schedule, now)
    return end is not None and now >= end + KEPT
