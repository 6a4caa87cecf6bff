"""in_thread: a plain function off the event loop, in a thread of its own.

Not a pool: a call never waits for another one's thread, and a thread that hangs keeps nobody from stopping,
for it is a daemon. How many run at once is bounded by who calls: an actor handles one message at a time, a
run makes the calls of one step. Invariant: what it returns or raises arrives once, on the loop that asked.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[..., T], /, *args: object, **named: object) -> T:
    """Call a plain function and wait for it.

    Cancellation: the wait ends; the function goes on in its thread, and what it returns is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # what the function returned is a T

    def work() -> None:
        result, raised = None, None
        try:
            result = function(*args, **named)
        except BaseException as error:  # noqa: BLE001  # it is the caller's, on his own thread
            raised = RuntimeError(f"{error!r} in a thread") if isinstance(error, StopIteration) else error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, raised)

    context = contextvars.copy_context()
    name = getattr(function, "__qualname__", "function")
    threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
    return await done
