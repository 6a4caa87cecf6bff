"""How typed messages and tasks turn into each other.

A `Struct` message travels as a task whose action is the class name and whose spec is its fields, so that any
NATS client can send one. Not responsible for bytes: see `bus/codec.py`.
"""

import inspect
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from ..bus.codec import MAX_DEPTH, encode, too_deep
from ..bus.errors import BadMessage, ConfigError
from ..bus.task import Metrics, Result, Status, Task
from ..bus.value import Json
from .errors import BadTask

Reader = Callable[[Task], object]


def to_task(message: object) -> Task:
    """The task that carries a message: itself, a Struct by its class name, anything else as its spec.

    Raises:
        BadTask: The message has parts that JSON cannot hold.
    """
    if isinstance(message, Task):
        return message
    try:
        spec = msgspec.to_builtins(message)
    except TypeError as error:
        raise BadTask(f"a {type(message).__name__} cannot be sent: {error}") from error
    action = type(message).__name__ if isinstance(message, msgspec.Struct) else ""
    return Task(action=action, spec=spec)


def to_result(value: object, milliseconds: int) -> Result:
    """The result that carries what a handler returned; a Result goes as it is, with its time filled in.

    It is written as JSON once here: later, in the ledger or on its way, there is nobody left to tell.

    Raises:
        BadTask: The value has parts that JSON cannot hold, or is too large or too deep for any reader.
    """
    metrics = Metrics(execution_time_ms=milliseconds)
    try:
        if isinstance(value, Result):
            spent = msgspec.structs.replace(value.metrics, execution_time_ms=milliseconds)
            data = msgspec.to_builtins(value.data)
            result = msgspec.structs.replace(value, data=data, metrics=spent)
        else:
            result = Result(status=Status.SUCCESS, data=msgspec.to_builtins(value), metrics=metrics)
        deep = too_deep(encode(result))
    except (TypeError, RecursionError, BadMessage) as error:
        raise BadTask(f"the handler returned a {type(value).__name__} that cannot travel: {error}") from error
    if deep:
        raise BadTask(f"the handler returned a {type(value).__name__} that nests deeper than {MAX_DEPTH}")
    return result


def reader(receive: Callable[..., object]) -> Reader:
    """A function that reads tasks as the first argument's annotation of a `receive` method says.

    `Task` or no annotation: the task itself. One Struct: its spec. A union of Structs: the one whose name
    is the task's action. Any other type: the spec, checked against it.

    Raises:
        ConfigError: It takes no message, or its annotation names what is not there or cannot be read.
    """
    parameters = list(inspect.signature(receive).parameters.values())
    if len(parameters) < 2:
        raise ConfigError(f"{receive.__qualname__} must take a message and a context")
    try:
        wanted = resolve(parameters[1].annotation, receive.__module__)
    except (NameError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"the message of {receive.__qualname__} cannot be found: {error}") from error
    if any(wanted is told for told in (Task, object, Any, inspect.Parameter.empty)):
        return lambda task: task
    origin: object = get_origin(wanted)
    parts = get_args(wanted) if origin in (Union, UnionType) else (wanted,)
    structs = {_action(part.__name__): part for part in parts if _is_struct(part)}
    if len(structs) > 1:
        readable(parts, f"the message of {receive.__qualname__}")
        return _by_action(structs)
    readable([wanted], f"the message of {receive.__qualname__}")
    return lambda task: _convert(task.spec, wanted)


def resolve(annotation: object, module: str) -> Json:
    """An annotation as an object; only this one is evaluated, so that names beside it may be unimportable."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    names = vars(sys.modules[module]) if module in sys.modules else {}
    return get_type_hints(holder, globalns=names)["it"] if isinstance(annotation, str) else annotation


def readable(kinds: Iterable[Json], whose: str) -> None:
    """See whether values of these types can be read from JSON.

    Raises:
        ConfigError: One cannot, or not be told from another.
    """
    for kind in kinds:
        try:
            msgspec.json.Decoder(kind)
        except (TypeError, NameError, AttributeError) as error:
            hint = "make every object in it a msgspec.Struct, with a tag where it stands inside another"
            raise ConfigError(f"{whose} is {kind}, which cannot be read: {error}; {hint}") from error


def _by_action(structs: dict[str, type]) -> Reader:
    def read(task: Task) -> object:
        kind = structs.get(_action(task.action))
        if kind is None:
            known = ", ".join(part.__name__ for part in structs.values())
            raise BadTask(f"action {task.action!r} is not one of {known}", action=task.action)
        return _convert(task.spec, kind)

    return read


def _action(name: str) -> str:
    return name.replace("_", "").lower()


def _convert(spec: object, wanted: Json) -> object:
    try:
        return msgspec.convert({} if spec is None and _is_struct(wanted) else spec, wanted, str_keys=True)
    except msgspec.ValidationError as error:
        name = getattr(wanted, "__name__", str(wanted))
        raise BadTask(f"the task's spec is no {name}: {error}") from error


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
