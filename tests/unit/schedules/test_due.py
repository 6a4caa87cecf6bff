"""Which times are fired now: misfire policies, jitter, limits, and clocks that are set."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.actors.schedules.due import due, jittered, next_fire, over_since, wake_at
from actorium.actors.schedules.progress import claimed, paused, ran_ahead, resumed
from actorium.actors.schedules.schedule import (
    At,
    Cron,
    Every,
    Misfire,
    Order,
    Schedule,
    ToolOrder,
    WorkflowOrder,
    task_id,
    task_of,
)
from actorium.actors.schedules.timetable import following
from actorium.bus.task import Task

CREATED = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hourly(**more: object) -> Schedule:
    told = {"name": "report", "agent": "writer", "when": Every(seconds=3600), "created": CREATED}
    return Schedule(**{**told, "what": Order(task=Task(spec="Report")), **more})


def hours(*numbers: int) -> tuple[datetime, ...]:
    return tuple(CREATED + number * HOUR for number in numbers)


@pytest.mark.parametrize(
    ("policy", "late", "fired"),
    [
        (Misfire.SKIP, 30, hours(5)),
        (Misfire.SKIP, 61, ()),
        (Misfire.ONE, 30, hours(5)),
        (Misfire.ONE, 3000, hours(5)),
        (Misfire.ALL, 3000, hours(3, 4, 5)),
    ],
)
def test_the_policy_decides_what_is_made_up_for(
    policy: Misfire, late: int, fired: tuple[datetime, ...]
) -> None:
    """After five hours without anybody: skip what is late, fire one for all, or so many of them."""
    schedule = hourly(misfire=policy, limit=3)
    assert due(schedule, CREATED + 5 * HOUR + timedelta(seconds=late)) == fired


def test_a_year_without_anybody_costs_as_little_as_an_hour() -> None:
    """What was missed is counted from the newest back: a time a second, for a year."""
    schedule = hourly(when=Every(seconds=1), misfire=Misfire.ALL, limit=2)
    now = CREATED + timedelta(days=365)
    assert due(schedule, now) == (now - timedelta(seconds=1), now)
    cron = hourly(when=Cron(expression="* * * * *"), misfire=Misfire.ONE)
    assert due(cron, now) == (now,)


def test_a_clock_that_jumps_forward_and_back_fires_nothing_twice() -> None:
    """Times that were fired by a clock that was ahead are not fired again when it is right."""
    ahead = claimed(hourly(misfire=Misfire.ALL), CREATED + 3 * HOUR)
    assert ahead.open == hours(1, 2, 3)
    settled = msgspec.structs.replace(ahead, open=())
    assert due(settled, CREATED + 2 * HOUR) == ()
    assert next_fire(settled, CREATED + HOUR) == hours(4)[0]


def test_times_that_a_wrong_clock_skipped_still_come() -> None:
    """A skip is not written down: with the clock right again, each time comes when it is due."""
    schedule = hourly(misfire=Misfire.SKIP)
    assert claimed(schedule, CREATED + 100 * HOUR + timedelta(minutes=30)) is schedule
    assert due(schedule, CREATED + HOUR) == hours(1)


def test_one_that_ran_ahead_is_brought_back_by_resume() -> None:
    """A clock a year ahead fired a time of next year; resume counts from now again."""
    astray = hourly(last_run=CREATED + timedelta(days=365))
    now = CREATED + timedelta(minutes=30)
    assert ran_ahead(astray, now)
    assert due(astray, CREATED + 2 * HOUR) == ()
    assert due(resumed(astray, now), CREATED + 2 * HOUR) == hours(2)
    nearly = hourly(last_run=now + timedelta(minutes=1))
    assert resumed(nearly, now) == nearly


def test_what_passes_during_a_pause_is_not_owed() -> None:
    """Paused it fires nothing; resumed it goes on with the next time."""
    held = paused(hourly(misfire=Misfire.ALL))
    assert due(held, CREATED + 3 * HOUR) == ()
    assert wake_at(held, CREATED + 3 * HOUR) is None
    again = resumed(held, CREATED + 3 * HOUR)
    assert due(again, CREATED + 3 * HOUR) == ()
    assert next_fire(again, CREATED + 3 * HOUR) == hours(4)[0]
    assert resumed(again, CREATED + 5 * HOUR) is again


def test_start_and_end_are_bounds() -> None:
    """From the start on, which is the first time of an interval, to the end, both included."""
    start = CREATED + timedelta(minutes=30)
    schedule = hourly(starts=start, ends=start + HOUR, misfire=Misfire.ALL)
    assert next_fire(schedule, CREATED) == start
    assert due(schedule, CREATED + 9 * HOUR) == (start, start + HOUR)
    done = claimed(schedule, CREATED + 9 * HOUR)
    assert next_fire(done, CREATED + 9 * HOUR) is None
    cron = hourly(when=Cron(expression="0 * * * *"), starts=start, misfire=Misfire.ALL)
    assert due(cron, CREATED + 2 * HOUR) == hours(1, 2)


def test_one_that_is_over_says_since_when() -> None:
    """A moment that was fired, or that was skipped, leaves nothing to do; a paused one may be resumed."""
    once = hourly(when=At(moment=CREATED + HOUR), misfire=Misfire.SKIP)
    assert over_since(once, CREATED) is None
    assert over_since(once, CREATED + 2 * HOUR) == CREATED + HOUR
    assert over_since(paused(once), CREATED + 2 * HOUR) is None
    assert over_since(msgspec.structs.replace(once, open=hours(1)), CREATED + 2 * HOUR) is None
    assert over_since(hourly(), CREATED + 2 * HOUR) is None


def test_jitter_is_the_same_for_every_owner() -> None:
    """Two owners agree when a time is fired; two times, or two schedules, differ."""
    schedule = hourly(jitter=600.0)
    (nominal, other) = hours(1, 2)
    assert jittered(schedule, nominal) == jittered(hourly(jitter=600.0), nominal)
    delays = {jittered(schedule, nominal) - nominal, jittered(schedule, other) - other}
    delays.add(jittered(hourly(jitter=600.0, name="other"), nominal) - nominal)
    assert len(delays) == 3
    assert all(timedelta(0) <= delay < timedelta(seconds=600) for delay in delays)
    moment = jittered(schedule, nominal)
    assert due(schedule, moment - timedelta(microseconds=1)) == ()
    assert due(schedule, moment) == (nominal,)
    assert wake_at(schedule, CREATED) == moment


later = st.integers(-100, 10**5).map(lambda seconds: CREATED + timedelta(seconds=seconds))
times = (
    st.builds(Every, seconds=st.integers(60, 5000))
    | st.sampled_from(
        [Cron(expression="*/7 * * * *"), Cron(expression="30 2 * * *", timezone="Europe/Zurich")]
    )
    | st.builds(At, moment=later.filter(lambda moment: moment > CREATED))
)
schedules = st.builds(
    hourly,
    when=times,
    jitter=st.just(0.0) | st.floats(0, 3600),
    starts=st.none() | later,
    ends=st.none() | later,
    misfire=st.just(Misfire.ALL),
    limit=st.just(1000),
)


@settings(deadline=None)
@given(schedules, st.lists(st.floats(0, 20_000), min_size=1, max_size=8))
def test_each_time_is_fired_once_and_in_order_whenever_one_looks(
    schedule: Schedule, steps: list[float]
) -> None:
    """However the looks are spread, all that came is fired, nothing before its time, nothing twice."""
    fired: list[datetime] = []
    now = CREATED
    for step in steps:
        now += timedelta(seconds=step)
        schedule = claimed(schedule, now)
        assert all(jittered(schedule, nominal) <= now for nominal in schedule.open)
        fired += schedule.open
        schedule = msgspec.structs.replace(schedule, open=())
        wake = wake_at(schedule, now)
        if wake is not None:
            assert due(schedule, wake - timedelta(microseconds=1)) == ()
            assert due(schedule, wake) != ()
    assert fired == sorted(set(fired))
    settled = now - timedelta(seconds=schedule.jitter)
    assert [time for time in fired if time <= settled] == until(schedule, settled)


def until(schedule: Schedule, moment: datetime) -> list[datetime]:
    """All times up to a moment, from the timetable alone."""
    first = schedule.starts or CREATED
    every = following(schedule.when, first, CREATED)
    end = min(moment, schedule.ends or moment)
    return [time for time in takewhile(lambda time: time <= end, every) if time >= first]


def test_what_the_agent_is_told() -> None:
    """A message as it is, a tool by name, a workflow as one starts another; the id is the time."""
    assert task_of(hourly()) == Task(spec="Report")
    call = task_of(hourly(what=ToolOrder(tool="email", arguments={"to": "a@b.c"})))
    assert (call.action, call.spec) == ("call_tool", {"tool": "email", "arguments": {"to": "a@b.c"}})
    digest = hourly(what=WorkflowOrder(workflow="digest", inputs={"days": 7}))
    run = task_of(digest, hours(1)[0])
    assert (run.action, run.inputs) == ("execute_workflow", {"days": 7})
    assert run.spec == {
        "workflow_id": "digest",
        "trigger": "schedule",
        "scheduled_for": "2026-11-20T13:00:00Z",
    }
    assert task_of(digest).spec == {"workflow_id": "digest", "trigger": "manual"}
    assert task_id(hourly(), hours(1)[0]) == "report/2026-11-20T13:00:00Z"
