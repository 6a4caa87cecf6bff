"""Reader: a workflow as people write it, as a Workflow; all that does not fit is told, not only the first.

Besides the schema itself it takes what is shorter: durations such as `30s`; `retry = 3`, `approve = "alice"`
or `true`, `for_each = "${...}"`, an input that is only its type, a list of one item without brackets.
Invariant: what is shorter means the same as what is written out, and has the same hash.
"""

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec

from ...bus.value import Json, JsonObject
from .definition import Input, Workflow
from .duration import Seconds, seconds
from .expressions.template import Place
from .lines import Lines
from .nearest import nearest
from .problem import Problem, invalid
from .retry import Retry
from .step import Approval, ForEach, Undo
from .trigger import Trigger
from .validation.partial import problems_beside
from .validation.place import spelled

DEEPEST: Final = 32  # levels of a value: what travels
Kind: TypeAlias = Any  # a type, or what typing makes of several
_SHORT: Final[Mapping[type, str]] = {  # the field that a bare value means
    Retry: "max",
    ForEach: "items",
    Approval: "approver",
    Undo: "action",
    Input: "type",
    Trigger: "type",
}


def read_workflow(fields: JsonObject, lines: Lines | None = None) -> Workflow:
    """A workflow from the fields of a file, a request or a builder.

    Args:
        lines: Where each field stands, for the problems.

    Raises:
        InvalidWorkflow: Fields are unknown, missing or do not fit; it tells what else is wrong, too. Of one
            whose fields all fit, whether its names exist: see `validate`.
    """
    workflow, misfits = scan_workflow(fields, lines)
    if misfits:
        raise invalid(workflow.name or "without a name", problems_beside(workflow, misfits, lines=lines))
    return workflow


def scan_workflow(fields: JsonObject, lines: Lines | None = None) -> tuple[Workflow, list[Problem]]:
    """What can be read of a workflow, and all that does not fit: left out, or blank where it is needed."""
    reading = _Reading(fields, lines)
    workflow: Workflow = reading.read(reading.plain(fields, ()), Workflow, ())
    return workflow, reading.problems


class _Misfit:
    """Stands where a value did not fit."""


_MISFIT: Final = _Misfit()


