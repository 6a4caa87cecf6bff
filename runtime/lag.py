"""Lag: when a blocked event loop is worth an event, of a worker as of an isolated agent's process. Pure."""

LAG_REPORTED = 1.0  # seconds of a blocked event loop that are worth an event


class Lag:
    """The blocks of one event loop: told once for a second, and again each time that has doubled."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = 0.0

    def is_news(self, seconds: float) -> bool:
        """Whether to tell that it has been blocked for so long; less than a second ends a block."""
        if seconds < LAG_REPORTED:
            self._told = 0.0
        if seconds < max(LAG_REPORTED, 2 * self._told):
            return False
        self._told = seconds
        return True
