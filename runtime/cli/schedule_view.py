"""How schedules look on a terminal: as JSON with what their defaults leave out, as a row, as lines.

Not responsible for what they do. Invariant: one whose times cannot be told on this machine is shown as well.
"""

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Final

import msgspec

from ...actors.schedules.due import next_fire, over_since
from ...actors.schedules.progress import ran_ahead
from ...actors.schedules.schedule import At, Cron, Every, Schedule, said
from ...actors.schedules.timetable import zone_of
from ...bus.errors import ConfigError
from ...bus.value import JsonObject
from .answer import columns

HEAD: Final = ("NAME", "AGENT", "WHEN", "STATE", "NEXT", "LAST")
AHEAD: Final = 5  # times to come that `show` tells
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def shown(schedule: Schedule, now: datetime) -> JsonObject:
    """A schedule as JSON."""
    told: JsonObject = {"name": schedule.name, "agent": schedule.agent, "state": state(schedule, now)}
    told |= {"enabled": schedule.enabled, "misfire": schedule.misfire.value}
    told |= msgspec.to_builtins(schedule)
    coming = times_ahead(schedule, now, 1)
    return told | {"next_run": said(coming[0]) if coming else None}


def whole(schedule: Schedule, now: datetime) -> JsonObject:
    """A schedule as JSON with its next times."""
    coming = times_ahead(schedule, now, AHEAD)
    return shown(schedule, now) | {"next_runs": [said(time) for time in coming]}


def lines(told: JsonObject) -> str:
    """What was told as JSON, one field a line."""
    cells = {k: v if isinstance(v, str) else msgspec.json.encode(v).decode() for k, v in told.items()}
    return columns(list(cells.items()))


def row(schedule: Schedule, now: datetime) -> tuple[str, ...]:
    """A schedule as cells under HEAD; times are those on the wall of its zone."""
    last = _text(schedule.last_run, _zone(schedule))
    return (
        schedule.name, schedule.agent, _times(schedule), state(schedule, now), next_text(schedule, now), last,
    )  # fmt: skip


def state(schedule: Schedule, now: datetime) -> str:
    """How it stands, in a word or two."""
    if not schedule.enabled:
        return "paused"
    if ran_ahead(schedule, now):  # a clock that was wrong fired times to come: resume counts from now
        return "ran ahead"
    if schedule.error:
        return "failed"
    with suppress(ConfigError):
        return "over" if over_since(schedule, now) else "on"
    return "unread"


def next_text(schedule: Schedule, now: datetime) -> str:
    """The next time on the wall of its zone."""
    coming = times_ahead(schedule, now, 1)
    return _text(coming[0] if coming else None, _zone(schedule))


def times_ahead(schedule: Schedule, now: datetime, count: int) -> list[datetime]:
    """The next times, as far as there are some."""
    times: list[datetime] = []
    with suppress(ConfigError):
        while len(times) < count and (coming := next_fire(schedule, now)) is not None:
            times.append(coming)
            schedule = msgspec.structs.replace(schedule, last_run=coming)
    return times


def _times(schedule: Schedule) -> str:
    """Its times in a few words."""
    match schedule.when:
        case Cron(expression=expression):
            return expression
        case Every(seconds=seconds):
            size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
            return f"every {seconds // size} {unit}"
        case At():
            return "once"


def _zone(schedule: Schedule) -> tzinfo:
    with suppress(ConfigError):
        return zone_of(schedule.when.timezone) if isinstance(schedule.when, Cron) else UTC
    return UTC


def _text(moment: datetime | None, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" if moment else "-"