class _Reading:
    """One pass; `problems` is what did not fit, and is not in what was read."""

    def __init__(self, fields: JsonObject, lines: Lines | None) -> None:
        self.problems: list[Problem] = []
        self._fields = fields
        self._lines = lines

    def plain(self, value: object, place: Place) -> Json:
        """The value in the words of JSON: TOML's dates become text."""
        told = _unsayable(value)
        if told:
            self._wrong(place, told)
            return None
        match value:
            case datetime() | date() | time():
                return value.isoformat()
            case dict() | list() | tuple() if len(place) > DEEPEST:
                self._wrong(place, f"it is nested more than {DEEPEST} levels deep")
                return None
            case dict():
                return {
                    self.plain(key, place): self.plain(one, (*place, str(key))) for key, one in value.items()
                }
            case list() | tuple():
                return [self.plain(one, (*place, number)) for number, one in enumerate(value)]
            case _:
                return value

    def read(self, value: Json, kind: Kind, place: Place) -> Any:
        """A value as what it shall be; a misfit where it cannot be. A table always is one, if a blank."""
        options = _options(kind)
        origin: Any = get_origin(kind)
        if value is None and NoneType in options:
            return None
        structs = [one for one in options if isinstance(one, type) and issubclass(one, msgspec.Struct)]
        if structs:
            return self._struct(value, structs, place)
        if origin is tuple:
            return self._items(value, get_args(kind)[0], place)
        if origin is dict and isinstance(value, dict):
            inner = get_args(kind)[1]
            return {key: self.read(one, inner, (*place, key)) for key, one in value.items()}
        if Seconds in options and isinstance(value, str):
            return self._seconds(value, place, or_text=str in options)
        return self._leaf(value, kind, place)

    def _struct(self, value: Json, kinds: list[type[msgspec.Struct]], place: Place) -> Any:
        fields = _spelled_out(value, kinds[0])
        if not isinstance(fields, dict):
            self._wrong(place, f"it must be a table, not {value!r}")
            return _blank(kinds[0], {})
        kind = self._tagged(fields, kinds, place)
        if kind is None:
            return _blank(kinds[0], {})
        known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        tag = kind.__struct_config__.tag_field
        read: dict[str, Any] = {}
        for name, one in fields.items():
            if name in known:
                read[name] = self.read(one, known[name].type, (*place, name))
            elif name != tag:
                self._wrong((*place, name), f"there is no such field{nearest(name, known)}")
        for name in [name for name, field in known.items() if field.required and name not in fields]:
            self._wrong((*place, name), f"{name} is missing", of=place)
        return _blank(kind, {name: one for name, one in read.items() if one is not _MISFIT})

    def _tagged(
        self, fields: JsonObject, kinds: list[type[msgspec.Struct]], place: Place
    ) -> type[msgspec.Struct] | None:
        """Which of several kinds it is."""
        tag = kinds[0].__struct_config__.tag_field
        if tag is None:
            return kinds[0]
        said = str(fields.get(tag, ""))
        by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
        if said not in by_tag:
            told = f"there is no {tag} {said!r}{nearest(said, by_tag)}"
            self._wrong((*place, tag), told if said else f"{tag} is missing: {', '.join(by_tag)}")
        return by_tag.get(said)

    def _items(self, value: Json, kind: Kind, place: Place) -> Any:
        items = value if isinstance(value, list) else [value]
        read = tuple(self.read(item, kind, (*place, number)) for number, item in enumerate(items))
        return _MISFIT if _MISFIT in read else read

    def _seconds(self, value: str, place: Place, *, or_text: bool) -> Any:
        try:
            return seconds(value)
        except ValueError as error:
            return value if or_text else self._wrong(place, str(error))

    def _leaf(self, value: Json, kind: Kind, place: Place) -> Any:
        if isinstance(kind, type) and issubclass(kind, StrEnum) and value not in list(kind):
            return self._wrong(
                place, f"{value!r} is not possible{nearest(str(value), [one.value for one in kind])}"
            )
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return self._wrong(place, str(error))

    def _wrong(self, place: Place, message: str, of: Place | None = None) -> _Misfit:
        """Tell it; `of` is what it is said of, where that is not the place itself."""
        line = self._lines.line(place) if self._lines else None
        file = self._lines.file if self._lines else ""
        where = spelled(self._with_ids(place if of is None else of))
        self.problems.append(Problem(where=where, message=message, place=place, file=file, line=line))
        return _MISFIT

    def _with_ids(self, place: Place) -> Place:
        """The place with the step's id instead of its number, where it has one."""
        match place:
            case ("steps", int(number), *rest):
                steps = self._fields["steps"]
                step = steps[number] if isinstance(steps, list | tuple) else steps
                said = step.get("id") if isinstance(step, dict) else None
                return ("steps", said, *rest) if isinstance(said, str) else place
            case _:
                return place


def _blank(kind: type[msgspec.Struct], read: Mapping[str, Any]) -> msgspec.Struct:
    """A table with what was read of it; what it needs and was not read is empty."""
    needed = {field.name: "" for field in msgspec.structs.fields(kind) if field.required}
    return kind(**{**needed, **read})


def _unsayable(value: object) -> str:
    """Why a value cannot stand in a record; empty: it can."""
    match value:
        case float() if not math.isfinite(value):
            return f"{value} is no number that JSON can say"
        case int() if not -(2**63) <= value < 2**63:
            return "the number is too large"
        case str() if any("\ud800" <= sign <= "\udfff" for sign in value):
            return "the text holds half a character"
        case None | float() | int() | str() | dict() | list() | tuple() | datetime() | date() | time():
            return ""
        case _:
            return f"{value!r} cannot be said in JSON"


def _options(kind: Kind) -> tuple[Kind, ...]:
    """The kinds of a union, or the one it is."""
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _spelled_out(value: Json, kind: type) -> Json:
    """The table that a bare value means."""
    short = next((name for base, name in _SHORT.items() if issubclass(kind, base)), "")
    if not short or isinstance(value, dict):
        return value
    return {} if value is True and kind is Approval else {short: value}
