"""What a call costs, in US dollars: by the user's own prices, else by the list of genai-prices.

Not responsible for budgets. Invariant: a price that is not known is said to be unknown, never taken as zero.
"""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TypeAlias

import msgspec

from .port import ModelRequest, ModelResponse, Usage
from .profile import PROFILES
from .tokens import tokens_of_request

LISTED: Mapping[str, str] = {profile.name: profile.prices for profile in PROFILES} | {
    "anthropic": "anthropic"
}
MILLION = 1_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """US dollars per million tokens. What a cache has no price of its own for costs as input."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def of(self, usage: Usage) -> float:
        """The cost of a usage."""
        fresh = max(0, usage.input - usage.cache_read - usage.cache_write)
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        sum_ = fresh * self.input + usage.cache_read * read + usage.cache_write * write
        return (sum_ + usage.output * self.output) / MILLION


class Known(msgspec.Struct, frozen=True, tag="known"):
    """A cost in US dollars, and where its price comes from."""

    usd: float
    source: str


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """No cost, and why; it is not zero."""

    reason: str


Cost: TypeAlias = Known | Unknown


def preload() -> None:
    """Load the list, before a worker takes its first task: 0.25 s of CPU."""
    import_module("genai_prices")


class Prices:
    """The prices of a program.

    Args:
        own: The user's prices by `provider:model`, where `*` stands for anything; the first that fits wins.
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    def cost(self, model: str, usage: Usage | None, *, at: datetime | None = None) -> Cost:
        """What a usage costs.

        Args:
            model: `provider:model`.
            usage: None: the provider did not tell.
            at: When it was used, with its zone; None: now.
        """
        if usage is None:
            return Unknown(f"{model}: the provider did not tell its usage")
        for pattern, price in self._own.items():
            if fnmatchcase(model, pattern):
                return Known(price.of(usage), source=f"own price {pattern}")
        return _listed(model, usage, at)

    def cost_of(self, response: ModelResponse, *, at: datetime | None = None) -> Cost:
        """What a response costs, without the attempts that failed before it."""
        return self.cost(f"{response.provider}:{response.model}", response.usage, at=at)

    def worst(self, model: str, request: ModelRequest, *, at: datetime | None = None) -> Cost:
        """The most that a call may well cost: the estimated prompt, cached or not, and all it may write."""
        prompt = tokens_of_request(request)
        fresh = self.cost(model, Usage(input=prompt, output=request.max_tokens), at=at)
        cached = self.cost(model, Usage(input=prompt, output=request.max_tokens, cache_write=prompt), at=at)
        if isinstance(fresh, Known) and isinstance(cached, Known):
            return max(fresh, cached, key=lambda cost: cost.usd)
        return fresh


def _listed(model: str, usage: Usage, at: datetime | None) -> Cost:
    provider, _, name = model.partition(":")
    listed = LISTED.get(provider)
    if not listed:
        return Unknown(f"{model}: {provider} has no list of prices; give it a price of your own")
    try:
        from genai_prices import Usage as Counted
        from genai_prices import calc_price
    except ModuleNotFoundError:
        return Unknown(f"{model}: no list of prices: pip install 'actorium[prices]'")
    counted = Counted(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    try:
        found = calc_price(counted, name, provider_id=listed, genai_request_timestamp=at)
    except LookupError:
        return Unknown(f"{model}: not in the list of prices; give it a price of your own")
    except ValueError as error:
        return Unknown(f"{model}: its usage has no price: {error}")
    return Known(float(found.total_price), source=f"genai-prices {found.model.id}")
