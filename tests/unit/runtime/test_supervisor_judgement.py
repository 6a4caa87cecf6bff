"""Which deaths of workers a node bears, and for how long a worker counts as blocked."""

import pytest

from actorium.actors.supervision import Decision, Escalate, RestartChildren
from actorium.runtime.config import Settings
from actorium.runtime.deaths import PERIOD, PROMPT, VAIN, Death, judge, policy_of
from actorium.runtime.watched import GLANCE, blocked_for

SLOTS = ["n-0", "n-1"]


def after(
    deaths: int, *, worked: bool, every: float = 0.1, workers: int = 2, intensity: int = 100
) -> Decision:
    """What a node does about the last of so many deaths."""
    settings = Settings(workers=workers, intensity=intensity)
    slots = [f"n-{n}" for n in range(workers)]
    *earlier, last = [Death(slots[n % workers], n * every, worked) for n in range(deaths)]
    return judge(policy_of(settings), slots, earlier, last)


def test_tens_of_tasks_that_kill_at_each_attempt_are_borne() -> None:
    """Sixty with three attempts each, on a node of two workers."""
    assert isinstance(after(60 * 3, worked=True), RestartChildren)


def test_deaths_without_end_are_not_borne() -> None:
    """With the number in the reason."""
    assert after(201, worked=True) == Escalate("more than 200 died within 600 s")


def test_workers_that_never_begin_to_work_end_the_node_with_a_tenth_of_that() -> None:
    """They would die again."""
    assert isinstance(after(200 // VAIN, worked=False), RestartChildren)
    assert after(200 // VAIN + 1, worked=False) == Escalate(
        "more than 20 died within 600 s before they had begun to work"
    )


def test_deaths_of_workers_that_had_worked_are_not_counted_against_one_that_had_not() -> None:
    """A flood of poison, and then one failed start."""
    earlier = [Death("n-0", 0.0, worked=True)] * 150
    verdict = judge(policy_of(Settings(workers=2)), SLOTS, earlier, Death("n-1", 1.0, worked=False))

    assert verdict == RestartChildren(("n-1",), 0.05)


@pytest.mark.parametrize("worked", [True, False])
@pytest.mark.parametrize("workers", [1, 4, 64])
def test_the_intensity_is_that_of_each_worker(workers: int, worked: bool) -> None:
    """A larger node bears more."""
    borne = workers if worked else -(-workers // VAIN)

    assert isinstance(after(borne, worked=worked, workers=workers, intensity=1), RestartChildren)
    assert isinstance(after(borne + 1, worked=worked, workers=workers, intensity=1), Escalate)


def test_an_intensity_of_nothing_bears_no_death() -> None:
    """Of neither kind."""
    assert isinstance(after(1, worked=True, intensity=0), Escalate)
    assert isinstance(after(1, worked=False, intensity=0), Escalate)


def test_old_deaths_are_forgotten() -> None:
    """One now and then never adds up."""
    assert isinstance(after(1000, worked=True, every=PERIOD / 100), RestartChildren)


def test_a_worker_that_had_worked_is_back_soon_and_one_that_had_not_waits_longer_each_time() -> None:
    """The first costs tasks their attempts, and its neighbours wait."""
    assert after(20, worked=True) == RestartChildren(("n-1",), PROMPT)
    assert [after(n, worked=False).delay for n in (1, 2, 3, 20)] == [0.05, 0.1, 0.2, 5.0]


def test_a_blocked_worker_grows_older_with_every_look() -> None:
    """By its own word, or because it says nothing."""
    assert blocked_for(1.0, lag=1.25, silent=0.0, pause=0.25) == 1.25
    assert blocked_for(1.0, lag=0.0, silent=1.25, pause=0.25) == 1.25


def test_a_pause_in_which_nobody_watched_is_held_against_nobody() -> None:
    """The supervisor was stopped, and heard nothing for a minute."""
    assert blocked_for(0.0, lag=0.0, silent=60.0, pause=60.0) == GLANCE
    assert blocked_for(0.0, lag=60.0, silent=0.0, pause=60.0) == GLANCE


def test_a_worker_that_answers_is_not_blocked_any_more() -> None:
    """However long it was."""
    assert blocked_for(50.0, lag=0.0, silent=0.1, pause=0.25) == 0.1
