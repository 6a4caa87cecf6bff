"""What people write as a time, and what is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.schedules.schedule import At, Cron, Every, When
from actorium.actors.schedules.words import EXAMPLES, moment, parse
from actorium.bus.errors import ConfigError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
ZURICH = "Europe/Zurich"


def at(text: str) -> At:
    return At(moment=datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("every hour", Every(seconds=3600)),
        ("Every 15 minutes", Every(seconds=900)),
        ("every 10s", None),
        ("hourly", Every(seconds=3600)),
        ("toutes les heures", Every(seconds=3600)),
        ("tous les 2 jours", Every(seconds=172_800)),
        ("in 3 days", at("2026-11-23T12:00Z")),
        ("in an hour", at("2026-11-20T13:00Z")),
        ("dans 3 jours", at("2026-11-23T12:00Z")),
        ("daily at 07:30", Cron(expression="30 7 * * *")),
        ("every day at 7:30 am", Cron(expression="30 7 * * *")),
        ("tous les jours à 7h30", Cron(expression="30 7 * * *")),
        ("Mondays at 9 in Europe/Zurich", Cron(expression="0 9 * * MON", timezone=ZURICH)),
        ("lundi à 9h", Cron(expression="0 9 * * MON")),
        ("mon, wed and fri 18:30", Cron(expression="30 18 * * MON,WED,FRI")),
        ("weekdays at noon", Cron(expression="0 12 * * MON-FRI")),
        ("the 1st of the month at 12am", Cron(expression="0 0 1 * *")),
        ("last day of every month at 6pm", Cron(expression="0 18 L * *")),
        ("le 1er du mois à minuit", Cron(expression="0 0 1 * *")),
        ("at 2026-12-01 09:00", at("2026-12-01T09:00Z")),
        ("2026-12-01 at 09:00 in Europe/Zurich", at("2026-12-01T08:00Z")),
        ("at 2027-03-28 02:30 in Europe/Zurich", at("2027-03-28T01:00Z")),
        ("at 2026-12-01T09:00+02:00", at("2026-12-01T07:00Z")),
        ("at 13", at("2026-11-20T13:00Z")),
        ("at 11:59", at("2026-11-21T11:59Z")),
        ("tomorrow at 8 America/New_York", at("2026-11-21T13:00Z")),
        ("0 9 * * MON", Cron(expression="0 9 * * MON")),
        ("*/5 8-18 * * MON-FRI UTC", Cron(expression="*/5 8-18 * * MON-FRI")),
    ],
)
def test_people_are_understood(text: str, when: When | None) -> None:
    """Words in two languages and cron expressions mean what they say."""
    if when is None:
        with pytest.raises(ConfigError, match="cannot read"):
            parse(text, NOW)
    else:
        assert parse(text, NOW) == when


def test_a_zone_of_its_own_counts_before_the_given_one() -> None:
    """Times stand on the wall of the zone that the text names, else of the one that is given."""
    assert parse("daily at 9", NOW, ZURICH) == Cron(expression="0 9 * * *", timezone=ZURICH)
    assert parse("daily at 9 in UTC", NOW, ZURICH) == Cron(expression="0 9 * * *")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("every month", "cannot read"),
        ("every 0 minutes", "cannot read"),
        ("every 9999999 weeks", "cannot read"),
        ("Mondays at 25", "cannot read"),
        ("Mondays at 13pm", "cannot read"),
        ("someday at 9", "cannot read"),
        ("today at 11", "has passed"),
        ("at 2026-11-20 12:00", "has passed"),
        ("at 2026-13-01 09:00", "no moment"),
        ("daily at 9 in Europe/Zurrich", "did you mean 'Europe/Zurich'"),
        ("61 9 * * *", "bad minute"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, why: str) -> None:
    """Nothing is guessed: the error says what is wrong."""
    with pytest.raises(ConfigError, match=why):
        parse(text, NOW)


def test_the_error_lists_what_is_understood() -> None:
    """Somebody who is not understood sees examples, and each of them is understood."""
    with pytest.raises(ConfigError) as refused:
        parse("whenever you like", NOW)
    for example in EXAMPLES:
        assert repr(example) in refused.value.message
        parse(example, NOW)


WORDS = ["every", "9", "at", "in", "MON", "*", "/", ",", "days", "1st", "à", "UTC"]


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text is an accident: there is a time, or the one error that says why not."""
    try:
        parse(text, NOW)
    except ConfigError:
        return


def test_a_moment_may_name_its_offset() -> None:
    """A date without an offset stands on the wall of the zone."""
    assert moment("2026-12-01 09:00", ZURICH) == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert moment("2026-12-01T09:00Z", ZURICH) == datetime(2026, 12, 1, 9, tzinfo=UTC)
