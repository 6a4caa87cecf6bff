"""Nearest: what a message adds to a name that is not known."""

from collections.abc import Iterable

_MOST = 12  # names listed where none is near


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: ", did you mean 'x'?" or what there is."""
    names = sorted(known)
    import difflib  # serves mistakes only

    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f", did you mean {close[0]!r}?"
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"; known are {', '.join(names[:_MOST])}{more}" if names else "; there are none"
