"""Fields: what users write in a table or as keywords, before it is a value.

Not responsible for what a field means. Invariant: a name that nobody reads is refused and answered with the
nearest one that is: a limit that is misspelled would be no limit.
"""

from collections.abc import Iterable, Mapping
from typing import get_args, get_origin, get_type_hints

import msgspec

from ..bus.errors import ConfigError
from ..bus.value import Json
from .definition import Isolation, Options


def decode(values: Mapping[str, Json], shape: type[Json], where: str) -> Json:
    """Values as a Struct; words for numbers and booleans are read.

    Raises:
        ConfigError: A key is unknown or a value does not fit. No value is shown: it could be a secret.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a table, no {type(values).__name__}")
    _look_into_tables(values, shape, where)
    told = misnamed(values, shape)
    if told:
        raise ConfigError(f"{where}: {told}")
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def misnamed(values: Mapping[str, Json], shape: type[Json], prefix: str = "") -> str:
    """What is said of the first key, in tables too, that the Struct does not have; empty: it has all."""
    hints = get_type_hints(shape)
    known = [field.name for field in msgspec.structs.fields(shape)]
    for key, value in values.items():
        if key not in known:
            return f"unknown key {prefix + str(key)!r}{nearest(str(key), known)}"
        inner = hints[key]
        told = misnamed(value, inner, f"{prefix}{key}.") if _is_table(value, inner) else ""
        if told:
            return told
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: ", did you mean 'x'?" or what there is."""
    import difflib  # with its patterns it takes longer than the rest, and serves mistakes only

    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(names) or 'none'}"


def isolated(options: Options, isolation: Isolation | None) -> Options:
    """The options of an agent with `isolation`, the short cut, put where it belongs.

    Raises:
        ConfigError: Both are given and differ.
    """
    if isolation is None:
        return options
    if options.isolation not in (Isolation.SHARED, isolation):
        raise ConfigError(
            f"isolation is {isolation} and options.isolation {options.isolation}: write one of them"
        )
    return msgspec.structs.replace(options, isolation=isolation)


def _look_into_tables(values: Mapping[str, Json], shape: type[Json], where: str, prefix: str = "") -> None:
    """Decode the tables that users name themselves one by one: msgspec would not say which was wrong."""
    hints = get_type_hints(shape)
    for key, value in values.items():
        inner, path = hints.get(key, object), f"{prefix}{key}."
        if _is_table(value, inner):
            _look_into_tables(value, inner, where, path)
        elif get_origin(inner) is dict and isinstance(value, Mapping) and _is_struct(get_args(inner)[1]):
            for name, table in value.items():
                decode(table, get_args(inner)[1], f"{where}: {path}{name}")


def _is_table(value: object, shape: Json) -> bool:
    return isinstance(value, Mapping) and _is_struct(shape)


def _is_struct(shape: Json) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)
