"""Asking again: only silence, and only for so long."""

import pytest

from actorium.bus.errors import BusClosed, BusLost, NoOwner
from actorium.bus.jetstream import ApiError
from actorium.bus.patience import Patience, pause
from actorium.storage.errors import StorageError, StoreUnavailable
from actorium.storage.nats_ask import ask

LATER = ApiError(503, 10008, "later")
OVERLAP = ApiError(400, 10100, "overlap")


class Script:
    """Answers in order; the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def __call__(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_pauses_grow_and_are_bounded():
    """Pauses double from 50 ms to a second, spread by half."""
    assert [pause(n, 0.5) for n in (0, 1, 2, 50)] == [0.05, 0.1, 0.2, 1.0]
    assert pause(50, 0.0) == 0.5
    assert pause(50, 1.0) == 1.5


async def test_patience_ends_with_the_first_answer():
    """Silence and a missing leader are asked again; a refusal is not."""
    script = Script(BusLost("x"), LATER, OVERLAP)

    with pytest.raises(ApiError, match="overlap"):
        await Patience(5.0).ask(script, "asking")
    assert script.answers == [OVERLAP]


async def test_a_refusal_that_another_attempt_may_cure_can_be_named():
    """Whoever asks knows which refusals pass by themselves."""
    assert await Patience(5.0).ask(Script(OVERLAP, 7), "asking", frozenset({10100})) == 7


async def test_patience_has_an_end():
    """Endless silence is BusLost with what was asked."""
    with pytest.raises(BusLost, match=r"making tea was not answered in 0\.1 s: nobody"):
        await Patience(0.1).ask(Script(NoOwner("nobody")), "making tea")


async def test_a_bus_that_was_closed_is_not_asked_again():
    """Nothing more can come."""
    script = Script(BusClosed("closed"), 7)

    with pytest.raises(BusClosed):
        await Patience(5.0).ask(script, "asking")


@pytest.mark.parametrize(
    ("answer", "error"), [(NoOwner("nobody"), StoreUnavailable), (OVERLAP, StorageError)]
)
async def test_storage_says_it_in_its_own_words(answer, error):
    """Who stores something need not know what travels."""
    with pytest.raises(error, match="reading x") as raised:
        await ask(Patience(0.1), Script(answer), "reading x")
    assert type(raised.value) is error
