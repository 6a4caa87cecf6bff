"""Timetable: the nominal times of a cron expression, an interval or a single moment, in both directions.

Times on a wall follow one rule where clocks are changed: a time that does not exist is the first moment after
the gap, and one that exists twice is its first. An expression for every hour of the day follows elapsed time
instead: it leaves a gap out, and what comes twice counts twice. (cronsim is asked for times on the wall only:
with a zone, its rule depends on how the minutes are written.)
Not responsible for what is due. Invariant: times are UTC, whole seconds, strictly in order.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from heapq import merge
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from ...bus.errors import ConfigError
from .schedule import At, Cron, Every, When

SECOND = timedelta(seconds=1)
NOON = datetime(2000, 1, 1, 12)  # noqa: DTZ001  # any wall time: only the expression is checked


def check(when: When) -> None:
    """Find what is wrong with a `when` before it is stored.

    Raises:
        ConfigError: An expression that is none, or a time zone that is not known here.
    """
    if isinstance(when, Cron):
        zone_of(when.timezone)
        if next(_simulated(when.expression, NOON), None) is None:
            raise ConfigError(f"cron {when.expression!r} names no day that exists", cron=when.expression)


def following(when: When, anchor: datetime, after: datetime) -> Iterator[datetime]:
    """Nominal times later than a moment, oldest first.

    Args:
        anchor: From where an interval counts.
    """
    match when:
        case At(moment=moment):
            yield from [_at(moment)] if _at(moment) > after else []
        case Every(seconds=seconds):
            time = whole(anchor) + _periods(anchor, after, seconds) * timedelta(seconds=seconds)
            while True:
                if time > after:
                    yield time
                time += timedelta(seconds=seconds)
        case Cron():
            last = after
            for time in _cron_after(when, after):
                if time > last:
                    yield (last := time)


def preceding(when: When, anchor: datetime, until: datetime) -> Iterator[datetime]:
    """Nominal times up to a moment, newest first; arguments as `following`."""
    match when:
        case At(moment=moment):
            yield from [_at(moment)] if _at(moment) <= until else []
        case Every(seconds=seconds):
            count = _periods(anchor, until, seconds) if until >= whole(anchor) else -1
            for number in range(count, -1, -1):
                yield whole(anchor) + number * timedelta(seconds=seconds)
        case Cron():
            first = until + SECOND
            for time in _cron_until(when, until):
                if time <= until and time < first:
                    yield (first := time)


def _at(moment: datetime) -> datetime:
    """The nominal time of one moment: the first whole second that is not before it."""
    return whole(moment + SECOND - timedelta(microseconds=1))


def whole(moment: datetime) -> datetime:
    """A moment as a nominal time."""
    return moment.astimezone(UTC).replace(microsecond=0)


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """The moment of a time on the wall of a zone: the first after the gap it is in, the first of two."""
    before, after = (_offset(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    clock = wall.replace(tzinfo=UTC)
    if after <= before:
        return clock - before
    span = range(int((clock - after).timestamp()), int((clock - before).timestamp()))
    changed = bisect_left(span, True, key=lambda t: _offset(datetime.fromtimestamp(t, zone)) == after)
    return datetime.fromtimestamp(span.start + changed, UTC)


def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        ConfigError: There is none of that name here.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        close = get_close_matches(name, available_timezones(), 1, 0.5)
        hint = f", did you mean {close[0]!r}?" if close else ": name one like 'Europe/Zurich'"
        raise ConfigError(f"there is no time zone {name!r}{hint}", timezone=name) from error


def _periods(anchor: datetime, moment: datetime, seconds: int) -> int:
    """How many whole periods lie between; 0 where the moment lies before the anchor."""
    return max(0, (moment - whole(anchor)) // timedelta(seconds=seconds))


def _cron_after(cron: Cron, after: datetime) -> Iterator[datetime]:
    zone = zone_of(cron.timezone)
    local = whole(after).astimezone(zone)
    start = local.replace(tzinfo=None) - _overlap(local)
    if not _every_hour(cron.expression):
        return (instant(wall, zone) for wall in _simulated(cron.expression, start))
    return merge(*(_existing(_simulated(cron.expression, start), zone, fold) for fold in (0, 1)))


def _cron_until(cron: Cron, until: datetime) -> Iterator[datetime]:
    zone = zone_of(cron.timezone)
    local = (whole(until) + SECOND).astimezone(zone)
    end = local.replace(tzinfo=None) + _overlap(local)
    if not _every_hour(cron.expression):
        return (instant(wall, zone) for wall in _simulated(cron.expression, end, reverse=True))
    both = (_existing(_simulated(cron.expression, end, reverse=True), zone, fold) for fold in (0, 1))
    return merge(*both, reverse=True)


def _overlap(local: datetime) -> timedelta:
    """How far the wall may be behind or ahead of times that come later or came before: while it repeats."""
    return max(timedelta(0), _offset(local.replace(fold=0)) - _offset(local.replace(fold=1)))


def _existing(walls: Iterator[datetime], zone: tzinfo, fold: int) -> Iterator[datetime]:
    """The moments of those times on the wall that exist; of two the first, or with fold 1 the second."""
    for wall in walls:
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            yield moment


@lru_cache(maxsize=1024)
def _every_hour(expression: str) -> bool:
    return len(_simulated(expression, NOON).hours) == 24


def _simulated(expression: str, start: datetime, *, reverse: bool = False) -> CronSim:
    if len(expression.split()) != 5:
        told = f"cron {expression!r} must have five fields: minute hour day-of-month month day-of-week"
        raise ConfigError(told, cron=expression)
    try:
        return CronSim(expression, start, reverse=reverse)
    except CronSimError as error:
        raise ConfigError(f"cron {expression!r}: {str(error).lower()}", cron=expression) from error


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)
