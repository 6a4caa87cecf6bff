"""Example: a task that an agent of a program would understand, to show how it is called."""

import inspect
import json
from typing import TYPE_CHECKING, get_args

from ...bus.value import Json

if TYPE_CHECKING:
    from ...actors.definition import Definition

_VALUES: dict[object, Json] = {int: 1, float: 1.0, str: "hello", bool: True}


def example(definition: "Definition") -> str:
    """The text of a task: plain words, or JSON where the agent's `receive` takes a typed message."""
    import msgspec

    from ...actors.actor import Actor, find_kind
    from ...actors.message import resolve
    from ...bus.task import Task

    kind = find_kind(definition.kind)
    if not issubclass(kind, Actor):
        return "hello"  # runs take plain words
    receive = kind.receive
    first = list(inspect.signature(receive).parameters.values())[1]
    wanted = resolve(first.annotation, receive.__module__)
    for part in get_args(wanted) or (wanted,):
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part is not Task:
            needed = [field for field in msgspec.structs.fields(part) if field.required]
            spec = {field.encode_name: _VALUES.get(field.type) for field in needed}
            return json.dumps({"action": part.__name__, "spec": spec})
    return "hello"
