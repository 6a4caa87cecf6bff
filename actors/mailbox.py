"""Mailbox: what waits for one actor, bounded, first in first out.

Not responsible for durability: a stored task waits in the inbox stream and only its turn is kept here.
Invariant: the count never passes the bound; the deque exists only while something waits.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from ..bus.errors import MailboxFull

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A bounded queue that costs nothing while it is empty.

    Args:
        bound: How many may wait.
    """

    __slots__ = ("_bound", "_waiting")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[T] | None = None

    def __len__(self) -> int:
        return len(self._waiting) if self._waiting else 0

    def put_nowait(self, item: T) -> None:
        """Add at the end.

        Raises:
            MailboxFull: As many as the bound are waiting; nothing was added.
        """
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= self._bound:
            raise MailboxFull(f"the mailbox holds its bound of {self._bound}", bound=str(self._bound))
        self._waiting.append(item)

    def put_anyway(self, item: T) -> None:
        """Add at the end an item whose number is bounded elsewhere (a stored task: by its stream)."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(item)

    def put_back(self, item: T) -> None:
        """Return an item that was taken and not finished: it is first again. The bound was counted."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.appendleft(item)

    def remove(self, item: T) -> None:
        """Take an item that waits, out of its turn. Raises ValueError where it does not wait."""
        if self._waiting is None:
            raise ValueError("nothing waits")
        self._waiting.remove(item)

    def take_nowait(self) -> T | None:
        """The first, or None where nothing waits."""
        if not self._waiting:
            self._waiting = None
            return None
        return self._waiting.popleft()

    def __iter__(self) -> Iterator[T]:
        return iter(self._waiting or ())

    def take_all(self) -> list[T]:
        """Everything that waits, in order; the mailbox is empty afterwards."""
        waiting, self._waiting = self._waiting, None
        return list(waiting or ())
