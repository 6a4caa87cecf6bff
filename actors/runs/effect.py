"""EffectClass and Risk: what a call does to the world, and how much harm a wrong one can do.

Invariant: where nothing is said, the worst is assumed: a tool is irreversible.
"""

from enum import StrEnum
from typing import Final


class EffectClass(StrEnum):
    """What a call does to the world, which decides what follows a crash in the middle of it.

    pure and idempotent run again with the same key; compensable is undone, then runs; irreversible asks its
    probe, or else a person.
    """

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    COMPENSABLE = "compensable"
    IRREVERSIBLE = "irreversible"


class Risk(StrEnum):
    """How much harm a wrong call can do; above what is allowed it needs an approval."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def above(self, allowed: "Risk") -> bool:
        """Whether it is more than what is allowed."""
        return _ORDER.index(self) > _ORDER.index(allowed)

    def at_most(self, other: "Risk") -> "Risk":
        """The lower of both."""
        return other if self.above(other) else self


_ORDER: Final = tuple(Risk)
TIMEOUTS: Final = {Risk.LOW: 10.0, Risk.MEDIUM: 30.0, Risk.HIGH: 60.0}  # seconds, the seeds' own
