"""LocalBehaviour: an actor's code in this process. Its twin in a process of its own is in runtime/.

Invariant: the state is compared as bytes after every message, so a change deep inside it is seen too.
"""

import asyncio
import inspect
import time
from collections.abc import Callable

import msgspec

from ..bus.envelope import Envelope
from ..bus.task import Task
from ..bus.value import Json
from .actor import Actor, state_type
from .context import Context
from .definition import Definition
from .errors import BadTask, Reject, UnknownKind
from .message import reader, to_result
from .port import Courier, Outcome
from .thread import in_thread


class LocalBehaviour:
    """One actor instance and the code around it."""

    __slots__ = (
        "_courier", "_definition", "_instance", "_kind", "_left", "_packed", "_read", "_states", "_sync",
    )  # fmt: skip

    def __init__(self, definition: Definition, kind: type[Actor], courier: Courier) -> None:
        self._definition = definition
        self._kind = kind
        self._courier = courier
        self._read = reader(kind.receive)
        self._sync = not inspect.iscoroutinefunction(kind.receive)
        declared = state_type(kind)
        self._states = None if declared is None else msgspec.json.Decoder(declared)
        self._instance: Actor | None = None
        self._left = (
            False  # a thread that was cut short still has the instance: the next message gets another
        )
        self._packed = b""

    async def start(self, state: Json) -> None:
        """Make a fresh instance with the last durable state (JSON values; None: the defaults)."""
        self._left = False
        instance = _make(self._kind, self._definition)
        if self._states is not None:
            instance.state = self._states.decode(b"{}" if state is None else msgspec.json.encode(state))
            self._packed = msgspec.json.encode(instance.state)
        await instance.on_start(self._context(Envelope(), "", 1))
        self._instance = instance

    async def handle(
        self,
        task: Task,
        envelope: Envelope,
        task_id: str,
        attempt: int,
        *,
        repeated: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Read the message, run `receive`, see whether the state changed. Raises what the handler does."""
        if self._left:
            await self.start(msgspec.json.decode(self._packed) if self._packed else None)
        instance = self._instance
        if instance is None:
            raise RuntimeError("handle() before start()")
        message = self._read(task)
        ctx = self._context(envelope, task_id, attempt, repeated)
        begun = time.perf_counter()
        try:
            value = await self._receive(instance, message, ctx)
            result = to_result(value, int((time.perf_counter() - begun) * 1000))
        except asyncio.CancelledError:
            self._left = self._sync
            self._restore(instance)
            raise
        except (BadTask, Reject):
            self._restore(instance)
            raise
        return Outcome(result, self._changed(instance))

    async def stop(self) -> None:
        """Call `on_stop` and let the instance go."""
        instance, self._instance = self._instance, None
        if instance is not None:
            await instance.on_stop()

    def discard(self) -> None:
        """Let a failed instance go."""
        self._instance = None

    async def _receive(self, instance: Actor, message: object, ctx: Context) -> object:
        if self._sync:
            return await in_thread(instance.receive, message, ctx)
        return await instance.receive(message, ctx)

    def _restore(self, instance: Actor) -> None:
        """The state as it was before a message that was refused or cut short."""
        if self._left:
            self._instance = None
        elif self._states is not None:
            instance.state = self._states.decode(self._packed)

    def _changed(self, instance: Actor) -> bytes | None:
        """The state where it changed. Raises TypeError: no later instance could begin with it."""
        if self._states is None:
            return None
        packed = msgspec.json.encode(instance.state)
        if packed == self._packed:
            return None
        try:
            self._states.decode(packed)
        except msgspec.ValidationError as error:
            raise TypeError(
                f"the state that {self._kind.__name__} left is not what it declares: {error}"
            ) from error
        self._packed = packed
        return packed

    def _context(
        self, envelope: Envelope, task_id: str, attempt: int, repeated: Callable[[], bool] = lambda: False
    ) -> Context:
        definition = self._definition
        return Context(
            definition.name,
            envelope,
            task_id,
            self._courier,
            attempt=attempt,
            tenant=definition.tenant,
            repeated=repeated,
        )


def _make(kind: type[Actor], definition: Definition) -> Actor:
    try:
        return kind(**definition.config)
    except TypeError as error:
        raise UnknownKind(
            f"agent {definition.name!r} cannot be made: {kind.__name__}(**config) says {error}",
            agent=definition.name,
        ) from error
