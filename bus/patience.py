"""Patience: how long, and how often, to go on asking a server that has no leader, restarts, or is not there.

Only for what may be asked twice. Invariant: an answer ends it, a refusal included; only silence goes on.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import BusClosed, BusLost, DeadlineExceeded, NoOwner
from .jetstream import ApiError

T = TypeVar("T")

SILENCE = (BusLost, DeadlineExceeded, NoOwner)
# Not right now: peers for the replicas, JetStream, the leader, the stream, the consumer.
TRANSIENT = frozenset({10005, 10008, 10009, 10118, 10119})


def is_silence(error: Exception) -> bool:
    """Whether an error leaves open what happened: no answer, or one from a server without a leader."""
    return isinstance(error, SILENCE) or (isinstance(error, ApiError) and error.err_code in TRANSIENT)


def pause(attempt: int, jitter: float) -> float:
    """Seconds before the next attempt: 50 ms doubling up to 1 s, times 0.5 to 1.5 for `jitter` in 0 to 1."""
    return min(1.0, 0.05 * (1 << min(attempt, 10))) * (0.5 + jitter)


class Patience:
    """A budget of seconds for each call, spent with growing, jittered pauses.

    Args:
        seconds: How long to go on; publishes need 20 or more to survive a leader change.
        clock: Monotonic seconds.
        chance: Numbers in [0, 1) for the jitter.
    """

    def __init__(
        self,
        seconds: float = 20.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.seconds = seconds
        self.clock = clock
        self.chance = chance

    async def ask(self, call: Callable[[], Awaitable[T]], what: str, also: frozenset[int] = frozenset()) -> T:
        """Call until it is answered.

        Args:
            what: Names what is asked in the error.
            also: JetStream error codes that another attempt may cure here.

        Raises:
            BusLost: No answer in time; it may have happened.
            ApiError: The server refused.
        """
        tries = Tries(self)
        while True:
            try:
                return await call()
            except BusClosed:
                raise
            except (*SILENCE, ApiError) as error:
                if not (is_silence(error) or getattr(error, "err_code", 0) in also):
                    raise
                if not await tries.again():
                    text = f"{what} was not answered in {self.seconds:g} s: {error}"
                    raise BusLost(text) from error


class Tries:
    """The attempts of one call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._end = patience.clock() + patience.seconds
        self._count = 0

    async def again(self) -> bool:
        """Wait before another attempt; False at once where the budget does not reach that far."""
        wait = pause(self._count, self._patience.chance())
        if self._patience.clock() + wait >= self._end:
            return False
        self._count += 1
        await asyncio.sleep(wait)
        return True
