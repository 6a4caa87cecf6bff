"""Accounts: budgets that several runs share, on any worker: of a tenant, of a workflow.

An account is one value in the state store, changed by compare-and-set: reserve the worst case under a key,
then settle that key with what it really cost. Invariant: a key is settled once, and spent plus reserved never
passes the limit: an account is overspent by at most what calls in flight cost more than their estimates.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec

from ...storage.errors import Conflict
from ...storage.port import StateStore
from .budget import NOTHING, Budget, Cost, Exceeded, exceeded

SETTLED_KEPT = 256  # keys remembered after they were settled, so that a late reservation of one holds nothing


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A shared budget: its limits, what is spent, and what is reserved under which key."""

    budget: Budget
    spent: Cost = NOTHING
    reserved: dict[str, Cost] = {}
    settled: tuple[str, ...] = ()

    def reserve(self, key: str, ahead: Cost, unpriced: str = "") -> "Account | Exceeded":
        """With a reservation more; or the limit it would pass. The same key twice is one reservation.

        Args:
            unpriced: Why the money in it is not known: an account that limits money takes no such call.
        """
        if key in self.reserved or key in self.settled:
            return self
        if unpriced and self.budget.usd is not None:
            return Exceeded("usd", self.budget.usd, 0.0, unpriced)
        held = sum(self.reserved.values(), self.spent)
        over = exceeded(self.budget, held, ahead)
        return over or msgspec.structs.replace(self, reserved={**self.reserved, key: ahead})

    def settle(self, key: str, actual: Cost) -> "Account":
        """With a reservation turned into what it cost; a key that is not reserved changes nothing."""
        if key not in self.reserved:
            return self
        reserved = {name: cost for name, cost in self.reserved.items() if name != key}
        settled = (*self.settled, key)[-SETTLED_KEPT:]
        return msgspec.structs.replace(self, reserved=reserved, spent=self.spent + actual, settled=settled)


class Accounts:
    """Shared budgets in a state store, under `budget.<name>`.

    Args:
        store: The state store.
        rng: For the pauses between two tries.
    """

    def __init__(self, store: StateStore, rng: random.Random | None = None) -> None:
        self._store = store
        self._rng = rng or random.Random()

    async def open(self, name: str, budget: Budget) -> Account:
        """The account of that name, made with this budget where there is none; its seconds do not count."""
        return await self._change(name, lambda account: account or Account(budget=budget))

    async def reserve(self, name: str, key: str, ahead: Cost, unpriced: str = "") -> Exceeded | None:
        """Reserve the worst case of a call; or say which limit it would pass, and reserve nothing.

        An account that was never opened has no limits. Idempotent by key.
        """
        refused: list[Exceeded] = []

        def change(account: Account | None) -> Account:
            refused.clear()
            before = account or _unlimited()
            after = before.reserve(key, ahead, unpriced)
            if isinstance(after, Exceeded):
                refused.append(after)
                return before
            return after

        await self._change(name, change)
        return refused[0] if refused else None

    async def settle(self, name: str, key: str, actual: Cost) -> Account:
        """Turn a reservation into what the call cost. Idempotent by key."""
        return await self._change(name, lambda account: (account or _unlimited()).settle(key, actual))

    async def _change(self, name: str, change: Callable[[Account | None], Account]) -> Account:
        """Apply a change by compare-and-set until it holds."""
        while True:
            entry = await self._store.get(f"budget.{name}")
            before = msgspec.json.decode(entry.value, type=Account) if entry else None
            after = change(before)
            if after == before:
                return after
            try:
                revision = entry.revision if entry else 0
                await self._store.put(f"budget.{name}", msgspec.json.encode(after), revision=revision)
            except Conflict:
                await asyncio.sleep(0.01 * self._rng.random())
                continue
            return after


def _unlimited() -> Account:
    return Account(budget=Budget(steps=None, tool_calls=None, seconds=None))
