"""The loop of one owner, in virtual time: when it fires, what wakes it, and what it does not let stop it."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest

from actorium.actors.schedules.progress import paused, resumed
from actorium.actors.schedules.schedule import At, Cron, Every, Misfire, Schedule
from actorium.actors.schedules.scheduler import LOOK, Scheduler
from actorium.actors.schedules.schedules import Schedules
from actorium.actors.schedules.watch import KEPT
from actorium.bus.errors import BusLost
from actorium.bus.task import Task
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryState
from simulation.clock import VirtualLoop
from unit.schedules.stage import CREATED, Inbox, hourly, ids


class Stage:
    """One scheduler in virtual time. `ahead` is what the wall clock is wrong by."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.ahead = 0.0
        self.store = MemoryState(now=self.wall)
        self.schedules = Schedules(self.store)
        self.inbox = Inbox()
        self.times: dict[str, float] = {}
        self.changed = asyncio.Event()
        self.mine: Callable[[Schedule], bool] = lambda _: True
        self.task: asyncio.Task[None] | None = None

    def wall(self) -> float:
        return CREATED.timestamp() + self.loop.time() + self.ahead

    async def tell(self, schedule: Schedule, task: Task, task_id: str) -> None:
        await self.inbox(schedule, task, task_id)
        self.times.setdefault(task_id, self.loop.time())

    def start(self) -> None:
        scheduler = Scheduler(
            self.schedules,
            self.tell,
            mine=lambda schedule: self.mine(schedule),  # noqa: PLW0108  # a test changes it
            changed=self.changed,
            wall=self.wall,
            clock=self.loop.time,
            rng=random.Random(1),
        )
        self.task = self.loop.create_task(scheduler.run())

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                self.loop.play(self.task)

    def add(self, **more: object) -> None:
        self.loop.play(self.schedules.add(hourly(**more)))

    def passes(self, **span: float) -> None:
        self.loop.play(asyncio.sleep(timedelta(**span).total_seconds()))

    @property
    def told(self) -> list[str]:
        return self.inbox.told


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.stop()
    stage.loop.close()


def test_it_fires_at_the_time_and_not_a_moment_earlier(stage: Stage) -> None:
    """It sleeps to the nearest time; with a jitter to the time and its own delay."""
    stage.add()
    stage.start()
    stage.passes(hours=2, seconds=1)
    assert stage.told == ids(1, 2)
    assert stage.times == pytest.approx({ids(1)[0]: 3600.0, ids(2)[0]: 7200.0}, abs=0.01)


def test_a_change_that_is_told_counts_at_once(stage: Stage) -> None:
    """Told, it looks now; untold, it looks within LOOK seconds."""
    stage.start()
    stage.passes(seconds=1)
    stage.add(when=Every(seconds=3))
    stage.changed.set()
    stage.passes(seconds=3)
    assert len(stage.told) == 1
    stage.add(name="other", when=Every(seconds=3))
    stage.passes(seconds=LOOK + 3)
    assert any(task_id.startswith("other/") for task_id in stage.told)


def test_a_clock_that_is_set_forward_is_seen(stage: Stage) -> None:
    """The hour that never was is made up for within LOOK seconds, not after an hour of sleep."""
    stage.add()
    stage.start()
    stage.passes(minutes=1)
    stage.ahead = 3600.0
    stage.passes(seconds=LOOK + 1)
    assert stage.told == ids(1)


def test_a_clock_that_is_set_back_fires_nothing_again(stage: Stage) -> None:
    """The hour that comes again is not fired again, and the next one is."""
    stage.add()
    stage.start()
    stage.passes(hours=1, minutes=30)
    stage.ahead = -3600.0
    stage.passes(hours=1)
    assert stage.told == ids(1)
    stage.passes(hours=1)
    assert stage.told == ids(1, 2)


def test_times_that_were_skipped_by_a_wrong_clock_come_when_it_is_right(stage: Stage) -> None:
    """A clock that is ahead for a while makes nothing of the skipped times be forgotten."""
    stage.add(misfire=Misfire.SKIP)
    stage.start()
    stage.ahead = 10 * 3600.0 + 1800
    stage.passes(minutes=2)
    stage.ahead = 0.0
    stage.passes(hours=1)
    assert stage.told == ids(1)


def test_only_those_of_mine_are_fired(stage: Stage) -> None:
    """What another owns is left to it, and what becomes ours is taken over with what was missed."""
    stage.add(misfire=Misfire.ALL)
    stage.mine = lambda _: False
    stage.start()
    stage.passes(hours=2, minutes=1)
    assert stage.told == []
    stage.mine = lambda _: True
    stage.changed.set()
    stage.passes(seconds=1)
    assert stage.told == ids(1, 2)
    stage.mine = lambda _: False  # and what is not ours any more is not fired, told or not
    stage.passes(hours=2)
    assert stage.told == ids(1, 2)


def test_what_is_lost_between_two_looks_is_not_fired(stage: Stage) -> None:
    """Ownership is asked for at the very moment of firing."""
    stage.add(when=Every(seconds=100))
    stage.start()
    stage.passes(seconds=95)
    stage.mine = lambda _: False
    stage.passes(seconds=10)
    assert stage.told == []


