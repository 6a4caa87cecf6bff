"""WorkflowScreen: shows a run of a workflow on stderr while it goes on: a line for what happens, or a tree.

Not responsible for what is shown (`workflow_lines.py`, `workflow_tree.py`). Invariant: stdout is never
touched; where stderr is no terminal nothing is ever drawn over.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from .canvas import BREATH, Canvas
from .workflow_lines import line
from .workflow_reader import Told
from .workflow_tree import Shown, head, tree


class WorkflowScreen(Protocol):
    """Where a run shows."""

    def show(self, told: Sequence[Told], shown: Callable[[], Shown]) -> None:
        """Something was written, or some time has passed."""

    def end(self, shown: Shown) -> None:
        """The run is over, or is watched no more."""


class LineScreen:
    """A line for what happens: for logs, pipes and machines.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, told: Sequence[Told], shown: Callable[[], Shown]) -> None:  # noqa: ARG002  # the port's
        """A line each."""
        self._write([text for each in told if (text := line(each))])

    def end(self, shown: Shown) -> None:
        """The whole in one line."""
        self._write([head(shown.run)])

    def _write(self, lines: Sequence[str]) -> None:
        self._out.write("".join(f"{each}\n" for each in lines))
        self._out.flush()


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
        self._canvas = Canvas(out)
        self._clock = clock
        self._size = size
        self._at = float("-inf")

    def show(self, told: Sequence[Told], shown: Callable[[], Shown]) -> None:  # noqa: ARG002  # the port's
        """Draw it anew, not too often: a fan-out of thousands writes faster than anybody reads."""
        if self._clock() - self._at < BREATH:
            return
        self._at = self._clock()
        columns, lines = self._size()
        self._canvas.draw(tree(shown(), width=columns, height=lines - 1))

    def end(self, shown: Shown) -> None:
        """The whole tree, which stays."""
        columns, _ = self._size()
        self._canvas.draw(tree(shown, width=columns))
        self._canvas.keep()
