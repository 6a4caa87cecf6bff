"""A plain function off the event loop, in a thread of its own."""

import asyncio
import contextvars
import threading

import pytest

from actorium.actors.thread import in_thread

TOLD = contextvars.ContextVar("TOLD", default="")


async def test_what_it_returns_and_raises_arrives_where_it_was_called():
    TOLD.set("context")
    assert await in_thread(lambda a, b=0: (a + b, TOLD.get()), 1, b=2) == (3, "context")
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_thread(lambda: next(iter(())))


async def test_many_that_wait_for_each_other_all_have_a_thread():
    """A pool of a few threads would never come to the one that lets the others go."""
    together = threading.Barrier(60)
    await asyncio.gather(*(in_thread(together.wait, 10.0) for _ in range(60)))


async def test_one_that_hangs_keeps_nobody_waiting():
    free = threading.Event()
    hanging = asyncio.ensure_future(in_thread(free.wait))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    free.set()
