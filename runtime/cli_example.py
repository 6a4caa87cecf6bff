"""Example: a task that an agent of a program would understand, to show how it is called."""

import inspect
import json
from typing import TYPE_CHECKING, get_args

from ..bus.value import Json

if TYPE_CHECKING:
    from ..actors.definition import Definition

_VALUES: dict[object, Json] = {int: 1, float: 1.0, str: "hello", bool: True}


def example(definition: "Definition") -> str:
    """The text of a task: plain words, or JSON where the agent's `receive` takes a typed message."""
    import msgspec

    from ..actors.actor import find_kind
    from ..actors.message import resolve
    from ..bus.task import Task

    receive = find_kind(definition.kind).receive
    first = list(inspect.signature(receive).parameters.values())[1]
    wanted = resolve(first.annotation, receive.__module__)
    for kind in get_args(wanted) or (wanted,):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Task:
            needed = [field for field in msgspec.structs.fields(kind) if field.required]
            spec = {field.encode_name: _VALUES.get(field.type) for field in needed}
            return json.dumps({"action": kind.__name__, "spec": spec})
    return "hello"
