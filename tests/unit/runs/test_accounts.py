"""A shared budget holds whoever takes from it, and however often it is told the same."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.accounts import SETTLED_KEPT, Account, Accounts
from actorium.actors.runs.budget import Budget, Cost, Exceeded
from actorium.storage.memory import MemoryState

LIMIT = 1000


def budget(**limits) -> Budget:
    return Budget(**{"steps": None, "tool_calls": None, "seconds": None, **limits})


def accounts(store) -> Accounts:
    return Accounts(store, random.Random(7))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 600), st.booleans()), max_size=30))
def test_spent_and_reserved_never_pass_the_limit_where_calls_cost_what_was_reserved(moves):
    account, asked = Account(budget=budget(tokens=LIMIT)), {}
    for name, tokens, settles in moves:
        before = account.spent.tokens
        if settles:
            account = account.settle(name, asked.pop(name, Cost()))
        else:
            after = account.reserve(name, Cost(tokens=tokens))
            if not isinstance(after, Exceeded):
                asked.setdefault(name, after.reserved.get(name, Cost()))
                account = after
        assert account.spent.tokens >= before
        assert account.spent.tokens + sum(c.tokens for c in account.reserved.values()) <= LIMIT


def test_a_key_is_reserved_once_and_settled_once():
    account = Account(budget=budget(tokens=LIMIT)).reserve("a", Cost(tokens=10))
    assert account.reserve("a", Cost(tokens=10)) == account
    settled = account.settle("a", Cost(tokens=7))
    assert settled.spent.tokens == 7
    assert settled.settle("a", Cost(tokens=7)) == settled
    assert settled.reserve("a", Cost(tokens=10)) == settled  # a late one holds nothing
    for number in range(SETTLED_KEPT + 1):
        settled = settled.reserve(f"b{number}", Cost()).settle(f"b{number}", Cost())
    assert settled.settle("a", Cost(tokens=7)).spent.tokens == 7  # even when the key is forgotten


def test_an_account_that_limits_money_takes_no_call_without_a_price():
    assert Account(budget=budget(usd=1.0)).reserve("a", Cost(), "no price of x") == Exceeded(
        "usd", 1.0, 0.0, "no price of x"
    )
    assert isinstance(Account(budget=budget(tokens=5)).reserve("a", Cost(), "no price of x"), Account)


async def test_many_who_share_an_account_spend_no_more_than_it_has():
    """Forty workers, each in its own process as far as the store can tell."""
    store, granted = MemoryState(), []
    await accounts(store).open("team", budget(tokens=LIMIT))

    async def worker(number: int) -> None:
        mine = Accounts(store, random.Random(number))
        for turn in range(5):
            key = f"{number}/{turn}"
            if await mine.reserve("team", key, Cost(tokens=40)) is None:
                granted.append(key)
                await asyncio.sleep(0)
                await mine.settle("team", key, Cost(tokens=random.Random(turn).randint(0, 40)))

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(worker(number))
    account = await accounts(store).open("team", budget())
    assert account.reserved == {}
    assert account.spent.tokens <= LIMIT
    assert len(granted) >= LIMIT // 40


async def test_an_account_that_was_never_opened_has_no_limits():
    assert await accounts(MemoryState()).reserve("new", "k", Cost(tokens=10**9)) is None
