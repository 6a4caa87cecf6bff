"""Nominal times: their order, both directions, and the two nights a year when clocks are changed."""

# ruff: noqa: DTZ001  # times on a wall have no zone

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorium.actors.schedules.schedule import At, Cron, Every
from actorium.actors.schedules.timetable import check, following, preceding
from actorium.bus.errors import ConfigError

ZURICH, NEW_YORK = "Europe/Zurich", "America/New_York"
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTS = {  # local dates on which clocks are changed
    ZURICH: [datetime(2026, 3, 29), datetime(2026, 10, 25)],
    NEW_YORK: [datetime(2026, 3, 8), datetime(2026, 11, 1)],
    "Australia/Lord_Howe": [datetime(2026, 4, 5), datetime(2026, 10, 4)],  # half an hour
    "America/Asuncion": [datetime(2023, 10, 1)],  # a gap at midnight
    "Pacific/Apia": [datetime(2011, 12, 30)],  # a whole day that was not
    "UTC": [datetime(2026, 3, 29)],
}


def walls(expression: str, zone: str, start: datetime, count: int) -> list[str]:
    """The next times, as the wall and the offset show them."""
    times = following(
        Cron(expression=expression, timezone=zone), ANCHOR, start.replace(tzinfo=ZoneInfo(zone))
    )
    return [f"{time.astimezone(ZoneInfo(zone)):%d. %H:%M%z}" for time in islice(times, count)]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0,30 2 * * *", "*/15 2 * * *"])
def test_a_time_in_a_gap_is_the_first_moment_after_it(expression: str) -> None:
    """Zurich has no 2:30 on 29 March: the report of that night comes at 3:00, once however many fall in."""
    assert walls(expression, ZURICH, datetime(2026, 3, 28, 12), 1) == ["29. 03:00+0200"]
    after = walls(expression, ZURICH, datetime(2026, 3, 29, 3), 1)
    assert after[0].startswith("30. 02:")


def test_the_gap_of_another_zone_is_found_as_well() -> None:
    """New York has no 2:30 on 8 March."""
    assert walls("30 2 * * *", NEW_YORK, datetime(2026, 3, 7, 12), 2) == ["08. 03:00-0400", "09. 02:30-0400"]


@pytest.mark.parametrize(
    ("zone", "night", "first", "next_day"),
    [
        (ZURICH, datetime(2026, 10, 25), "25. 02:30+0200", "26. 02:30+0100"),
        (NEW_YORK, datetime(2026, 11, 1), "01. 01:30-0400", "02. 01:30-0500"),
    ],
)
def test_a_time_that_comes_twice_counts_once(zone: str, night: datetime, first: str, next_day: str) -> None:
    """Where an hour is repeated, a time of day is its first."""
    hour = first[4:6]
    assert walls(f"30 {hour} * * *", zone, night, 2) == [first, next_day]
    assert walls(f"*/30 {hour} * * *", zone, night, 3)[2][:2] == next_day[:2]


def test_from_within_the_repeated_hour_nothing_comes_again() -> None:
    """A start in the second 2:15 finds the 2:30 of that night behind it."""
    start = datetime(2026, 10, 25, 2, 15, fold=1)
    assert walls("30 2 * * *", ZURICH, start, 1) == ["26. 02:30+0100"]


@pytest.mark.parametrize("hours", ["*", "*/1", "0-23"])
def test_every_hour_is_elapsed_time(hours: str) -> None:
    """What runs at each hour runs after each hour, through both nights, however the hours are written."""
    autumn = walls(f"30 {hours} * * *", ZURICH, datetime(2026, 10, 25, 1), 4)
    assert autumn == ["25. 01:30+0200", "25. 02:30+0200", "25. 02:30+0100", "25. 03:30+0100"]
    spring = walls(f"30 {hours} * * *", ZURICH, datetime(2026, 3, 29, 1), 2)
    assert spring == ["29. 01:30+0100", "29. 03:30+0200"]


minutes = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True)
hours = st.lists(st.integers(0, 23), min_size=1, max_size=4, unique=True)
weekdays = st.none() | st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True)
nights = st.sampled_from([(zone, night) for zone, nights in NIGHTS.items() for night in nights])


