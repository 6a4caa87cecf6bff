"""What a supervisor decides when a child ends, as OTP's design principles say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.supervision import (
    Child,
    Escalate,
    Forget,
    Policy,
    Restart,
    RestartChildren,
    Strategy,
    agents,
    decide,
)

TRIO = [Child("a"), Child("b"), Child("c")]


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        (Strategy.ONE_FOR_ONE, ("b",)),
        (Strategy.ONE_FOR_ALL, ("a", "b", "c")),
        (Strategy.REST_FOR_ONE, ("b", "c")),
    ],
)
def test_the_strategy_says_who_is_restarted(strategy, restarted) -> None:
    """One for one, all, or the one and those started after it; always in start order."""
    decision = decide(Policy(strategy=strategy), TRIO, "b", failed=True, restarts=[], now=0.0)

    assert isinstance(decision, RestartChildren)
    assert decision.names == restarted


@pytest.mark.parametrize(
    ("restart", "failed", "expected"),
    [
        (Restart.PERMANENT, True, RestartChildren),
        (Restart.PERMANENT, False, RestartChildren),
        (Restart.TRANSIENT, True, RestartChildren),
        (Restart.TRANSIENT, False, Forget),
        (Restart.TEMPORARY, True, Forget),
        (Restart.TEMPORARY, False, Forget),
    ],
)
def test_the_restart_type_says_whether(restart, failed, expected) -> None:
    """Permanent always comes back, transient after a failure, temporary never."""
    decision = decide(Policy(), [Child("a", restart)], "a", failed=failed, restarts=[], now=0.0)

    assert isinstance(decision, expected)


def test_one_restart_more_than_the_intensity_escalates() -> None:
    """With intensity 3 the third restart happens, and the fourth failure ends the supervisor."""
    policy = Policy(intensity=3, period=10.0)

    third = decide(policy, TRIO, "a", failed=True, restarts=[1.0, 2.0], now=3.0)
    fourth = decide(policy, TRIO, "a", failed=True, restarts=[1.0, 2.0, 3.0], now=4.0)

    assert isinstance(third, RestartChildren)
    assert fourth == Escalate("a ended 4 times within 10 s")


def test_restarts_before_the_period_are_forgotten() -> None:
    """Only restarts within the period count, for the intensity and for the backoff."""
    policy = Policy(intensity=1, period=10.0, backoff=0.5)

    assert decide(policy, TRIO, "a", failed=True, restarts=[0.0], now=10.0) == RestartChildren(("a",), 0.5)
    assert isinstance(decide(policy, TRIO, "a", failed=True, restarts=[0.1], now=10.0), Escalate)


def test_the_backoff_doubles_up_to_its_cap() -> None:
    """Each further restart of a streak waits twice as long, and none longer than the cap."""
    policy = Policy(intensity=100, backoff=0.1, backoff_max=1.0)

    def delay(streak: int) -> float:
        decision = decide(policy, TRIO, "a", failed=True, restarts=[0.0] * streak, now=0.0)
        assert isinstance(decision, RestartChildren)
        return decision.delay

    assert [delay(n) for n in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_a_group_among_the_children_stands_for_its_members() -> None:
    """In start order, whichever way they are named; its supervisor is not stopped with them."""
    children = [Child("a"), Child("group", members=("b", "c")), Child("d")]

    assert agents(children, ("d", "group")) == ["b", "c", "d"]
    assert agents(children, ()) == []


CHILDREN = st.lists(st.sampled_from(Restart), min_size=1, max_size=5).map(
    lambda kinds: [Child(f"c{n}", kind) for n, kind in enumerate(kinds)]
)
POLICIES = st.builds(
    Policy,
    strategy=st.sampled_from(Strategy),
    intensity=st.integers(0, 5),
    period=st.floats(0.5, 20.0),
    backoff=st.floats(0.0, 2.0),
    backoff_max=st.floats(0.0, 5.0),
)


@given(CHILDREN, POLICIES, st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 4), st.booleans())))
def test_over_any_history_no_promise_is_broken(children, policy, ends) -> None:
    """No temporary child comes back, no window holds more restarts than the intensity, delays are capped."""
    now, restarts = 0.0, []
    for gap, index, failed in ends:
        now += gap
        child = children[index % len(children)]
        decision = decide(policy, children, child.name, failed=failed, restarts=restarts, now=now)
        match decision:
            case RestartChildren(names, delay):
                assert child.restart is not Restart.TEMPORARY
                assert child.name in names
                assert list(names) == [c.name for c in children if c.name in names]
                assert 0 <= delay <= policy.backoff_max
                restarts.append(now)
            case Forget(name):
                assert name == child.name
            case Escalate():
                break
        assert sum(now - policy.period < moment for moment in restarts) <= policy.intensity