def test_a_short_interval_is_kept(stage: Stage) -> None:
    """Each second has its task in that second."""
    stage.add(when=Every(seconds=1))
    stage.start()
    stage.passes(seconds=10, milliseconds=500)
    assert list(stage.times.values()) == pytest.approx([float(number) for number in range(1, 11)], abs=0.01)


def test_what_another_left_open_is_published_at_once(stage: Stage) -> None:
    """A claim whose owner died does not wait for the next time."""
    nominal = CREATED - timedelta(hours=1)
    stage.add(last_run=nominal, open=(nominal,))
    stage.start()
    stage.passes(seconds=1)
    assert stage.told == ids(-1)


def test_one_that_fails_keeps_no_other_waiting(stage: Stage) -> None:
    """While one schedule's task cannot be stored, and another's hangs, a third one fires on time."""
    for name in ("bad", "good", "slow"):
        stage.add(name=name)
    whole = stage.inbox

    async def tell(schedule: Schedule, task: Task, task_id: str) -> None:
        if schedule.name == "slow":
            await asyncio.sleep(10_000)
        if schedule.name == "bad" and stage.loop.time() < 3700:
            raise BusLost("gone")
        await whole(schedule, task, task_id)
        stage.times[task_id] = stage.loop.time()

    stage.tell = tell
    stage.start()
    stage.passes(hours=2, seconds=1)
    assert stage.told == [
        *ids(1, name="good"),
        *ids(1, name="bad"),
        *ids(2, name="bad"),
        *ids(2, name="good"),
    ]
    assert stage.times[ids(1, name="good")[0]] == pytest.approx(3600.0, abs=0.01)
    assert 3700 <= stage.times[ids(1, name="bad")[0]] < 3750


def test_an_outage_of_the_store_is_survived(stage: Stage) -> None:
    """While the store does not answer it goes on with what it knows, and looks again."""
    stage.add()
    stage.start()
    stage.passes(minutes=1)
    whole = stage.store.entries

    async def silent(prefix: str = "") -> None:
        raise StoreUnavailable("no answer")

    stage.store.entries = silent
    stage.passes(hours=1)
    assert stage.told == ids(1)
    stage.store.entries = whole
    stage.add(name="other", when=Every(seconds=1800))
    stage.passes(seconds=LOOK + 1)
    assert len(stage.told) == 2


def test_one_that_cannot_be_told_here_stops_no_other(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A zone that this machine does not know, and bytes that are no schedule: said, and passed over."""
    stage.add()
    unknown = hourly(name="lost", when=Cron(expression="0 9 * * *", timezone="Mars/Base"))
    stage.loop.play(stage.store.put("schedules.default.lost", msgspec.json.encode(unknown)))
    stage.loop.play(stage.store.put("schedules.default.junk", b"junk"))
    stage.start()
    stage.passes(hours=1, seconds=1)
    assert stage.told == ids(1)
    told = {str(record.__dict__["fields"]) for record in caplog.records}
    assert any("Mars/Base" in text for text in told)
    assert any("junk" in text for text in told)


def test_a_pause_holds_and_a_resume_goes_on(stage: Stage) -> None:
    """Paused it is silent, resumed it goes on with the next time."""
    stage.add(misfire=Misfire.ALL)
    stage.start()
    stage.passes(hours=1, seconds=1)

    async def change(how: Callable[[Schedule], Schedule]) -> None:
        seen = await stage.schedules.find("default", "report")
        assert seen is not None
        await stage.schedules.change(seen, how)
        stage.changed.set()

    stage.loop.play(change(paused))
    stage.passes(hours=2)
    assert stage.told == ids(1)
    stage.loop.play(change(lambda schedule: resumed(schedule, CREATED + timedelta(hours=3, seconds=1))))
    stage.passes(hours=1)
    assert stage.told == ids(1, 4)


def test_one_that_is_over_is_removed_after_a_week(stage: Stage) -> None:
    """A reminder fires once, can be looked at for a while, and then leaves nothing behind."""
    stage.add(name="once", when=At(moment=CREATED + timedelta(hours=1)))
    stage.add(when=Every(seconds=86_400))
    stage.start()
    stage.passes(hours=2)
    assert stage.told == ids(1, name="once")
    stage.passes(days=KEPT.days - 1)
    assert len(stage.loop.play(stage.store.keys())) == 2
    stage.passes(days=1)
    assert stage.loop.play(stage.store.keys()) == ["schedules.default.report"]
    assert stage.told == ids(1, name="once") + ids(*(24 * day for day in range(1, 8)))


def test_between_times_it_costs_next_to_nothing(stage: Stage) -> None:
    """A schedule that has nothing to do is read only when all are listed."""
    stage.add(when=Every(seconds=86_400))
    reads = []
    whole = stage.store.get

    async def counted(key: str) -> object:
        reads.append(key)
        return await whole(key)

    stage.store.get = counted
    stage.start()
    stage.passes(hours=23)
    assert reads == []


def test_a_long_list_is_read_less_often(stage: Stage) -> None:
    """Where reading all takes two seconds it is read every 200, and what is known fires on time meanwhile."""
    stage.add()
    whole, listed = stage.store.entries, []

    async def slow(prefix: str = "") -> object:
        listed.append(stage.loop.time())
        await asyncio.sleep(2)
        return await whole(prefix)

    stage.store.entries = slow
    stage.start()
    stage.passes(hours=1, seconds=10)
    assert 15 <= len(listed) <= 19
    assert stage.told == ids(1)
