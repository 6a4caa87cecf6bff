"""The silence of an agent's process: when it is asked, told of, and ended."""

from actorium.runtime.isolation.silence import LOOK, Sign, Silence


def looks(silence: Silence, count: int) -> list[Sign]:
    return [silence.look() for _ in range(count)]


def test_it_is_told_after_a_second_and_each_time_it_has_doubled_until_the_end() -> None:
    silence = Silence(limit=16 * LOOK)
    seen = looks(silence, 18)
    assert seen[0] is Sign.PING
    assert [n * LOOK for n, sign in enumerate(seen) if sign is Sign.TELL] == [1.0, 2.0, 4.0, 8.0]
    assert seen.index(Sign.END) == 17
    assert set(seen) == set(Sign)


def test_one_that_answers_is_asked_again_and_never_ended() -> None:
    silence = Silence(limit=LOOK / 10)
    for _ in range(100):
        assert silence.look() is Sign.PING
        silence.broken()


def test_an_answer_begins_it_anew() -> None:
    silence = Silence(limit=4 * LOOK)
    before = looks(silence, 5)
    silence.broken()
    assert looks(silence, 5) == before
    assert silence.look() is Sign.END
