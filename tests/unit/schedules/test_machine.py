"""Two schedulers that both believe to own everything, dying, freezing and deaf, under a clock that jumps.

A hypothesis state machine in virtual time; what happened is told by a server that knows ids for two minutes.
Not modelled: a process that freezes between its last look and the publish itself; its id is then told again
after those two minutes, and only the agent's own ledger recognises it.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from actorium.actors.schedules import firing
from actorium.actors.schedules.due import jittered
from actorium.actors.schedules.firing import Tell
from actorium.actors.schedules.schedule import Cron, Every, Misfire, Schedule, task_id
from actorium.actors.schedules.scheduler import LOOK, Scheduler
from actorium.actors.schedules.schedules import Schedules
from actorium.actors.schedules.timetable import following
from actorium.bus.errors import BusLost, MailboxFull
from actorium.bus.task import Task
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryState
from actorium.storage.port import Entry
from simulation.clock import VirtualLoop
from unit.schedules.stage import CREATED, hourly

WINDOW = 120.0  # seconds a server knows an id
ZURICH = "Europe/Zurich"
NAMES = ("all", "cron", "jitter", "one", "skip")
SCHEDULES = {
    "all": {"when": Every(seconds=900), "misfire": Misfire.ALL, "limit": 1000},
    "cron": {"when": Cron(expression="*/20 * * * *", timezone=ZURICH), "misfire": Misfire.ALL, "limit": 1000},
    "jitter": {"when": Every(seconds=1200), "misfire": Misfire.ALL, "limit": 1000, "jitter": 1800.0},
    "one": {"when": Every(seconds=700), "misfire": Misfire.ONE},
    "skip": {"when": Every(seconds=500), "misfire": Misfire.SKIP},
}
SEED = 1
PROFILE = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


class Process:
    """One scheduler's process: what it asks of the store passes through here, and may be its last."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.dead = False
        self.dies_in: int | None = None  # boundaries
        self.fails = 0  # store operations without an answer
        self.freezes: list[float] = []  # seconds, before and after the next writes

    async def boundary(self) -> None:
        if self.dies_in is not None and not self.dead:
            self.dies_in -= 1
            self.dead = self.dies_in <= 0
        if self.dead:
            await asyncio.Event().wait()  # nothing goes on in a process that is dead

    async def freeze(self) -> None:
        if self.freezes:
            await asyncio.sleep(self.freezes.pop())

    async def answer(self) -> None:
        await self.boundary()
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("no answer")


