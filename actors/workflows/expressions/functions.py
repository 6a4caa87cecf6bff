"""Functions: the few that an expression can call, and what they say of values that they have no use for.

`exists` and `default` are not among those here: what they are asked about may not be there to be handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ....bus.value import Json

ARGUMENTS: Final[Mapping[str, int]] = {  # how many each function takes
    "all": 1,
    "any": 1,
    "default": 2,
    "exists": 1,
    "len": 1,
    "lower": 1,
    "max": 1,
    "min": 1,
    "sum": 1,
}


class Missing(Exception):
    """A name, a field or an item is not there."""


class Unfit(Exception):
    """A value is not of the kind that is needed."""


def call(function: str, value: Json, at: int) -> Json:
    """The value of a function of one argument.

    Args:
        at: Where the call stands, for the error.

    Raises:
        Unfit: The function has no use for such a value.
        Missing: There is no such value.
    """
    return _FUNCTIONS[function](value, at)


def need_order(values: Iterable[Json], at: int) -> None:
    """Refuse what has no order: only numbers have one, and texts. Raises Unfit."""
    kinds = {kind(value) for value in values}
    if len(kinds) > 1 or not kinds <= {"a number", "a text"}:
        raise Unfit(f"cannot compare {' with '.join(sorted(kinds))}", at)


def _length(value: Json, at: int) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise Unfit(f"{kind(value)} has no length", at)
    return len(value)


def _lower(value: Json, at: int) -> str:
    if not isinstance(value, str):
        raise Unfit(f"lower needs a text, not {kind(value)}", at)
    return value.lower()


def _sum(value: Json, at: int) -> Json:
    items = _list(value, at)
    odd = next((item for item in items if kind(item) != "a number"), None)
    if odd is not None:
        raise Unfit(f"sum needs numbers, not {kind(odd)}", at)
    return sum(items)


def _extreme(choose: Callable[[list[Json]], Json]) -> Callable[[Json, int], Json]:
    def function(value: Json, at: int) -> Json:
        items = _list(value, at)
        if not items:
            raise Missing("an empty list has no min and no max", at)
        need_order(items, at)
        return choose(items)

    return function


def _list(value: Json, at: int) -> list[Json]:
    if not isinstance(value, list | tuple):
        raise Unfit(f"a list was expected, not {kind(value)}", at)
    return list(value)


def kind(value: Json) -> str:
    """What a value is, as messages say it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


_FUNCTIONS: Final[Mapping[str, Callable[[Json, int], Json]]] = {
    "all": lambda value, at: all(_list(value, at)),
    "any": lambda value, at: any(_list(value, at)),
    "len": _length,
    "lower": _lower,
    "max": _extreme(max),
    "min": _extreme(min),
    "sum": _sum,
}
