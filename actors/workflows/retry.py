"""Retry: how often a step that failed is tried again, and after how long."""

from typing import Annotated

import msgspec

from .duration import Seconds


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What follows a failed attempt.

    Attributes:
        max: Attempts after the first one.
        backoff: Seconds before the first of them.
        factor: What each further wait is multiplied with.
        max_delay: The longest wait in seconds, before jitter.
        jitter: The part of a wait that chance may take off or add: 0.1 is ten per cent.
        non_retryable: Codes of failures that another attempt would not mend, beside those that say so.
    """

    max: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 3
    backoff: Seconds = 1.0
    factor: Annotated[float, msgspec.Meta(ge=1, le=100)] = 2.0
    max_delay: Seconds = 60.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    non_retryable: tuple[str, ...] = ()

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait after a failed attempt.

        Args:
            attempt: The one that failed: 1, 2, ...
            chance: From 0 to 1, drawn by the caller, so that it can be written down.
        """
        try:
            grown = min(self.backoff * self.factor ** (attempt - 1), self.max_delay)
        except OverflowError:
            grown = self.max_delay if self.backoff else 0.0
        return max(0.0, grown * (1 + self.jitter * (2 * chance - 1)))


NO_RETRY = Retry(max=0)
