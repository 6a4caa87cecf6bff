"""An event loop whose time passes only when nothing else can happen: an hour of waiting takes no time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting, moves the clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: everybody waits for somebody")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: one thread, no sockets but its own, no wall clock."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def play(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one thing to its end; what else is under way goes on as far."""
        return self.run_until_complete(work)

    def steps(self, count: int) -> None:
        """Let so many turns of the loop pass: a way to stop at an arbitrary await."""

        async def turn() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.play(turn())
