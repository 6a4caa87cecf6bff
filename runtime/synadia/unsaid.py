"""Unsaid: what of a text is still to be told when pieces of it, perhaps not all, were told while it came."""

from collections.abc import Iterator
from itertools import islice

OVERLAP = 32  # characters by which a text is found again in what was told
GAP = "\n\n"
PLACES = 64  # that are tried; a text that repeats itself more often than that is told whole


def unsaid(said: str, text: str) -> str:
    """What follows the longest beginning of the text with which all that was told ends.

    Args:
        said: Everything that was told, other things before it included.
    """
    tail = said[-len(text) :] if text else ""
    for start in _starts(tail, text[:OVERLAP]):
        if text.startswith(tail[start:]):
            return text[len(tail) - start :]
    return f"{GAP}{text}" if said and text else text


def _starts(tail: str, head: str) -> Iterator[int]:
    """Where the text may begin in what was told, first places first."""
    yield from islice(_finds(tail, head), PLACES)
    yield from range(max(0, len(tail) - OVERLAP + 1), len(tail))


def _finds(tail: str, head: str) -> Iterator[int]:
    start = tail.find(head) if head else -1
    while start >= 0:
        yield start
        start = tail.find(head, start + 1)
