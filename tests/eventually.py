"""Waiting in a test for what becomes true by itself, without sleeping longer than needed."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    predicate: Callable[[], T | Awaitable[T]], timeout: float = 10.0, *, every: float = 0.01, what: str = ""
) -> T:
    """The first truthy value of `predicate`, plain or async; AssertionError when there is none in time.

    An AssertionError of the predicate itself counts as "not yet", and is shown when the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: T | None = None
        try:
            result = predicate()
            value = await result if inspect.isawaitable(result) else result
        except AssertionError as error:
            failure = error
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout} s: {what or predicate}; last value {value!r}"
            ) from failure
        await asyncio.sleep(every)
