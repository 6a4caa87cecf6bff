"""What fits a budget, what a delegate gets of it, and that shares never make more than there was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.budget import LIMITS, Budget, Cost, exceeded, narrower, share

COUNTS = st.integers(0, 10_000)
MONEY = st.floats(0, 1000)
COSTS = st.builds(Cost, steps=COUNTS, tool_calls=COUNTS, seconds=MONEY, tokens=COUNTS, usd=MONEY)
BUDGETS = st.builds(
    Budget,
    steps=st.none() | COUNTS,
    tool_calls=st.none() | COUNTS,
    seconds=st.none() | MONEY,
    tokens=st.none() | COUNTS,
    usd=st.none() | MONEY,
    depth=st.integers(0, 3),
)


def test_the_defaults_are_the_seeds():
    assert Budget() == Budget(steps=20, tool_calls=50, seconds=300.0, tokens=None, usd=None, depth=1)


@pytest.mark.parametrize("name", LIMITS)
def test_the_limit_that_is_passed_is_named(name):
    open_ = dict.fromkeys(LIMITS)
    over = exceeded(Budget(**{**open_, name: 3}), Cost(**{name: 2}), Cost(**{name: 2}))
    assert (over.limit, over.allowed, over.wanted) == (name, 3, 4)
    assert str(over) == f"the budget allows 3 {name}, and 4 would be used"
    assert exceeded(Budget(**{**open_, name: 4}), Cost(**{name: 2}), Cost(**{name: 2})) is None


@given(BUDGETS, COSTS, st.integers(1, 8))
def test_shares_together_are_never_more_than_what_is_left(budget, held, parts):
    one = share(budget, held, parts)
    if budget.tokens is not None:
        assert one.tokens * parts <= max(0, budget.tokens - held.tokens)
    if budget.usd is not None:
        assert one.usd * parts <= max(0.0, budget.usd - held.usd) * (1 + 1e-9)
    assert one.depth == max(0, budget.depth - 1)
    assert (one.tokens is None) == (budget.tokens is None)


@given(BUDGETS, BUDGETS)
def test_a_slice_never_widens(one, other):
    both = narrower(one, other)
    for name in (*LIMITS, "depth"):
        known = [v for v in (getattr(one, name), getattr(other, name)) if v is not None]
        assert getattr(both, name) == min(known, default=None)
