"""Tool: a typed function an agent may call, with what is known of its effects.

Not responsible for whether a call is allowed or was made before: see `plan.py`. Invariant: nothing of a tool
runs before its arguments are valid.
"""

import asyncio
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar, overload

import msgspec

from ...bus.errors import ConfigError
from ..context import Context
from ..errors import BadTask
from ..fields import nearest
from ..models.port import JsonObject
from ..thread import in_thread
from .effect import TIMEOUTS, EffectClass, Risk
from .signature import CONTEXT, Function, Signature

_Words = TypeVar("_Words", EffectClass, Risk)
OUTPUT_LIMIT = 32 * 1024  # characters of a result that the model gets
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class NotDone(msgspec.Struct, frozen=True):
    """What a probe returns that is sure: the call did not happen, and will not happen by itself."""


NOT_DONE: Final = NotDone()


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tool without its code.

    Attributes:
        schema: JSON schema of its arguments.
        timeout: Seconds a call may take.
        approve: Who must approve a call whatever its risk; empty: the risk decides.
        delegates: It gives a task to another agent: a grant goes along with its calls.
    """

    name: str
    description: str
    schema: JsonObject
    effect: EffectClass
    risk: Risk
    timeout: float
    approve: str = ""
    delegates: bool = False


class Tool:
    """A function made callable for agents by `@tool`; calling the object calls the function.

    Attributes:
        spec: What is known of it.
        path: `module:function`, where other processes find it.
    """

    def __init__(
        self,
        function: Function,
        spec: ToolSpec,
        signature: Signature,
        *,
        probe: Function | None = None,
        undo: Function | None = None,
    ) -> None:
        self.spec = spec
        self.path = f"{_module(function)}:{function.__qualname__}"
        self.__doc__ = function.__doc__
        self._function = function
        self._signature = signature
        self._probe = probe
        self._undo = undo

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, as if it were not decorated."""
        return self._function(*args, **kwargs)

    def read(self, given: JsonObject) -> dict[str, Any]:
        """Keyword arguments of a call, converted to the function's types.

        Raises:
            BadTask: They do not fit; the message is written for the model that made them.
        """
        try:
            return self._signature.read(given)
        except msgspec.ValidationError as error:
            known = ", ".join(self._signature.arguments.__struct_fields__) or "none"
            raise BadTask(f"{self.spec.name}: {error}; its arguments are: {known}") from error

    async def call(self, arguments: dict[str, Any], ctx: Context, *, timeout: float | None = None) -> Any:
        """Run it with arguments that were read, at most for its timeout, or for less.

        Cancellation: an async function ends; a plain function goes on in its thread, and is not waited for.

        Raises:
            TimeoutError: It took longer; what it did is unknown.
            Exception: What the function raised.
        """
        longest = self.spec.timeout if timeout is None else min(timeout, self.spec.timeout)
        return await _run(self._function, arguments, ctx, longest)

    def delegating(self) -> "Tool":
        """The same tool, as one that gives tasks to other agents."""
        spec = msgspec.structs.replace(self.spec, delegates=True)
        return Tool(self._function, spec, self._signature, probe=self._probe, undo=self._undo)

    async def ask_probe(self, arguments: dict[str, Any], ctx: Context) -> Any:
        """Ask whether a call with these arguments happened: its result, NOT_DONE, or None: nobody can say."""
        return await _run(self._probe, arguments, ctx, self.spec.timeout) if self._probe else None

    async def take_back(self, arguments: dict[str, Any], ctx: Context) -> None:
        """Undo a call with these arguments, which may have happened, wholly or in part or not at all."""
        if self._undo:
            await _run(self._undo, arguments, ctx, self.spec.timeout)


@overload
def tool(function: Function, /) -> Tool: ...
@overload
def tool(
    *,
    effect: str = ...,
    risk: str = ...,
    timeout: float | None = ...,
    probe: Function | None = ...,
    undo: Function | None = ...,
    approve: str = ...,
    name: str = ...,
) -> Callable[[Function], Tool]: ...
def tool(
    function: Function | None = None,
    /,
    *,
    effect: str = EffectClass.IRREVERSIBLE,
    risk: str = Risk.LOW,
    timeout: float | None = None,
    probe: Function | None = None,
    undo: Function | None = None,
    approve: str = "",
    name: str = "",
) -> Tool | Callable[[Function], Tool]:
    """Make a typed function a tool: `@tool` or `@tool(effect="pure", risk="low")`.

    What the function raises is told to the model. Where it cannot say whether the effect happened, it raises
    TimeoutError or an ActoriumError whose effect is unknown: then its effect class decides, as after a crash.

    Args:
        effect: pure, idempotent, compensable (with `undo`) or irreversible (a `probe` helps), which is what
            nothing said means.
        risk: low, medium or high.
        timeout: Seconds; 10, 30 or 60 by risk where left out.
        probe: Given the same arguments, returns the call's result if it happened, NOT_DONE if it surely did
            not, None if nobody can say.
        undo: Given the same arguments, takes the call back; harmless where there is nothing to take back.
        approve: Who must approve every call.

    Raises:
        ConfigError: A word that is none of those, an `undo` or `probe` that its effect never asks for, or a
            compensable tool without undo, a type no schema can say.
    """
    make = partial(
        _make, effect=effect, risk=risk, timeout=timeout, probe=probe, undo=undo, approve=approve, name=name
    )
    return make if function is None else make(function)


