"""Budget: what a run may spend, and what it has spent, with the worst case reserved before each call.

Pure values: the run's own budget is folded from its ledger, a shared one is kept in `accounts.py`. Invariant:
nothing is called before its worst case fits, so a budget is passed by at most what calls in flight cost more
than their estimates. A delegate gets a slice, reserved in its parent's budget; what it leaves returns.
"""

from typing import Annotated, Final, TypeAlias

import msgspec

LIMITS: Final = ("steps", "tool_calls", "seconds", "tokens", "usd")
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Upper limits; None: unlimited. The defaults are the seeds' own.

    Attributes:
        steps: Turns of the model; a call that failed is none.
        tool_calls: Tool calls, delegations included.
        seconds: Wall time while the run is carried; waiting for people and for a worker does not count.
        tokens: Input and output together, delegates' included.
        usd: Money, delegates' included.
        depth: Levels of delegation below this agent; 1: its delegates delegate no further.
    """

    steps: Count | None = 20
    tool_calls: Count | None = 50
    seconds: Amount | None = 300.0
    tokens: Count | None = None
    usd: Amount | None = None
    depth: Count = 1


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount of everything that is counted: spent, reserved or estimated."""

    steps: int = 0
    tool_calls: int = 0
    seconds: float = 0.0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            steps=self.steps + other.steps,
            tool_calls=self.tool_calls + other.tool_calls,
            seconds=self.seconds + other.seconds,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
        )


NOTHING: Final = Cost()
ONE_CALL: Final = Cost(tool_calls=1)


class Exceeded(msgspec.Struct, frozen=True):
    """Which limit a call would pass. `reason` says it where the numbers do not: no price is known."""

    limit: str
    allowed: float
    wanted: float
    reason: str = ""

    def __str__(self) -> str:
        told = f"the budget allows {self.allowed:g} {self.limit}, and {self.wanted:g} would be used"
        return self.reason or told


def exceeded(budget: Budget, spent: Cost, ahead: Cost) -> Exceeded | None:
    """The first limit that what is spent and what lies ahead pass together; None where all of it fits."""
    total = spent + ahead
    for name in LIMITS:
        allowed, wanted = getattr(budget, name), getattr(total, name)
        if allowed is not None and wanted > allowed:
            return Exceeded(name, allowed, wanted)
    return None


def share(budget: Budget, held: Cost, parts: int) -> Budget:
    """A delegate's slice of what remains: one of equal parts of tokens and money, and all of the time.

    Steps and tool calls are each agent's own. One level less of delegation.

    Args:
        held: What is spent or reserved.
        parts: How many shall have one, the agent itself included.
    """
    tokens = None if budget.tokens is None else max(0, budget.tokens - held.tokens) // parts
    usd = None if budget.usd is None else max(0.0, budget.usd - held.usd) / parts
    seconds = None if budget.seconds is None else max(0.0, budget.seconds - held.seconds)
    return Budget(
        steps=None,
        tool_calls=None,
        seconds=seconds,
        tokens=tokens,
        usd=usd,
        depth=max(0, budget.depth - 1),
    )


def narrower(one: Budget, other: Budget) -> Budget:
    """The lower of two budgets, limit by limit: a slice never widens what an agent has by itself."""

    def low(name: str) -> float | None:
        known = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        return min(known, default=None)

    lowest = {name: low(name) for name in LIMITS}
    return msgspec.convert({**lowest, "depth": min(one.depth, other.depth)}, Budget)
