"""Written: on which lines of a Python file the parts of a draft were written.

Not responsible for files of data: see `lines.py`. Invariant: only lines of the one file that began the draft
are told; what another file adds has the line at which that one was called.
"""

import sys
from types import FrameType

from .expressions.template import Place
from .lines import Lines


class Written:
    """The places of one draft, noted while it is written."""

    def __init__(self) -> None:
        frame = _caller()
        self._file = frame.f_code.co_filename
        self._at: dict[Place, int] = {(): frame.f_lineno}

    @property
    def lines(self) -> Lines:
        """Where everything stands so far."""
        return Lines(self._file, dict(self._at))

    def note(self, *place: str | int) -> None:
        """That a part is being written; the first time counts."""
        frame = _caller()
        while frame.f_code.co_filename != self._file:
            if frame.f_back is None:
                return
            frame = frame.f_back
        self._at.setdefault(place, frame.f_lineno)


def _caller() -> FrameType:
    """Whoever called the function that uses Written."""
    return sys._getframe(3)  # noqa: SLF001  # the way to a line that reads no source
