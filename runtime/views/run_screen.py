"""RunScreen: shows a run on stderr while it goes on: a line for each record, or a tree that is drawn anew.

Not responsible for what is shown (`run_lines.py`, `live_tree.py`). Invariant: stdout is never touched; where
stderr is no terminal nothing is ever drawn over.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TextIO

from .canvas import BREATH, Canvas
from .live_tree import head, last_lines, tree
from .run_lines import line
from .run_reader import Told
from .run_view import RunView


class Screen(Protocol):
    """Where a run shows."""

    def show(self, told: Sequence[Told], view: RunView) -> None:
        """Records were written."""

    def hear(self, view: Callable[[], RunView], words: Mapping[str, str]) -> None:
        """A model said something."""

    def say(self, text: str) -> None:
        """Something else to say, which stays."""

    def ask(self, text: str) -> None:
        """Something to say at whose end somebody types; nothing is drawn until `go_on`."""

    def go_on(self) -> None:
        """What was typed is read."""

    def end(self, view: RunView) -> None:
        """The run is over, or is watched no more."""


class LineScreen:
    """A line for each record: for logs, pipes and machines.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, told: Sequence[Told], view: RunView) -> None:  # noqa: ARG002  # the port's
        """A line each."""
        for each in told:
            self.say(line(each))

    def hear(self, view: Callable[[], RunView], words: Mapping[str, str]) -> None:
        """Words are not shown: they come whole with their record."""

    def say(self, text: str) -> None:
        """A line."""
        self.ask(f"{text}\n")

    def ask(self, text: str) -> None:
        """A line without an end."""
        self._out.write(text)
        self._out.flush()

    def go_on(self) -> None:
        """Nothing was held back."""

    def end(self, view: RunView) -> None:
        """The whole in one line."""
        if view.began_ms:
            self.say(head(view))


class TreeScreen:
    """A tree at the bottom of a terminal, drawn over itself.

    Args:
        out: The terminal.
        clock: Monotonic seconds.
        size: Columns and lines of the terminal.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] = shutil.get_terminal_size,
    ) -> None:
        self._out = out
        self._clock = clock
        self._size = size
        self._canvas = Canvas(out)
        self._at = 0.0
        self._asking = False
        self._lines: list[str] = []

    def show(self, told: Sequence[Told], view: RunView) -> None:  # noqa: ARG002  # the port's
        """Draw it anew."""
        self._draw(view, {})

    def hear(self, view: Callable[[], RunView], words: Mapping[str, str]) -> None:
        """Draw it anew, not too often."""
        if self._clock() - self._at >= BREATH:
            self._draw(view(), words)

    def say(self, text: str) -> None:
        """Write it above the tree."""
        self._canvas.draw([text])
        self._canvas.keep()
        self._canvas.draw(self._lines)

    def ask(self, text: str) -> None:
        """Write it below the tree, which stays as it is."""
        self._asking = True
        self._canvas.keep()
        self._out.write(text)
        self._out.flush()

    def go_on(self) -> None:
        """Draw again with the next news."""
        self._asking = False

    def end(self, view: RunView) -> None:
        """The whole tree, which stays."""
        columns, _ = self._size()
        if view.began_ms:
            self._canvas.draw(tree(view, width=columns))
        self._canvas.keep()
        self._lines = []

    def _draw(self, view: RunView, words: Mapping[str, str]) -> None:
        if self._asking:
            return
        columns, lines = self._size()
        self._lines = last_lines(tree(view, width=columns, words=words), lines - 1)
        self._canvas.draw(self._lines)
        self._at = self._clock()
