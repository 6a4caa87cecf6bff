"""Interrupts: what Ctrl-C and SIGTERM mean to a program, by how far it has come.

While it starts, either ends what was begun. Once it runs, either is a planned stop, and Ctrl-C during that
stop ends the wait for what is in hand. Not responsible for ending anything itself. Invariant: a signal never
raises in the middle of something; it cancels the task that made this object, once, or calls what was given.
"""

import asyncio
import signal
from collections.abc import Callable
from enum import Enum, auto


class Phase(Enum):
    """How far a program has come."""

    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()


class Interrupts:
    """The signals of one program; made in the task that runs it, for as long as its event loop lives.

    Attributes:
        cut: Whether Ctrl-C cut something short: the start, or the wait for what was in hand.
    """

    def __init__(self) -> None:
        self.cut = False
        self._phase = Phase.STARTING
        self._task = asyncio.current_task()
        self._stop: Callable[[], None] = _nothing
        self._hurry: Callable[[], None] = _nothing
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._take, number)

    @property
    def ended_start(self) -> bool:
        """Whether a signal cancelled the task before the program ran."""
        return self._phase is Phase.STOPPING and self._stop is _nothing

    def running(self, stop: Callable[[], None]) -> None:
        """The start is over: from now on a signal is a planned stop."""
        if self._phase is Phase.STARTING:
            self._phase, self._stop = Phase.RUNNING, stop

    def hurried_by(self, hurry: Callable[[], None]) -> None:
        """What ends the wait of a stop."""
        self._hurry = hurry

    def _take(self, number: signal.Signals) -> None:
        phase, self._phase = self._phase, Phase.STOPPING
        by_hand = number is signal.SIGINT
        self.cut = self.cut or (by_hand and phase is not Phase.RUNNING)
        if phase is Phase.RUNNING:
            self._stop()
        elif phase is Phase.STARTING and self._task is not None:
            self._task.cancel()
        elif by_hand:
            self._hurry()


def _nothing() -> None:
    """Nothing is there yet that could be stopped."""
