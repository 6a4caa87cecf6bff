"""Streams: stdin, stdout and stderr of the process, also where it was started without one of them.

Not responsible for what is written to them (`answer.py`). Invariant: a file that the program opens never gets
the number of a stream that was closed: nobody reads a server's socket as what was typed, or writes a result
into the file of a database.
"""

import os
import sys
from typing import Literal, TextIO


def complete() -> None:
    """Put a stream in the place of each that was closed, one on which whatever is read or written fails."""
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):  # the wrong way round
        try:
            os.fstat(number)
        except OSError:
            there = os.open(os.devnull, mode)  # the smallest number that is free, which is this one
            os.set_inheritable(there, True)
    sys.stdin = sys.stdin or _over(0, "r")
    sys.stdout = sys.stdout or _over(1, "w")
    sys.stderr = sys.stderr or _over(2, "w")


def silence(stream: TextIO) -> None:
    """Have what is written to a stream go nowhere, now and when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _over(number: int, mode: Literal["r", "w"]) -> TextIO:
    return open(number, mode, encoding="utf-8", closefd=False)
