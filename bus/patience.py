"""Patience: asking a server again that lost its leader, restarts, or cannot be reached.

Only for what may be asked twice. Invariant: an answer ends it, a refusal included; only silence goes on.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import BusClosed, BusLost, DeadlineExceeded, NoOwner
from .jetstream import ApiError

T = TypeVar("T")
TRANSIENT = frozenset(
    {10008, 10009, 10118, 10119}
)  # JetStream, a leader, a stream, a consumer: not right now


def pause(attempt: int, jitter: float) -> float:
    """Seconds before the next attempt: 50 ms doubling up to 1 s, times 0.5 to 1.5 for `jitter` in 0 to 1."""
    return min(1.0, 0.05 * (1 << min(attempt, 10))) * (0.5 + jitter)


async def persist(
    action: Callable[[], Awaitable[T]], what: str, seconds: float, also: frozenset[int] = frozenset()
) -> T:
    """Call the action until it is answered.

    Args:
        what: Names the action in the error.
        seconds: How long to try.
        also: JetStream error codes that a retry may cure here.

    Raises:
        BusLost: No answer in that time; it may have happened.
        ApiError: The server refused.
    """
    clock = asyncio.get_running_loop().time
    end, attempt = clock() + seconds, 0
    while True:
        try:
            return await action()
        except BusClosed:
            raise
        except (DeadlineExceeded, BusLost, NoOwner) as error:
            last: Exception = error
        except ApiError as error:
            if error.err_code not in TRANSIENT | also:
                raise
            last = error
        wait = pause(attempt, random.random())
        if clock() + wait >= end:
            raise BusLost(f"{what} was not answered in {seconds:g} s: {last}") from last
        await asyncio.sleep(wait)
        attempt += 1