@settings(deadline=None, max_examples=60)
@given(nights, minutes, st.just(list(range(24))) | hours, weekdays, st.floats(-30, 30))
@example((ZURICH, NIGHTS[ZURICH][1]), [45], [2], None, 2.3)
@example(("Australia/Lord_Howe", NIGHTS["Australia/Lord_Howe"][0]), [30], list(range(24)), None, 0.0)
def test_times_are_those_of_a_patient_reader(
    where: tuple[str, datetime], minute: list[int], hour: list[int], days: list[int] | None, offset: float
) -> None:
    """Somebody who looks at the wall every minute for three days finds the same times, in both directions."""
    zone, night = where
    clock = ZoneInfo(zone)
    start = night.replace(tzinfo=clock).astimezone(UTC) + timedelta(hours=offset)
    end = start + timedelta(days=3)
    fits = {(h, m) for h in hour for m in minute}
    on = set(range(7)) if days is None else set(days)  # 0 is Sunday
    expected = set()
    first = night - timedelta(days=4)
    for number in range(11 * 24 * 60):
        wall = first + timedelta(minutes=number)
        if (wall.hour, wall.minute) not in fits or (wall.weekday() + 1) % 7 not in on:
            continue
        local = wall.replace(tzinfo=clock)
        if local.astimezone(UTC).astimezone(clock).replace(tzinfo=None) == wall:
            expected.add(local.astimezone(UTC))
            if len(hour) == 24:
                expected.add(wall.replace(tzinfo=clock, fold=1).astimezone(UTC))
        elif len(hour) < 24:
            later = wall
            while later.replace(tzinfo=clock).astimezone(UTC).astimezone(clock).replace(tzinfo=None) != later:
                later += timedelta(minutes=1)
            expected.add(later.replace(tzinfo=clock).astimezone(UTC))
    said = ",".join(map(str, days)) if days is not None else "*"
    cron = Cron(
        expression=f"{','.join(map(str, minute))} {','.join(map(str, hour))} * * {said}", timezone=zone
    )
    found = list(takewhile(lambda time: time <= end, following(cron, ANCHOR, start)))
    assert found == sorted(time for time in expected if start < time <= end)
    back = list(takewhile(lambda time: time > start, preceding(cron, ANCHOR, end)))
    assert back == found[::-1]


@given(st.integers(1, 10**6), st.floats(-(10**6), 10**7), st.floats(0, 10**6))
def test_an_interval_counts_from_its_anchor(seconds: int, offset: float, length: float) -> None:
    """Every so many seconds, neither drifting nor caring where one begins to look."""
    every = Every(seconds=seconds)
    start = ANCHOR + timedelta(seconds=offset)
    end = start + timedelta(seconds=min(length, 100 * seconds))
    found = list(takewhile(lambda time: time <= end, following(every, ANCHOR, start)))
    assert all((time - ANCHOR).total_seconds() % seconds == 0 for time in found)
    span = (end - max(start, ANCHOR)).total_seconds()
    assert abs(len(found) - max(0.0, span) / seconds) <= 1
    assert list(takewhile(lambda time: time > start, preceding(every, ANCHOR, end))) == found[::-1]


def test_a_moment_comes_once() -> None:
    """One moment lies ahead or behind, never both."""
    at = At(moment=ANCHOR)
    second = timedelta(seconds=1)
    assert list(following(at, ANCHOR, ANCHOR - second)) == [ANCHOR] == list(preceding(at, ANCHOR, ANCHOR))
    assert list(following(at, ANCHOR, ANCHOR)) == [] == list(preceding(at, ANCHOR, ANCHOR - second))


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        (Cron(expression="61 * * * *"), "bad minute"),
        (Cron(expression="0 9 * *"), "five fields"),
        (Cron(expression="* * * * * *"), "five fields"),
        (Cron(expression="0 9 31 2 *"), "bad day-of-month"),
        (Cron(expression="0 9 29 2 MON#5", timezone="Europe/Zürich"), "'Europe/Zurich'"),
        (Cron(expression="0 9 * * *", timezone="../../etc/passwd"), "no time zone"),
        (Cron(expression="0 9 * * *", timezone="Europe"), "no time zone"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(cron: Cron, why: str) -> None:
    """A wrong expression or zone is found before it is stored, and the error says what is wrong with it."""
    with pytest.raises(ConfigError, match=why):
        check(cron)
