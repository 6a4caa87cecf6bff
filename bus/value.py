"""JSON by name: the values that cross the wire and stand in records, whose shape is not ours to know."""

from typing import Any, TypeAlias

Json: TypeAlias = Any  # null, a boolean, a number, text, a list or an object of these
JsonObject: TypeAlias = dict[str, Json]
