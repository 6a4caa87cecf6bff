"""Schema: whether a value fits a JSON schema, in the words that types make, not the whole standard.

There is no validator among the dependencies, and msgspec reads types, not schemas. Invariant: a schema with a
word that is not checked here is refused before anything runs, so nothing passes unchecked.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from ...bus.errors import ConfigError
from ..models.port import Json, JsonObject
from .dialect import TYPES, faults, target


class Place(NamedTuple):
    """A value, the schema it must fit, the whole schema, and where in the answer it stands."""

    value: Json
    schema: Json
    root: JsonObject
    at: str

    def under(self, value: Json, schema: Json, name: str = "") -> "Place":
        """A part of it."""
        return Place(value, schema, self.root, self.at + name)


Misfits: TypeAlias = Iterator[str]
Wanted: TypeAlias = Any  # what a word of a schema says: each word has a type of its own
Check: TypeAlias = Callable[[Place, Wanted], Misfits]


def misfit(value: Json, schema: JsonObject) -> str:
    """The first place where a value does not fit, in words for the model that made it; empty: it fits."""
    return next(_check(Place(value, schema, schema, "$")), "")


def check_schema(schema: JsonObject) -> None:
    """Refuse a schema that `misfit` could not check wholly.

    Raises:
        ConfigError: It names the words that are not checked, and what is no type, pattern or number.
    """
    if told := faults(schema):
        raise ConfigError(
            f"the output schema has {', '.join(told)}, which is not checked: mend it, or leave it out"
        )


def _check(place: Place) -> Misfits:
    if place.schema is False:
        yield f"{place.at} must not be there"
    for word, wanted in _dict(place.schema).items():
        if word in _CHECKS:
            yield from _CHECKS[word](place, wanted)


def _type(place: Place, wanted: Wanted) -> Misfits:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not any(_is(place.value, name) for name in names):
        yield f"{place.at} must be {' or '.join(names)}"


def _is(value: Json, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES.get(name, ()))


def _enum(place: Place, wanted: Wanted) -> Misfits:
    value = place.value
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted):
        yield f"{place.at} must be one of {wanted}"


def _required(place: Place, wanted: Wanted) -> Misfits:
    if isinstance(place.value, dict):
        yield from (f"{place.at}.{name} is missing" for name in wanted if name not in place.value)


def _properties(place: Place, wanted: Wanted) -> Misfits:
    for name, value in _dict(place.value).items():
        if name in wanted:
            yield from _check(place.under(value, wanted[name], f".{name}"))


def _others(place: Place, wanted: Wanted) -> Misfits:
    known = _dict(_dict(place.schema).get("properties"))
    for name, value in _dict(place.value).items():
        if name not in known:
            yield from _check(place.under(value, wanted, f".{name}"))


def _items(place: Place, wanted: Wanted) -> Misfits:
    before = len(_list(_dict(place.schema).get("prefixItems")))
    for index, value in enumerate(_list(place.value)[before:], before):
        yield from _check(place.under(value, wanted, f"[{index}]"))


def _prefix(place: Place, wanted: Wanted) -> Misfits:
    for index, (value, one) in enumerate(zip(_list(place.value), wanted, strict=False)):
        yield from _check(place.under(value, one, f"[{index}]"))


def _some(place: Place, wanted: Wanted, *, most: int | None = None) -> Misfits:
    told = [next(_check(place.under(place.value, one)), "") for one in wanted]
    fitting = told.count("")
    if not fitting:
        yield f"{place.at} fits none of its {len(told)} kinds, the first because {told[0]}"
    if most is not None and fitting > most:
        yield f"{place.at} fits more than {most} of its kinds"


def _all(place: Place, wanted: Wanted) -> Misfits:
    for one in wanted:
        yield from _check(place.under(place.value, one))


def _ref(place: Place, wanted: Wanted) -> Misfits:
    yield from _check(place.under(place.value, target(wanted, place.root)))


def _pattern(place: Place, wanted: Wanted) -> Misfits:
    if isinstance(place.value, str) and re.search(wanted, place.value) is None:
        yield f"{place.at} must match {wanted}"


def _bound(
    place: Place, wanted: Wanted, *, of: type, fits: Callable[[Wanted, Wanted], bool], told: str
) -> Misfits:
    """A bound of a number, or of the length of a string, an array or an object."""
    value: Wanted = place.value
    if not (_is(value, "number") if of is float else isinstance(value, of)):
        return
    if not fits(value if of is float else len(value), wanted):
        yield f"{place.at} must {told} {wanted}"


def _dict(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


_least = partial(_bound, fits=operator.ge, told="be, or have, at least")
_most = partial(_bound, fits=operator.le, told="be, or have, at most")
_CHECKS: Final[Mapping[str, Check]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda place, wanted: _enum(place, [wanted]),
    "required": _required,
    "properties": _properties,
    "additionalProperties": _others,
    "items": _items,
    "prefixItems": _prefix,
    "anyOf": _some,
    "oneOf": partial(_some, most=1),
    "allOf": _all,
    "$ref": _ref,
    "pattern": _pattern,
    "minimum": partial(_least, of=float),
    "maximum": partial(_most, of=float),
    "exclusiveMinimum": partial(_bound, of=float, fits=operator.gt, told="be more than"),
    "exclusiveMaximum": partial(_bound, of=float, fits=operator.lt, told="be less than"),
    "minLength": partial(_least, of=str),
    "maxLength": partial(_most, of=str),
    "minItems": partial(_least, of=list),
    "maxItems": partial(_most, of=list),
    "minProperties": partial(_least, of=dict),
    "maxProperties": partial(_most, of=dict),
}