class Store:
    """The one store, through one process."""

    def __init__(self, whole: "Remembering", process: Process) -> None:
        self._whole = whole
        self._process = process

    async def get(self, key: str) -> Entry | None:
        await self._process.boundary()
        found = await self._whole.get(key)
        await self._process.answer()
        return found

    async def entries(self, prefix: str = "") -> list[tuple[str, Entry]]:
        await self._process.boundary()
        found = await self._whole.entries(prefix)
        await self._process.answer()
        return found

    async def put(
        self, key: str, value: bytes, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        await self._process.boundary()
        await self._process.freeze()
        written = await self._whole.put(key, value, revision=revision, ttl=ttl)
        await self._process.freeze()
        await self._process.answer()
        return written


class Remembering(MemoryState):
    """A store that remembers which promises were settled."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        super().__init__(now=now)
        self.settled: set[str] = set()

    async def put(self, key: str, value: bytes, **more: Any) -> int:
        before = self.open(key)
        revision = await super().put(key, value, **more)
        self.settled |= before - self.open(key)
        return revision

    def open(self, key: str) -> set[str]:
        """The ids that are promised now."""
        if key not in self._values:
            return set()
        schedule = msgspec.json.decode(self._values[key][0].value, type=Schedule)
        return {task_id(schedule, nominal) for nominal in schedule.open}


class SchedulersMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.ahead = 0.0
        self.highest = CREATED
        self.store = Remembering(now=self.wall)
        self.processes: list[Process] = []
        self.accepted: dict[str, list[float]] = {}  # by id, when the server took it for new
        self.order: dict[str, list[datetime]] = {}
        self.wrong: list[str] = []
        self.refusals: list[Exception] = []

    def wall(self) -> float:
        return CREATED.timestamp() + self.loop.time() + self.ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.loop.play(Schedules(self.store).add(hourly(name=name, **SCHEDULES[name])))
        for _ in range(2):
            self.start()

    def start(self) -> None:
        process = Process()
        scheduler = Scheduler(
            Schedules(Store(self.store, process)),
            self.teller(process),
            mine=lambda _: True,
            changed=asyncio.Event(),
            wall=self.wall,
            clock=self.loop.time,
            rng=random.Random(len(self.processes)),
        )
        process.task = self.loop.create_task(scheduler.run())
        self.processes.append(process)

    def teller(self, process: Process) -> Tell:
        async def tell(schedule: Schedule, task: Task, name: str) -> None:
            if process.dead:
                await process.boundary()
            refusal = self.refusals.pop() if self.refusals else None
            if not isinstance(refusal, MailboxFull):
                self.take(schedule.name, name)
            if process.dies_in is not None:
                await process.boundary()
            if refusal is not None:
                raise refusal

        return tell

    def take(self, schedule: str, name: str) -> None:
        """A publish arrives at the server."""
        times = self.accepted.setdefault(name, [])
        if times and self.loop.time() - times[-1] < WINDOW:
            return
        if name in self.store.settled or name not in self.store.open(f"schedules.default.{schedule}"):
            self.wrong.append(f"{name} was published and is not claimed, or was settled before")
        if not times:
            self.order.setdefault(schedule, []).append(datetime.fromisoformat(name.partition("/")[2]))
        times.append(self.loop.time())

    @rule(seconds=st.floats(0.1, 7200))
    def time_passes(self, seconds: float) -> None:
        self.loop.play(asyncio.sleep(seconds))
        self.highest = max(self.highest, self.now())

    @rule(seconds=st.floats(-14_400, 14_400), look=st.booleans())
    def the_clock_is_set(self, seconds: float, look: bool) -> None:
        self.ahead += seconds
        if look:
            self.time_passes(LOOK + 1)

    @rule(which=st.integers(0, 1), boundaries=st.integers(1, 12), seconds=st.floats(1, 2000))
    def one_dies(self, which: int, boundaries: int, seconds: float) -> None:
        """At some operation or publish, before or after it took effect; another is started in its place."""
        process = self.processes[which]
        process.dies_in = boundaries
        self.time_passes(seconds)
        process.dead = True
        self.end(process)
        self.processes.remove(process)
        self.start()

    @rule(which=st.integers(0, 1), spans=st.lists(st.floats(1, 900), min_size=1, max_size=4))
    def one_freezes(self, which: int, spans: list[float]) -> None:
        self.processes[which].freezes += spans

    @rule(which=st.integers(0, 1), count=st.integers(1, 6))
    def the_store_is_silent(self, which: int, count: int) -> None:
        """So many operations of one get no answer; writes among them stand all the same."""
        self.processes[which].fails = count

    @rule(refusals=st.lists(st.sampled_from([MailboxFull, BusLost]), min_size=1, max_size=4))
    def the_bus_refuses(self, refusals: list[type[Exception]]) -> None:
        """A mailbox is full, or a publish arrives and its answer does not."""
        self.refusals += [refusal("not now") for refusal in refusals]

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.wrong == []
        for name, fired in self.order.items():
            assert fired == sorted(set(fired)), f"{name} fired out of order or twice"
        for process in self.processes:
            if process.task is not None and process.task.done() and not process.dead:
                process.task.result()

    def teardown(self) -> None:
        try:
            self.check()
        finally:
            for process in self.processes:
                self.end(process)
            self.loop.close()

    def check(self) -> None:
        """When all is calm again, what is due was fired, as the policy says, and nothing is left open."""
        for process in self.processes:
            process.dies_in, process.fails, process.freezes = None, 0, []
        self.refusals.clear()
        self.time_passes(4000)  # longer than any freeze, so what was begun is done
        self.nothing_is_wrong()
        stored = self.loop.play(Schedules(self.store).all())
        calm = {seen.schedule.name: max(self.now(), seen.schedule.decided) for seen in stored}
        self.time_passes(4000)
        self.nothing_is_wrong()
        stored = self.loop.play(Schedules(self.store).all())
        assert [seen.schedule.name for seen in stored] == list(NAMES)
        assert len(self.store._values) == len(NAMES), "firings left something behind"
        for seen in stored:
            self.check_schedule(seen.schedule, calm[seen.schedule.name])

    def check_schedule(self, schedule: Schedule, calm: datetime) -> None:
        fired = self.order.get(schedule.name, [])
        assert schedule.open == () or jittered(schedule, schedule.open[-1]) > self.now() - timedelta(
            seconds=1
        )
        low, high = (
            self.times(schedule, self.now() - timedelta(seconds=5)),
            self.times(schedule, self.highest),
        )
        assert set(fired) <= set(high), "fired before its time, or what is no time of it"
        match schedule.misfire:
            case Misfire.ALL:
                assert fired == high[: len(fired)], "left one out"
                assert fired[: len(low)] == low, "missed one"
            case Misfire.ONE:
                assert not low or (fired and fired[-1] >= low[-1]), "the newest is not there"
            case Misfire.SKIP:
                on_time = {time for time in low if time > calm}
                assert on_time <= set(fired), "missed one although nothing was wrong"

    def times(self, schedule: Schedule, until: datetime) -> list[datetime]:
        """All times that have come by then, from the timetable alone."""
        every = following(schedule.when, CREATED, CREATED)
        return list(takewhile(lambda time: jittered(schedule, time) <= until and time <= until, every))

    def end(self, process: Process) -> None:
        if process.task is not None:
            process.task.cancel()
            with suppress(asyncio.CancelledError):
                self.loop.play(process.task)


TestSchedulers = SchedulersMachine.TestCase
TestSchedulers.settings = PROFILE


# The checker can fail: each of these is a bug that somebody could write, and must be found.


def claims_blindly(patch: pytest.MonkeyPatch) -> None:
    """The claim is written whatever stands there."""
    whole = Schedules._put

    async def put(self: Schedules, schedule: Schedule, revision: int, ttl: float | None = None) -> int:
        return await whole(self, schedule, None, ttl)

    patch.setattr(Schedules, "_put", put)


def publishes_first(patch: pytest.MonkeyPatch) -> None:
    """What is due is published, and then written down."""

    async def fire(schedules: Schedules, tell: Tell, tenant: str, name: str, *, now, clock):
        seen = await schedules.find(tenant, name)
        promised = firing.claimed(seen.schedule, now())
        for nominal in promised.open:
            await tell(promised, firing.task_of(promised, nominal), task_id(promised, nominal))
        done = msgspec.structs.replace(promised, open=())
        return await schedules.change(seen, lambda _: done)

    patch.setattr("actorium.actors.schedules.scheduler.fire", fire)


def forgets_what_is_open(patch: pytest.MonkeyPatch) -> None:
    """Who comes after a crash begins with what is due, and leaves what was claimed."""
    whole = firing.claimed
    patch.setattr(
        firing, "claimed", lambda schedule, now: whole(msgspec.structs.replace(schedule, open=()), now)
    )


def never_reads_again(patch: pytest.MonkeyPatch) -> None:
    """Who was frozen publishes by what he read before."""
    patch.setattr(firing, "FRESH", float("inf"))


def forgets_to_look(patch: pytest.MonkeyPatch) -> None:
    """A clock that was set is not noticed."""
    patch.setattr("actorium.actors.schedules.scheduler.LOOK", 10**6)


PLANTED = [claims_blindly, publishes_first, forgets_what_is_open, never_reads_again, forgets_to_look]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine, with one bug in the code under test, fails."""
    plant(monkeypatch)
    machine = type("Planted", (SchedulersMachine,), {})
    profile = settings(PROFILE, max_examples=200, database=None, phases=[Phase.generate], print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(seed(SEED)(machine), settings=profile)
