"""Dialect: the words of JSON schema that are understood here, and what may stand behind each.

Pure. Not responsible for values: see `schema.py`, which checks every word that stands in WORDS. Invariant: a
schema without faults is checked wholly, and in finite time.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..models.port import Json, JsonObject

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int,),
}
SAYS_NOTHING: Final = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "format",
        "discriminator",
    }
)
_NAMED: Final = ("properties", "$defs")  # schemas by name
_LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")  # schemas in a row
_SAME: Final = ("anyOf", "oneOf", "allOf")  # of the same value
_ALONE: Final = ("items", "additionalProperties")  # one schema

Wanted = Any  # what stands behind a word: each word has a type of its own


def faults(schema: JsonObject) -> list[str]:
    """What of a schema is not understood, each once."""
    return sorted(set(_faults(schema, schema)))


def target(ref: Json, root: JsonObject) -> Json:
    """What a local `$ref` means; None: nothing here."""
    found: Json = root
    for part in str(ref).split("/")[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found if str(ref).startswith("#") else None


def _faults(schema: Json, root: JsonObject) -> Iterator[str]:
    if not _is_schema(schema):
        yield f"{schema!r} in place of a schema"
    if not isinstance(schema, dict):
        return
    for word, wanted in schema.items():
        if word not in WORDS and word not in SAYS_NOTHING:
            yield word
        elif word in WORDS and not WORDS[word](wanted):
            yield f"{word} {wanted!r}"
    if "$ref" in schema and (target(schema["$ref"], root) is None or _circles(schema, root)):
        yield f"$ref {schema['$ref']}"
    for part in _parts(schema):
        yield from _faults(part, root)


def _parts(schema: JsonObject) -> Iterator[Json]:
    """The schemas in a schema; what is none where one should be was told with its word."""
    for word in _NAMED:
        named = schema.get(word)
        yield from named.values() if isinstance(named, dict) else ()
    for word in _LISTED:
        listed = schema.get(word)
        yield from listed if isinstance(listed, list) else ()
    yield from (schema[word] for word in _ALONE if word in schema)


def _circles(schema: Json, root: JsonObject, passed: tuple[int, ...] = ()) -> bool:
    """Whether it asks the same of the same value again, which no value would end."""
    if not isinstance(schema, dict):
        return False
    if id(schema) in passed:
        return True
    same = [part for word in _SAME if isinstance(parts := schema.get(word), list) for part in parts]
    same += [target(schema["$ref"], root)] if "$ref" in schema else []
    return any(_circles(part, root, (*passed, id(schema))) for part in same)


def _is_schema(value: Json) -> bool:
    return isinstance(value, dict | bool)


def _is_type(wanted: Wanted) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_pattern(wanted: Wanted) -> bool:
    try:
        return isinstance(wanted, str) and bool(re.compile(wanted))
    except re.error:
        return False


def _are_names(wanted: Wanted) -> bool:
    return isinstance(wanted, list) and all(isinstance(name, str) for name in wanted)


def _is_number(wanted: Wanted) -> bool:
    return isinstance(wanted, int | float) and not isinstance(wanted, bool)


def _is_list(wanted: Wanted) -> bool:
    return isinstance(wanted, list) and bool(wanted)


WORDS: Final[Mapping[str, Callable[[Wanted], bool]]] = {
    "type": _is_type,
    "enum": _is_list,
    "const": lambda _: True,
    "required": _are_names,
    "properties": lambda wanted: isinstance(wanted, dict),
    "additionalProperties": _is_schema,
    "items": _is_schema,
    **dict.fromkeys(_LISTED, _is_list),
    "$ref": lambda wanted: isinstance(wanted, str),
    "pattern": _is_pattern,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _is_number),
    **dict.fromkeys(("minProperties", "maxProperties"), _is_number),
}
