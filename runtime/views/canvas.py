"""Canvas: lines at the bottom of a terminal that are drawn over themselves.

Not responsible for what they say. Invariant: only what this canvas drew last is ever drawn over.
"""

from collections.abc import Sequence
from typing import TextIO

BREATH = 0.05  # seconds between two drawings: faster than that nobody reads
UP, CLEAR = "\x1b[{}A\r", "\x1b[J"


class Canvas:
    """The last lines of a terminal.

    Args:
        out: The terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = 0  # lines on the screen that the next drawing replaces

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines instead of those drawn before."""
        over = f"{UP.format(self._drawn)}{CLEAR}" if self._drawn else ""
        self._out.write(over + "".join(f"{each}\n" for each in lines))
        self._out.flush()
        self._drawn = len(lines)

    def keep(self) -> None:
        """What is drawn stays: the next drawing stands below it."""
        self._drawn = 0
