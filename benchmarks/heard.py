"""Heard: what was said of whom, and when, by a subscription of nats-py that stands beside the work."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import nats
from nats.aio.msg import Msg


class Said(msgspec.Struct, frozen=True):
    """A record or an event, as far as is looked at."""

    kind: str
    task: str = ""


class Heard:
    """Moments at which something was first said of each of some things.

    Args:
        whom: Of whom a message says it; None: it says something else.

    Attributes:
        at: `time.perf_counter` by whom it was said of.
    """

    def __init__(self, whom: Callable[[Msg, Said], str | None]) -> None:
        self.at: dict[str, float] = {}
        self._whom = whom
        self._news = asyncio.Event()

    async def wait(self, count: int, timeout: float) -> None:
        """Return when it was said of so many. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while len(self.at) < count:
                self._news.clear()
                await self._news.wait()

    async def take(self, message: Msg) -> None:
        """Take a message in."""
        whom = self._whom(message, msgspec.json.decode(message.data, type=Said))
        if whom is not None:
            self.at.setdefault(whom, time.perf_counter())
            self._news.set()


@asynccontextmanager
async def hearing(url: str, subject: str, whom: Callable[[Msg, Said], str | None]) -> AsyncIterator[Heard]:
    """Listen to a subject; what is said from now on is heard."""
    connection = await nats.connect(url, pending_size=2**24)
    heard = Heard(whom)
    await connection.subscribe(subject, cb=heard.take)
    await connection.flush()
    try:
        yield heard
    finally:
        await connection.close()
