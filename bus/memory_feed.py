"""MemoryFeed: what a `MemoryHub` stores for one reader, in one epoch.

Invariant: a feed that is not the newest of its line yields nothing, and its acks do nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from .errors import Interrupted
from .memory_hub import MemoryHub
from .port import Delivered, Past


class MemoryFeed:
    """The Feed port on a hub. Made by `MemoryBus.feed`; iterate it once."""

    def __init__(self, hub: MemoryHub, stream: str, pattern: str, epoch: int) -> None:
        self._hub = hub
        self._stream = hub.stream(stream)
        self._line = (stream, pattern)
        self.epoch = epoch
        self._waiting: deque[Past] = deque(self._stream.on(pattern))
        self._ready = asyncio.Event()
        self._closed = False
        self._error: Interrupted | None = None
        hub.take(self._line, self)

    async def __aiter__(self) -> AsyncIterator[Delivered]:
        """Tasks in stream order; ends when the feed was superseded or closed.

        Raises:
            Interrupted: The bus was severed and healed: open a feed of the next epoch.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self._closed or not self._current:
                return
            if self._waiting:
                past = self._waiting.popleft()
                yield Delivered(past.seq, past.message, f"{self.epoch}.{past.seq}")
                continue
            self._ready.clear()
            await self._ready.wait()

    async def ack(self, token: str) -> None:
        """Remove the task for good; of a superseded feed it does nothing."""
        epoch, _, seq = token.partition(".")
        if self._current and epoch == str(self.epoch):
            self._stream.remove(int(seq))

    async def working(self, token: str) -> None:
        """Nothing: here an owner may hold a task for ever."""

    async def close(self) -> None:
        """Stop receiving; unacknowledged tasks wait for the next feed. Idempotent."""
        self._closed = True
        self.wake()

    def interrupt(self) -> None:
        """Have the iteration raise Interrupted."""
        self._error = self._error or Interrupted(f"the connection was lost in epoch {self.epoch}")
        self.wake()

    def wake(self) -> None:
        """Look again whether this feed is still the one."""
        self._ready.set()

    def told(self, past: Past) -> None:
        """A task was stored on the partition."""
        self._waiting.append(past)
        self.wake()

    @property
    def _current(self) -> bool:
        return self._hub.readers.get(self._line) is self
