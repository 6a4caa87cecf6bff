"""Signature: what a model must know of a function to call it, read from its types and its docstring.

Invariant: the schema that the model sees and the check of what it sends come from one Struct.
"""

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import msgspec

from ...bus.errors import ConfigError
from ..message import resolve
from ..models.port import JsonObject

CONTEXT = "ctx"  # the parameter that the runtime fills
Function: TypeAlias = Callable[..., Any]
_PARAMETER = re.compile(r"^\s*(\w+):\s+(.+)$")
_SECTION = re.compile(r"\n\s*(?:Args|Arguments|Returns|Raises|Yields|Examples?|Note):")
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Signature:
    """The parameters of a function.

    Attributes:
        description: The docstring without its sections.
        schema: JSON schema of the arguments.
        arguments: The Struct they are read as.
        wants_context: Whether it takes a `ctx`.

    Raises:
        ConfigError: A parameter without a type, `*args`, or a type that no schema can say.
    """

    def __init__(self, function: Function) -> None:
        self.wants_context = CONTEXT in inspect.signature(function).parameters
        self.description = _SECTION.split(f"\n{inspect.getdoc(function) or ''}")[0].strip()
        self.arguments = _arguments(function)
        try:
            self.schema = schema_of(self.arguments)
        except TypeError as error:
            raise ConfigError(f"tool {function.__name__}: no schema can say its types: {error}") from error

    def read(self, given: JsonObject) -> dict[str, Any]:
        """Arguments converted to the function's types. Raises `msgspec.ValidationError`."""
        read = msgspec.convert(given, self.arguments, strict=False)
        return {name: getattr(read, name) for name in self.arguments.__struct_fields__}


def schema_of(kind: type) -> JsonObject:
    """The JSON schema of a type, with what it refers to in `$defs`.

    Raises:
        TypeError: No schema can say it.
    """
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    found: JsonObject = dict(components.pop(kind.__name__, schema))
    found.pop("title", None)
    return {**found, "$defs": components} if components else found


def _arguments(function: Function) -> type[msgspec.Struct]:
    """A Struct of a function's parameters, without the context."""
    documented = _documented(function)
    fields: list[tuple[str, Any, Any]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == CONTEXT:
            continue
        if parameter.annotation is parameter.empty or parameter.kind in _MANY:
            raise ConfigError(f"parameter {name} of tool {function.__name__} needs a name and a type")
        kind = resolve(parameter.annotation, function.__module__)
        if name in documented:
            kind = Annotated[kind, msgspec.Meta(description=documented[name])]
        fields.append((name, kind, _default(parameter)))
    return msgspec.defstruct(function.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _default(parameter: inspect.Parameter) -> object:
    """A field's default; a list or the like is handed to every call anew."""
    default = parameter.default
    if default is parameter.empty:
        return msgspec.NODEFAULT
    if isinstance(default, list | dict | set):
        return msgspec.field(default_factory=default.copy)
    return default


def _documented(function: Function) -> dict[str, str]:
    """Descriptions of parameters from the docstring's Args section."""
    _, found, rest = (inspect.getdoc(function) or "").partition("\nArgs:")
    section = re.split(r"\n\S", rest)[0] if found else ""
    return {m[1]: m[2].strip() for m in map(_PARAMETER.match, section.splitlines()) if m}
