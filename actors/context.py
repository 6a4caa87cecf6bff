"""Context: what a handler knows of the message it handles, and what it may do.

Everything durable that a handler says gets an id made of its own task and a counter, so that a second attempt
says the same things again under the same ids and nothing is stored twice.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import msgspec

from ..bus.envelope import Envelope
from ..bus.errors import BusError
from ..bus.subjects import DEFAULT_TENANT
from ..bus.task import Result
from ..bus.value import Json, JsonObject
from ..storage.errors import StorageError
from .definition import Definition
from .message import to_task
from .port import Courier

DELEGATE_TIMEOUT = 300.0  # seconds, where neither the caller nor the task has a deadline
ASK_TIMEOUT = 5.0
MAX_ID = 100  # characters; the wire takes 128, and suffixes may follow


class Context:
    """One handling of one message.

    Args:
        template: What everything said has in common, where it is not the task's own: a tool of a run speaks
            under its call's key, in the name of the run.

    Attributes:
        agent: The id of the agent that handles it.
        task_id: The task's id; the same on every attempt. In a tool: the call's key.
        attempt: 1 for the first run of a stored task.
    """

    __slots__ = (
        "_clock",
        "_courier",
        "_repeated",
        "_said",
        "_template",
        "agent",
        "attempt",
        "envelope",
        "task_id",
        "tenant",
    )

    def __init__(
        self,
        agent: str,
        envelope: Envelope,
        task_id: str,
        courier: Courier,
        *,
        attempt: int = 1,
        tenant: str = DEFAULT_TENANT,
        clock: Callable[[], float] = time.monotonic,
        repeated: Callable[[], bool] = lambda: False,
        template: Envelope | None = None,
    ) -> None:
        self.agent = agent
        self.tenant = tenant
        self.envelope = envelope
        self.task_id = task_id
        self.attempt = attempt
        self._courier = courier
        self._clock = clock
        self._repeated = repeated
        self._said = 0
        self._template = template

    @property
    def remaining(self) -> float | None:
        """Seconds until the caller stops waiting; None: nobody set a deadline."""
        deadline = self.envelope.deadline
        return None if deadline is None else max(0.0, deadline - self._clock())

    async def tell(self, agent: str, message: object) -> str:
        """Store a message for an agent.

        Delivery: effectively once, over crashes of either side. Ordering: after earlier tells to that agent.

        Returns:
            The task's id.

        Raises:
            MailboxFull: The agent has as much as it may hold; not stored.
            BusLost: Whether it was stored is unknown; the next attempt says it under the same id.
        """
        envelope = msgspec.structs.replace(self._next(None), deadline=None)  # it outlives its sender
        await self._courier.tell(agent, to_task(message), envelope)
        return envelope.task_id

    async def ask(self, agent: str, message: object, *, timeout: float = ASK_TIMEOUT) -> Result:
        """Ask an agent and wait for its result.

        Delivery: at most once; a second attempt of this handler asks again. Cancellation: the wait ends, the
        message may still be handled.

        Args:
            timeout: Seconds; what remains of this task's own deadline counts where it is less.

        Raises:
            UnknownAgent, ActorStopped, MailboxFull, NoOwner: It did not run.
            DeadlineExceeded, BusLost: Whether it ran is unknown.
        """
        return await self._courier.ask(agent, to_task(message), self._next(timeout))

    async def delegate(self, agent: str, message: object, *, timeout: float | None = None) -> Result:
        """Give a task to an agent and wait for its result, over the death of any process.

        Delivery: effectively once; a second attempt of this handler finds the first one's result.
        Cancellation: the delegated task is cancelled too, wherever it runs; not when this attempt is cut
        short by a move or a stop, for the next attempt will find its result.

        Raises:
            MailboxFull: The agent has as much as it may hold; not stored.
            DeadlineExceeded: No result in time; the delegated task was cancelled.
        """
        remaining = self.remaining
        envelope = self._next(DELEGATE_TIMEOUT if timeout is None and remaining is None else timeout)
        try:
            return await self._courier.delegate(agent, to_task(message), envelope)
        except asyncio.CancelledError:
            if not self._repeated():
                with suppress(BusError, StorageError):  # else it goes on to its deadline
                    await asyncio.shield(self._courier.cancel(agent, envelope.task_id))
            raise

    async def spawn(self, definition: Definition) -> str:
        """Define an agent; it comes alive with its first message, on whichever worker owns it.

        Returns:
            Its id, to tell, ask and delegate to.
        """
        await self._courier.spawn(definition)
        return definition.name

    async def command(self, agent: str, verb: str) -> JsonObject:
        """`stop`, `restart`, `start`, `give_up` or `status` another agent."""
        return await self._courier.command(agent, verb)

    async def emit(self, kind: str, **data: Json) -> None:
        """Publish progress on this agent's events. Delivery: at most once."""
        about = self._template.parent_run if self._template else self.task_id
        await self._courier.emit(self.agent, kind, about, data)

    def _next(self, timeout: float | None) -> Envelope:
        """The envelope of the next thing said: own id, this task's correlation, the nearer deadline."""
        self._said += 1
        limits = [self.envelope.deadline, None if timeout is None else self._clock() + timeout]
        deadlines = [limit for limit in limits if limit is not None]
        task_id, deadline = child_id(self.task_id, self._said), min(deadlines, default=None)
        if self._template is not None:
            return msgspec.structs.replace(self._template, task_id=task_id, deadline=deadline)
        return Envelope(
            task_id=task_id,
            correlation_id=self.envelope.correlation_id or self.task_id,
            parent_run=self.task_id,
            deadline=deadline,
            traceparent=self.envelope.traceparent,
        )


def child_id(task_id: str, said: int) -> str:
    """The id of what a task says, made of its own: the same on every attempt, never too long to travel."""
    told = f"{task_id}/{said}"
    return told if len(told) <= MAX_ID else f"{sha256(told.encode()).hexdigest()[:24]}/{said}"
