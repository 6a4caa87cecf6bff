"""Actor: what users write, and how its class is found by other processes.

An actor handles one message at a time. Its `state`, if the class declares one, is durable: it is written with
the outcome of the message that changed it, in one ledger record. Not responsible for its own life: see
`activation.py`.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from ..bus.errors import ConfigError
from ..bus.subjects import agent_id
from ..bus.value import Json
from .context import Context
from .definition import Definition, Options
from .errors import UnknownKind
from .message import readable, resolve

if TYPE_CHECKING:
    from .carrier import Carrier


class Actor:
    """The base of every actor. Override `receive`; declare `state: SomeStruct` to have durable state.

    One instance handles one message at a time and never two. After a failure a new instance is made with the
    last durable state. `receive` may be a plain function: then it runs off the event loop.
    """

    options: ClassVar[Options] = Options()
    skills: ClassVar[tuple[str, ...]] = ()
    state: Json = None

    async def on_start(self, ctx: Context) -> None:
        """Called before the first message, with the durable state in place."""

    async def on_stop(self) -> None:
        """Called before the instance goes: passivation, drain, stop. Not after a crash."""

    async def receive(self, message: Json, ctx: Context) -> object:
        """Handle one message; the return value is the task's result."""
        raise NotImplementedError(f"{type(self).__name__} does not define receive()")

    @classmethod
    def named(cls, name: str, options: Options | None = None, **config: Json) -> Definition:
        """A definition of an agent of this class.

        Args:
            name: The agent's id.
            options: How to run it; the class's own `options` where left out.
            config: Keyword arguments for the class, JSON values.

        Raises:
            ConfigError: The name cannot be an agent id, or the class takes no such arguments.
        """
        try:
            inspect.signature(cls).bind(**config)
        except TypeError as error:
            told = (
                f"agent {name}: {cls.__name__} cannot be made so: {error}; how it runs goes into Options(...)"
            )
            raise ConfigError(told, agent=name) from error
        doc = (cls.__doc__ or "").strip().split("\n")[0]
        return Definition(
            name=agent_id(name),
            kind=kind_of(cls),
            config=config,
            options=options or cls.options,
            description=doc,
            skills=cls.skills,
        )


def kind_of(actor: type[Actor]) -> str:
    """Where a class is found by other processes: `module:Class`.

    Raises:
        ConfigError: It is defined inside a function, where nobody else can find it.
    """
    if "<locals>" in actor.__qualname__:
        raise ConfigError(f"{actor.__qualname__} must stand at the top level of a module to be an agent")
    module = actor.__module__
    if module == "__main__":
        module = Path(getattr(sys.modules[module], "__file__", None) or "__main__").stem
    return f"{module}:{actor.__qualname__}"


def find_kind(kind: str) -> "type[Actor | Carrier]":
    """The class at `module:Class`.

    Raises:
        UnknownKind: There is none, or it is neither Actor nor Carrier.
    """
    from .carrier import Carrier  # with all that carries runs, which who only defines an actor does not need

    name, _, path = kind.partition(":")
    try:
        found: object = import_module(name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # a program's module may raise anything while it is imported
        raise UnknownKind(f"this program has no {kind}: {error}", kind=kind) from error
    if not (isinstance(found, type) and issubclass(found, Actor | Carrier)):
        raise UnknownKind(f"{kind} is no Actor class", kind=kind)
    return found


def state_type(kind: type[Actor]) -> type[msgspec.Struct] | None:
    """The Struct a class declares as its `state`; None for a stateless actor.

    Raises:
        ConfigError: What it declares is no Struct, or has fields without defaults or that cannot be read.
    """
    owner = next(base for base in kind.__mro__ if "state" in inspect.get_annotations(base))
    declared = resolve(inspect.get_annotations(owner)["state"], owner.__module__)
    if declared is Any:
        return None
    if not (isinstance(declared, type) and issubclass(declared, msgspec.Struct)):
        raise ConfigError(f"{kind.__name__}.state must be annotated with a msgspec.Struct, not {declared!r}")
    missing = [field.name for field in msgspec.structs.fields(declared) if field.required]
    if missing:
        raise ConfigError(f"{declared.__name__}.{missing[0]}, state of {kind.__name__}, needs a default")
    readable([declared], f"{kind.__name__}.state")
    return declared
