"""Silence: how long the process of an agent has not answered, and what is to be done about it.

Not responsible for doing it. Invariant: it is counted by our own looks, of which each adds LOOK seconds at
most: while our own process is stopped, or its event loop is blocked, nobody else grows silent.
"""

from enum import Enum, auto

from ..lag import Lag

LOOK = 0.5  # seconds between two looks


class Sign(Enum):
    """What a look asks for."""

    PING = auto()
    WAIT = auto()
    TELL = auto()
    END = auto()


class Silence:
    """The silence of one process while it has something in hand.

    Args:
        limit: Seconds after which it is to be ended.

    Attributes:
        seconds: How long it has not answered our ping.
    """

    __slots__ = ("_lag", "_limit", "_pinged", "seconds")

    def __init__(self, limit: float) -> None:
        self.seconds = 0.0
        self._limit = limit
        self._pinged = False
        self._lag = Lag()

    def broken(self) -> None:
        """It answered."""
        self.seconds = 0.0
        self._pinged = False

    def look(self) -> Sign:
        """LOOK seconds have passed."""
        if not self._pinged:
            self._pinged = True
            return Sign.PING
        self.seconds += LOOK
        if self.seconds > self._limit:
            return Sign.END
        return Sign.TELL if self._lag.is_news(self.seconds) else Sign.WAIT
