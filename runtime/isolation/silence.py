"""Silence: how long the process of an agent has not answered, and what is to be done about it.

Not responsible for doing it. Invariant: it is counted by our own looks, of which each adds LOOK seconds at
most: while our own process is stopped, or its event loop is blocked, nobody else grows silent.
"""

from enum import Enum, auto

LOOK = 0.5  # seconds between two looks
LAG_REPORTED = 1.0  # seconds of a blocked event loop that are worth an event


class Sign(Enum):
    """What a look asks for."""

    PING = auto()
    WAIT = auto()
    TELL = auto()  # one event when a loop is blocked for a second, and again each time that has doubled
    END = auto()


class Silence:
    """The silence of one process while it has something in hand.

    Args:
        limit: Seconds after which it is to be ended.

    Attributes:
        seconds: How long it has not answered our ping.
    """

    __slots__ = ("_limit", "_pinged", "_told", "seconds")

    def __init__(self, limit: float) -> None:
        self.seconds = 0.0
        self._limit = limit
        self._pinged = False
        self._told = 0.0

    def broken(self) -> None:
        """It answered."""
        self.seconds = self._told = 0.0
        self._pinged = False

    def look(self) -> Sign:
        """LOOK seconds have passed."""
        if not self._pinged:
            self._pinged = True
            return Sign.PING
        self.seconds += LOOK
        if self.seconds > self._limit:
            return Sign.END
        if self.seconds >= max(LAG_REPORTED, 2 * self._told):
            self._told = self.seconds
            return Sign.TELL
        return Sign.WAIT
