"""Cut: how what runs for an actor is cut short: by a deadline, a cancellation, or a stop whose grace is over.

Not responsible for what becomes of it then. Invariant: only what runs within `with cut:` is ever cut, and
behind the block the task is as if nobody had cancelled it.
"""

import asyncio
from types import TracebackType

from .outcome import Interrupt


class Cut:
    """A block that can be cut short from outside, one at a time; it ends with Interrupt then.

    Attributes:
        over: The grace of a stop is over: no block begins any more.
    """

    __slots__ = ("_asked", "_task", "over")

    def __init__(self) -> None:
        self.over = False
        self._asked = 0  # cancellations of ours that the task has not seen the end of
        self._task: asyncio.Task[object] | None = None

    @property
    def asked(self) -> bool:
        """Whether the block was cut short."""
        return self._asked > 0

    def __enter__(self) -> None:
        if self.over:
            raise Interrupt
        self._task = asyncio.current_task()

    def now(self) -> None:
        """Cut short what runs within, if anything does."""
        if self._task is not None:
            self._asked += 1
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        asked, self._asked = self._asked, 0
        if task is None or not asked:
            return
        for _ in range(asked):
            task.uncancel()
        if isinstance(error, asyncio.CancelledError) and not task.cancelling():  # else its owner ends it too
            raise Interrupt from None
