"""Alarm: wakes a carrier at a moment, or a little before.

One that rings too early does no harm: whoever is woken looks at the clock. So it is set anew only for an
earlier moment, and a run of many short turns sets it once.
"""

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls back once, at the latest at the earliest of the moments it was set to.

    Args:
        ring: What is called.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring after so many seconds, or before."""
        loop = asyncio.get_running_loop()
        if self._handle is None or self._handle.when() > loop.time() + seconds:
            self.stop()
            self._handle = loop.call_later(seconds, self._rings)

    def stop(self) -> None:
        """Do not ring. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        self._ring()
