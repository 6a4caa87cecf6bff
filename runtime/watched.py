"""Watched: a live worker as its supervisor sees it: by its pidfd, its beats, and the lag that they tell.

Not responsible for what follows. Invariant: a worker is blocked only for as long as somebody watched: a
supervisor that was stopped itself has heard nobody, and holds that against none of its workers.
"""

import contextlib
import os
import signal

from .lag import Lag

GLANCE = 1.0  # seconds that may lie between two looks; in a longer pause nobody watched


def blocked_for(before: float, lag: float, silent: float, pause: float) -> float:
    """How long a worker's event loop has been blocked, as far as was seen. All are seconds.

    Args:
        before: What the last look found.
        lag: What the worker says itself.
        silent: Since it last said anything.
        pause: Since the last look.
    """
    return min(max(lag, silent), before + min(pause, GLANCE))


class Watched:
    """One live worker. All moments are monotonic seconds.

    Args:
        slot: Its place on the node.
        session: Its session.
        pid: Its process. Raises ProcessLookupError where that is gone.
        now: When it was born.

    Attributes:
        lag: Seconds for which its event loop has not turned, as it says itself.
        blocked: Seconds for which it has been blocked, as far as was seen.
    """

    def __init__(self, slot: str, session: str, pid: int, now: float) -> None:
        self.slot = slot
        self.session = session
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.born = now
        self.lag = self.blocked = 0.0
        self._heard = self._looked = now
        self._told = Lag()

    def beat(self, lag: float, now: float) -> None:
        """It says that it lives."""
        self.lag, self._heard = lag, now

    def look(self, now: float) -> None:
        """See how long it has been blocked."""
        pause, self._looked = now - self._looked, now
        self.blocked = blocked_for(self.blocked, self.lag, now - self._heard, pause)

    def lags(self) -> bool:
        """Whether to report what it says of its lag."""
        return self._told.is_news(self.lag)

    def send(self, number: signal.Signals) -> None:
        """Signal this process and no other; one that has ended is left alone."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """It has ended."""
        os.close(self.pidfd)
        self.pidfd = -1
