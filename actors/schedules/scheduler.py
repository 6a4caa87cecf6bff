"""Scheduler: sees to it that the schedules of one owner fire when they are due.

    changed ──► list ──► watch each of mine ──► sleep to the nearest ──► fire, several at once ──┐
                  ▲                                                                              │
                  └──────────── every LOOK seconds, or when told ◄───────────────────────────────┘

Not responsible for who owns a schedule (`mine`), nor for firing once (`firing.py`): a second scheduler that
believes to own the same ones does no harm. Invariant: a schedule that fails keeps no other one waiting.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from ...bus.errors import ActoriumError
from .firing import Tell, fire
from .progress import ran_ahead
from .schedule import Schedule
from .schedules import Schedules
from .watch import Watch, failed, is_over, looked, wait, watching

log = logging.getLogger("actorium.schedules")
LOOK: Final = 30.0  # seconds until a change that nobody told, or a clock that was set, is seen
SHARE: Final = 100  # of the time at most one part in so many is spent on listing, however many there are
AT_ONCE: Final = 64  # firings under way

Key = tuple[str, str]


class Scheduler:
    """The loop of one owner. Run it in a task of its own; cancelling it is the way to stop.

    Args:
        schedules: Where they are kept.
        tell: How a task is stored for an agent.
        mine: Whether this process owns a schedule, by its agent's partition.
        changed: Set by whoever hears that schedules or owners changed; it is cleared here.
        wall: Seconds since 1970.
        clock: Monotonic seconds.
        rng: For the pauses after failures.
    """

    def __init__(
        self,
        schedules: Schedules,
        tell: Tell,
        *,
        mine: Callable[[Schedule], bool],
        changed: asyncio.Event,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._schedules = schedules
        self._tell = tell
        self._mine = mine
        self._changed = changed
        self._wall = wall
        self._clock = clock
        self._rng = rng or random.Random()
        self._watches: dict[Key, Watch] = {}
        self._firing: set[Key] = set()
        self._wake = asyncio.Event()
        self._list_at = 0.0  # monotonic; anything that has passed
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Fire what is due, until cancelled.

        Cancellation: what was claimed and not settled is published by the next owner.
        """
        self._list_at = self._clock()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            while True:
                self._wake.clear()
                if self._clock() >= self._list_at:
                    await self._list()
                for key in self._ready():
                    self._firing.add(key)
                    tasks.create_task(self._carry(key))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await self._wake.wait()

    async def _listen(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._list_at = self._clock()
            self._wake.set()

    async def _list(self) -> None:
        """Watch those that are ours now, and no others; after a failure those of the last time."""
        began = self._clock()
        self._list_at = began + LOOK
        try:
            found = await self._schedules.all()
        except ActoriumError as error:
            _warn("schedule.not_listed", error)
            return
        self._list_at = max(self._list_at, began + SHARE * (self._clock() - began))
        ours = [seen.schedule for seen in found if self._mine(seen.schedule)]
        before, self._watches = self._watches, {}
        for schedule in ours:
            self._look(schedule, before.get(_key(schedule)))

    def _look(self, schedule: Schedule, before: Watch | None) -> None:
        now = self._now()
        try:
            watch = looked(before, schedule, now) if before else watching(schedule, now)
        except ActoriumError as error:
            _warn("schedule.unread", error, schedule)
            self._watches.pop(_key(schedule), None)
            return
        self._watches[_key(schedule)] = watch
        if watch is not before and ran_ahead(schedule, now):
            _warn("schedule.ran_ahead", None, schedule)

    def _ready(self) -> list[Key]:
        """Those with something to do now that nobody is doing."""
        now, clock = self._now(), self._clock()
        idle = ((key, watch) for key, watch in self._watches.items() if key not in self._firing)
        return [key for key, watch in idle if wait(watch, now, clock) <= 0 and self._mine(watch.schedule)]

    def _pause(self) -> float:
        """Seconds until the nearest that nobody is carrying, or until the next look."""
        now, clock = self._now(), self._clock()
        idle = (watch for key, watch in self._watches.items() if key not in self._firing)
        waits = [wait(watch, now, clock) for watch in idle if self._mine(watch.schedule)]
        return min([LOOK, self._list_at - clock, *waits])

    async def _carry(self, key: Key) -> None:
        """Do what there is to do for one schedule; a failure is tried again later."""
        try:
            async with self._slots:
                stands = await self._fire(key)
        except ActoriumError as error:
            watch = self._watches.get(key)
            if watch is not None:
                self._watches[key] = failed(watch, self._clock(), self._rng)
                _warn("schedule.not_fired", error, watch.schedule)
        else:
            if stands is None:
                self._watches.pop(key, None)
            elif key in self._watches:  # it may have another owner by now
                self._look(stands, None)
        finally:
            self._firing.discard(key)
            self._wake.set()

    async def _fire(self, key: Key) -> Schedule | None:
        """The schedule as it stands; None where it is gone, or was over for so long that it is removed."""
        seen = await fire(self._schedules, self._tell, *key, now=self._now, clock=self._clock)
        if seen is not None and is_over(seen.schedule, self._now()):
            await self._schedules.retire(seen)
            return None
        return seen.schedule if seen else None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)


def _key(schedule: Schedule) -> Key:
    return schedule.tenant, schedule.name


def _warn(event: str, error: ActoriumError | None, schedule: Schedule | None = None) -> None:
    named = {"tenant": schedule.tenant, "schedule": schedule.name} if schedule else {}
    told = {"code": error.code, "error": error.message} if error else {}
    log.warning(event, extra={"fields": named | told})
