"""Purse: what one run's calls cost, and the shared account they are also paid from.

Not responsible for the run's own budget: it is folded from its ledger. Invariant: where a provider does not
tell what a call cost, or no price is known, what was reserved for it is what it cost.
"""

from collections.abc import Sequence

import msgspec

from ...bus.errors import ConfigError, Effect
from ..models.errors import ModelError
from ..models.port import Attempt, ModelRequest, ModelResponse, Usage
from ..models.prices import Known, Prices, Unknown
from ..models.tokens import tokens_of_request
from .accounts import Accounts
from .budget import NOTHING, Cost, Exceeded
from .call import Bill


class Charge(msgspec.Struct, frozen=True):
    """A cost, estimated or real; `unpriced` says why its money is not known, where it is not."""

    cost: Cost
    unpriced: str = ""

    @property
    def priced(self) -> bool:
        """Whether the money in it is known."""
        return not self.unpriced

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(self.cost + other.cost, self.unpriced or other.unpriced)


FREE = Charge(NOTHING)


class Purse:
    """Prices, and the account of one run.

    Args:
        run: The run's id: keys of the account begin with it.
        prices: What tokens cost.
        accounts: Shared budgets.
        account: The one that this run pays from; empty: none.

    Raises:
        ConfigError: An account is named, and there are no accounts.
    """

    def __init__(self, run: str, prices: Prices, accounts: Accounts | None = None, account: str = "") -> None:
        if account and accounts is None:
            raise ConfigError(f"{run} pays from account {account}, and no accounts are given", run=run)
        self._run = run
        self._prices = prices
        self._accounts = accounts if account else None
        self._account = account

    @property
    def shared(self) -> bool:
        """Whether the run pays from a shared account."""
        return self._accounts is not None

    def worst(self, models: Sequence[str], request: ModelRequest) -> Charge:
        """What a call costs at most, whichever of the models answers."""
        tokens = tokens_of_request(request) + request.max_tokens
        told = [self._prices.worst(model, request) for model in models]
        usd = max((price.usd for price in told if isinstance(price, Known)), default=0.0)
        unpriced = next((price.reason for price in told if isinstance(price, Unknown)), "")
        return Charge(Cost(steps=1, tokens=tokens, usd=usd), unpriced)

    def of_answer(self, response: ModelResponse, ahead: Charge) -> Charge:
        """What an answer cost, with the attempts before it."""
        last = self._of_usage(f"{response.provider}:{response.model}", response.usage, ahead)
        return sum((self._of_attempt(attempt, ahead) for attempt in response.attempts), last) + Charge(
            Cost(steps=1)
        )

    def of_error(self, error: ModelError, model: str, ahead: Charge) -> Charge:
        """What a call without an answer may have cost."""
        attempts = error.attempts or (Attempt(model=model, failure=error.failure(), usage=error.usage),)
        return sum((self._of_attempt(attempt, ahead) for attempt in attempts), FREE)

    async def reserve(self, bill: Bill, unpriced: str = "") -> Exceeded | None:
        """Reserve in the shared account; or the limit that it would pass. Idempotent by key."""
        if self._accounts is None:
            return None
        return await self._accounts.reserve(self._account, self._key(bill), bill.cost, unpriced)

    async def settle(self, bill: Bill) -> None:
        """Settle in the shared account. Idempotent by key."""
        if self._accounts is not None:
            await self._accounts.settle(self._account, self._key(bill), bill.cost)

    def _of_attempt(self, attempt: Attempt, ahead: Charge) -> Charge:
        if attempt.usage is None and attempt.failure.effect is Effect.NO:
            return FREE
        return self._of_usage(attempt.model, attempt.usage, ahead)

    def _of_usage(self, model: str, usage: Usage | None, ahead: Charge) -> Charge:
        if usage is None:
            return Charge(msgspec.structs.replace(ahead.cost, steps=0), ahead.unpriced)
        tokens = usage.input + usage.output
        price = self._prices.cost(model, usage)
        if isinstance(price, Unknown):
            return Charge(Cost(tokens=tokens, usd=ahead.cost.usd), price.reason)
        return Charge(Cost(tokens=tokens, usd=price.usd))

    def _key(self, bill: Bill) -> str:
        return f"{self._run}/{bill.key}"