def find_tool(path: str) -> Tool:
    """The tool at `module:name`.

    Raises:
        ConfigError: There is none.
    """
    module, _, name = path.partition(":")
    try:
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"there is no tool {path}: {error}", tool=path) from error
    if not isinstance(found, Tool):
        raise ConfigError(f"{path} is no tool: decorate it with @tool", tool=path)
    return found


def unknown_tool(name: str, allowed: Iterable[str]) -> str:
    """What a model is told that asked for a tool it does not have."""
    known = tuple(allowed)
    import difflib  # serves mistakes only

    close = difflib.get_close_matches(name, known, 1, 0.4)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {name!r}.{hint} Available: {', '.join(known) or 'none'}."


def shown(value: object) -> str:
    """A tool's result as the model reads it: text as it is, anything else as JSON, cut to the limit."""
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = text.encode(errors="replace").decode()  # half a surrogate pair would not stand in any record
    if len(text) <= OUTPUT_LIMIT:
        return text
    return f"{text[:OUTPUT_LIMIT]}\n[cut: {len(text)} characters in all, the first {OUTPUT_LIMIT} are shown]"


def _make(
    function: Function,
    *,
    effect: str,
    risk: str,
    timeout: float | None,
    probe: Function | None,
    undo: Function | None,
    approve: str,
    name: str,
) -> Tool:
    name = name or function.__name__
    if not _NAME.match(name):
        raise ConfigError(f"a tool's name {name!r} must be 1 to 64 of A-Z a-z 0-9 _ -", tool=name)
    effects, risks = _word("effect", effect, EffectClass, name), _word("risk", risk, Risk, name)
    wrong = _odd(effects, probe=probe is not None, undo=undo is not None)
    if timeout is not None and not 0 < timeout < math.inf:
        wrong = f"timeout must be seconds above 0, and is {timeout}"
    if wrong:
        raise ConfigError(f"tool {name}: {wrong}", tool=name)
    signature = Signature(function)
    spec = ToolSpec(
        name=name,
        description=signature.description,
        schema=signature.schema,
        effect=effects,
        risk=risks,
        timeout=TIMEOUTS[risks] if timeout is None else timeout,
        approve=approve,
    )
    return Tool(function, spec, signature, probe=probe, undo=undo)


def _word(field: str, said: str, kind: type[_Words], tool: str) -> _Words:
    try:
        return kind(said)
    except ValueError as error:
        told = f"tool {tool}: there is no {field} {said!r}{nearest(said, [word.value for word in kind])}"
        raise ConfigError(told, tool=tool) from error


def _odd(effect: EffectClass, *, probe: bool, undo: bool) -> str:
    """What does not go together, and would be left out silently when it is needed; empty: nothing."""
    if effect is EffectClass.COMPENSABLE and not undo:
        return "it is compensable, so it needs undo="
    if undo and effect is not EffectClass.COMPENSABLE:
        return f'it has undo= and is {effect}, which is never undone: say effect="compensable"'
    if probe and effect is not EffectClass.IRREVERSIBLE:
        return f'it has probe= and is {effect}, which is never probed: say effect="irreversible"'
    return ""


def _module(function: Function) -> str:
    """The function's module; a script counts as the module of its file's name."""
    if function.__module__ != "__main__":
        return function.__module__
    return Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem


async def _run(function: Function, arguments: dict[str, Any], ctx: Context, timeout: float) -> Any:
    wants_context = CONTEXT in inspect.signature(function).parameters
    named = {**arguments, CONTEXT: ctx} if wants_context else arguments
    try:
        async with asyncio.timeout(timeout):
            if inspect.iscoroutinefunction(function):
                return await function(**named)
            return await in_thread(function, **named)
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise TimeoutError("something it waited for was cancelled") from None
