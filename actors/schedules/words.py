"""Words: a `when` as people say it, in English or French, or as a cron expression.

Not responsible for what the times then are (`timetable.py`). Pure: the present moment is an argument.
Invariant: a text is read in one way or refused with examples of all that is understood; nothing is guessed.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from ...bus.errors import ConfigError
from .schedule import LONGEST_PERIOD, At, Cron, Every, When
from .timetable import check, instant, whole, zone_of

EXAMPLES: Final = (
    "every hour", "every 15 minutes", "in 3 days", "daily at 07:30", "weekdays at 8:15",
    "Mondays and Fridays at 9 in Europe/Zurich", "the 1st of the month at 6pm", "tomorrow at noon",
    "at 2026-12-01 09:00", "0 9 * * MON", "toutes les 2 heures", "dans 3 jours", "le lundi à 9h",
)  # fmt: skip

_SECONDS: Final = {
    "second": 1, "seconde": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "heure": 3600,
    "day": 86_400, "jour": 86_400, "week": 604_800, "semaine": 604_800,
}  # fmt: skip
_EVERY: Final = {"hourly": 3600, "daily": 86_400, "weekly": 604_800}
_DAYS: Final = {
    "monday": "MON", "tuesday": "TUE", "wednesday": "WED", "thursday": "THU", "friday": "FRI",
    "saturday": "SAT", "sunday": "SUN", "mon": "MON", "tue": "TUE", "wed": "WED", "thu": "THU",
    "fri": "FRI", "sat": "SAT", "sun": "SUN", "lundi": "MON", "mardi": "TUE", "mercredi": "WED",
    "jeudi": "THU", "vendredi": "FRI", "samedi": "SAT", "dimanche": "SUN", "weekday": "MON-FRI",
    "weekend": "SAT,SUN", "day": "*", "daily": "*", "jour": "*",
}  # fmt: skip
_AWAY: Final = {"today": 0, "aujourd'hui": 0, "tomorrow": 1, "demain": 1}
_NAMED: Final = {"noon": time(12), "midi": time(12), "midnight": time(0), "minuit": time(0)}

_ZONE = re.compile(r"(.*?)(?: (?:in|à|a|heure de))? ([A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+|UTC)")
_CLOCK = r"(\d{1,2}(?:[:h](?:\d\d)?)?(?: ?[ap]m)?|noon|midi|midnight|minuit)"
_TIME = re.compile(r"(\d{1,2})(?:[:h](\d\d)?)?(?: ?([ap])m)?")
_UNIT = rf"({'|'.join(_SECONDS)})s?"
_MONTH_DAY = (
    r"(?:monthly )?(?:on )?(?:the |le )?(\d{1,2}|last|dernier)(?:st|nd|rd|th|er|e)?(?: day| jour)?"
    r"(?: of (?:every|each|the) month| du mois| de chaque mois)"
)
_WORDS = r"([a-z']+(?:(?:, ?| and | et |, and )[a-z']+)*)"


def parse(text: str, now: datetime, timezone: str = "UTC") -> When:
    """What a text means.

    Args:
        now: From where "in 3 days" counts, and after which "at 9" is.
        timezone: Whose wall the times stand on where the text names none.

    Raises:
        ConfigError: It is not understood, it cannot be, or it has passed; the message has examples.
    """
    said = " ".join(text.split())
    if named := _ZONE.fullmatch(said):
        said, timezone = named[1], named[2]
    zone = zone_of(timezone)
    if _looks_like_cron(said):
        return _checked(Cron(expression=said, timezone=timezone))
    plain = unicodedata.normalize("NFKD", said).encode("ascii", "ignore").decode().lower()
    for pattern, read in _FORMS:
        match = pattern.fullmatch(plain)
        when = read(match, now, zone, timezone) if match else None
        if when is not None:
            return _checked(when)
    told = ", ".join(f"'{example}'" for example in EXAMPLES)
    raise ConfigError(f"cannot read the time {text!r}; understood are such as {told}", when=text)


def moment(text: str, timezone: str = "UTC") -> datetime:
    """A date, with a time and an offset or without, as a moment.

    Raises:
        ConfigError: It is none.
    """
    try:
        read = datetime.fromisoformat(text.strip().upper().replace(" AT ", " ").replace(" A ", " "))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no moment: write one as '2026-12-01 09:00'", moment=text) from error
    return instant(read, zone_of(timezone)) if read.tzinfo is None else whole(read)


def _looks_like_cron(said: str) -> bool:
    fields = said.split()
    return len(fields) == 5 and all(re.fullmatch(r"[\d*][\d*,/-]*", field) for field in fields[:2])


def _checked(when: When) -> When:
    check(when)
    return when


def _interval(match: re.Match[str], _now: datetime, _zone: tzinfo, _name: str) -> When | None:
    seconds = int(match[1] or 1) * _SECONDS[match[2]]
    return Every(seconds=seconds) if 0 < seconds <= LONGEST_PERIOD else None


def _named_interval(match: re.Match[str], _now: datetime, _zone: tzinfo, _name: str) -> When:
    return Every(seconds=_EVERY[match[1]])


def _later(match: re.Match[str], now: datetime, _zone: tzinfo, _name: str) -> When | None:
    seconds = _SECONDS[match[2]] * (int(match[1]) if match[1].isdigit() else 1)
    return At(moment=whole(now) + timedelta(seconds=seconds)) if 0 < seconds <= LONGEST_PERIOD else None


def _next(match: re.Match[str], now: datetime, zone: tzinfo, _name: str) -> When | None:
    clock = _time(match[1])
    if clock is None:
        return None
    today = now.astimezone(zone).date()
    moments = (instant(datetime.combine(today + timedelta(days=away), clock), zone) for away in (0, 1, 2))
    return At(moment=next(moment for moment in moments if moment > now))


def _day(match: re.Match[str], now: datetime, zone: tzinfo, _name: str) -> When | None:
    clock = _time(match[2])
    if clock is None:
        return None
    day = now.astimezone(zone).date() + timedelta(days=_AWAY[match[1]])
    return _ahead(instant(datetime.combine(day, clock), zone), now)


def _weekly(match: re.Match[str], _now: datetime, _zone: tzinfo, name: str) -> When | None:
    clock = _time(match[2])
    said = [word.removesuffix("s") for word in re.split(r", and | and | et |, ?", match[1])]
    if clock is None or not all(word in _DAYS for word in said):
        return None
    days = ",".join(_DAYS[word] for word in said)
    return Cron(expression=f"{clock.minute} {clock.hour} * * {'*' if '*' in days else days}", timezone=name)


def _monthly(match: re.Match[str], _now: datetime, _zone: tzinfo, name: str) -> When | None:
    clock = _time(match[2])
    if clock is None:
        return None
    day = match[1] if match[1].isdigit() else "L"
    return Cron(expression=f"{clock.minute} {clock.hour} {day} * *", timezone=name)


def _date(match: re.Match[str], now: datetime, _zone: tzinfo, name: str) -> When:
    return _ahead(moment(match[1], name), now)


def _ahead(moment: datetime, now: datetime) -> At:
    if moment <= now:
        raise ConfigError(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC has passed: name a time to come")
    return At(moment=moment)


def _time(text: str) -> time | None:
    """A time of day; None where there is none such."""
    if text in _NAMED:
        return _NAMED[text]
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        hour = hour % 12 + (12 if match[3] == "p" else 0) if 1 <= hour <= 12 else 24
    return time(hour, minute) if hour < 24 and minute < 60 else None


_Read = Callable[[re.Match[str], datetime, tzinfo, str], When | None]
_FORMS: Final[tuple[tuple[re.Pattern[str], _Read], ...]] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (rf"(?:every|each|toutes les|tous les|chaque) (?:(\d+) ?)?{_UNIT}", _interval),
        (rf"({'|'.join(_EVERY)})", _named_interval),
        (rf"(?:in|dans) (\d+|an?|une?) ?{_UNIT}", _later),
        (rf"(?:at|a) {_CLOCK}", _next),
        (rf"({'|'.join(_AWAY)})(?: at| a)? {_CLOCK}", _day),
        (rf"(?:(?:every|each|on|le|les|tous les|chaque) )?{_WORDS}(?: at| a)? {_CLOCK}", _weekly),
        (rf"{_MONTH_DAY}(?: at| a)? {_CLOCK}", _monthly),
        (r"(?:at |on |le )?(\d{4}-\d\d-\d\d.*)", _date),
    )
)
