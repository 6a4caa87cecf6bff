"""Patience: how long, and how often, to go on asking a server that does not answer.

Not responsible for knowing which calls may be repeated; its callers are reads, and writes safe to repeat.
Invariant: only silence is asked again; what the server answered is never asked again.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..bus.errors import BusLost, DeadlineExceeded, NoOwner
from ..bus.jetstream import ApiError
from .errors import StorageError, StoreUnavailable

T = TypeVar("T")

SILENCE = (BusLost, DeadlineExceeded, NoOwner)
# Not right now: peers for the replicas, JetStream, the leader, the stream, the consumer.
UNAVAILABLE = frozenset({10005, 10008, 10009, 10118, 10119})
FIRST_PAUSE = 0.02  # seconds; doubles up to the longest
LONGEST_PAUSE = 1.0


def is_silence(error: Exception) -> bool:
    """Whether an error leaves open what happened: no answer, or one from a server without a leader."""
    return isinstance(error, SILENCE) or (isinstance(error, ApiError) and error.err_code in UNAVAILABLE)


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

    async def ask(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Call until it is answered.

        Args:
            what: What is asked, for the message of an error.

        Raises:
            StoreUnavailable: No answer in time.
            StorageError: The server refused.
        """
        tries = Tries(self)
        while True:
            try:
                return await call()
            except (*SILENCE, ApiError) as error:
                if not is_silence(error):
                    raise StorageError(f"{what}: the server refused: {error}") from error
                if not await tries.again():
                    raise StoreUnavailable(f"{what}: no answer in {self.seconds:g} s: {error}") from error


class Tries:
    """The attempts of one call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._end = patience.clock() + patience.seconds
        self._pause = FIRST_PAUSE

    async def again(self) -> bool:
        """Wait before another attempt; False at once where the budget does not reach that far."""
        pause = self._pause * (0.5 + self._patience.chance())
        if self._patience.clock() + pause >= self._end:
            return False
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)
        return True
