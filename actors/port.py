"""What an actor needs from the outside, as small protocols that runtime/ and the twin implement.

`Courier` carries what an actor says to others; `Behaviour` is where its code runs; `Post` settles what came
in. Invariant: nothing here names a subject or a server.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from ..bus.envelope import Envelope
from ..bus.errors import ActoriumError
from ..bus.port import Message
from ..bus.task import Result, Task
from ..bus.value import Json, JsonObject
from .card import Card
from .definition import Definition
from .receipt import Receipt


class Letter(msgspec.Struct, kw_only=True, eq=False):
    """One message in a mailbox: a stored task (`seq` > 0) or an ask, which waits for `reply`.

    Attributes:
        task: The body, once it was decoded; None: still raw in `message`.
        message: The raw message; None: it waits in the inbox stream and is fetched when its turn comes.
        token: What acknowledges it; changes with every delivery.
    """

    envelope: Envelope
    task_id: str
    task: Task | None = None
    message: Message | None = None
    seq: int = 0
    token: str = ""
    reply: Callable[[Result], Coroutine[object, object, None]] | None = None
    cancelled: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What a behaviour made of one message: the result, and the state if it changed (JSON)."""

    result: Result
    state: bytes | None = None


class Behaviour(Protocol):
    """Where an actor's code runs: in this process, or in one of its own."""

    async def start(self, state: Json) -> None:
        """Make a fresh instance with the last durable state (JSON values; None: never written)."""

    async def handle(
        self,
        task: Task,
        envelope: Envelope,
        task_id: str,
        attempt: int,
        *,
        repeated: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Handle one message.

        Args:
            repeated: Told at a cancellation: whether the attempt is cut short only to be made again, so that
                what was delegated goes on.

        Raises:
            BadTask, Reject: The answer is no; the instance is as good as before.
            Exception: It failed; the instance must not be used again.
        """

    async def stop(self) -> None:
        """Let the instance go, with its `on_stop`."""

    def discard(self) -> None:
        """Let the instance go without a word: it failed."""


class Courier(Protocol):
    """What an actor, or a client, can say to agents."""

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> bool:
        """Store a task; true where it was stored before. Delivery: effectively once by `task_id`."""

    async def ask(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """Ask an agent and wait until `envelope.deadline`. Delivery: at most once."""

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """Store a task for an agent and wait for its result, over the death of any process."""

    async def nearby(self, agent: str, task: Task, envelope: Envelope) -> Result | None:
        """Have a task done by an actor in this very process, without storing it; None: there is none."""

    async def cancel(self, agent: str, task_id: str, reason: str = "") -> Receipt:
        """Cancel a task and what it delegated; false where its agent does not have it."""

    async def spawn(self, definition: Definition) -> None:
        """Define an agent, or change its definition; it comes alive with its first message."""

    async def command(self, agent: str, verb: str) -> JsonObject:
        """`stop`, `restart`, `start` or `status` an agent, wherever it is."""

    async def emit(self, agent: str, kind: str, task_id: str, data: JsonObject) -> None:
        """Publish an event of an agent. Delivery: at most once."""


class Post(Protocol):
    """How an activation settles what it was given."""

    def owned(self) -> bool:
        """Whether this process may still act for the agent, by its own clock."""

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """A task owned by the worker: what it raises ends the worker, and its supervisor starts another."""

    def ending(self) -> bool:
        """Whether the worker ends: then it cancels what it spawned."""

    def hopeless(self, letter: Letter) -> bool:
        """Whether a letter in hand waits for another agent that nobody will run before we have stopped."""

    async def wait_owned(self) -> None:
        """Return as soon as this process may act for the agent: while blind it acts for nobody."""

    async def fetch(self, letter: Letter) -> Message:
        """The raw message of a stored letter whose body was left in the stream."""

    async def settle(self, letter: Letter, result: Result, *, again: bool = False) -> None:
        """Publish the result, tell who waits for it, then acknowledge the letter.

        Args:
            again: Its result stands in the outbox: only tell and acknowledge.
        """

    async def last_kept(self) -> str:
        """The id of the task whose result came last into the agent's outbox; empty: there is none."""

    def alone(self, letter: Letter, attempts: int) -> AbstractAsyncContextManager[object]:
        """Held while a task runs that may have killed its process before: one of them at a time, for a while.

        Args:
            attempts: How often it was tried before.
        """

    async def bury(self, letter: Letter, reason: str, error: str, attempts: int) -> None:
        """Write a stored letter to the dead letters. The same letter twice is written once."""

    async def supervise(self, definition: Definition, error: str) -> "Directive":
        """Ask the supervisor what becomes of the actor that failed."""

    def faulted(self, error: ActoriumError) -> None:
        """Told once when the activation cannot go on: its picture of the ledger is not sure any more."""

    async def event(self, kind: str, task_id: str, **data: Json) -> None:
        """Publish an event of the agent, in order. Delivery: at most once."""


class RunPost(Post, Protocol):
    """How the owner of runs settles what it was given, and tells what became of it."""

    @property
    def part(self) -> int:
        """The partition of the agent."""

    async def accept(self, letter: Letter) -> None:
        """Acknowledge a stored letter: what it asked for stands elsewhere now."""

    async def publish(self, card: Card, result: Result, *, doubted: bool) -> None:
        """Tell the result of a run to who waits for it, then keep it in the outbox under the task's id.

        Args:
            doubted: It may stand there, longer ago than a server knows message ids: looked up first.
        """

    async def tell_parked(self, card: Card) -> None:
        """Tell whoever gave the task that it waits, so that he may rest too. Delivery: at most once."""

    async def wake(self, agent: str, task_id: str) -> None:
        """Have a run of another agent look again. When this returns its owner knows, or it is over."""


class Directive(msgspec.Struct, frozen=True):
    """What a supervisor says of a child that failed: restart it after a delay (seconds), or stop it."""

    restart: bool
    delay: float = 0.0
    reason: str = ""
