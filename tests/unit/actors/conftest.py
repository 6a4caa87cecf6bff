"""A stage for one real actor: a ledger in memory, and a post that writes down what it was told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from actorium.actors.activation import Activation
from actorium.actors.actor import Actor
from actorium.actors.behaviour import LocalBehaviour
from actorium.actors.definition import Definition, Options
from actorium.actors.ledger import ActorLedger
from actorium.actors.port import Directive, Letter
from actorium.bus.codec import encode
from actorium.bus.envelope import Envelope
from actorium.bus.errors import ActoriumError, BusLost
from actorium.bus.port import Message
from actorium.bus.task import Result, Task
from actorium.storage.memory import MemoryBlobs, MemoryLedger
from actorium.storage.port import Ledger
from actorium.storage.record import Record, decode_record

SUBJECT = "led.7.default.it"
AGAIN = Directive(restart=True)


class Outpost:
    """The Post port: keeps what it is told, and what the ledger said at that moment."""

    def __init__(self, kinds: Callable[[], list[str]]) -> None:
        self.settled: list[tuple[str, Result, bool]] = []
        self.outbox: list[str] = []
        self.full = False  # nothing comes into the outbox
        self.stood: list[str] = []  # the newest record at each settlement
        self.dead: list[tuple[str, str, int]] = []
        self.events: list[str] = []
        self.faults: list[ActoriumError] = []
        self.crashes: list[str] = []
        self.directives: deque[Directive] = deque()
        self.ended = False
        self.ours = asyncio.Event()
        self.ours.set()
        self.tasks: list[asyncio.Task[None]] = []
        self._kinds = kinds
        self._lock = asyncio.Lock()

    def owned(self) -> bool:
        return self.ours.is_set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def ending(self) -> bool:
        return self.ended

    def hopeless(self, letter: Letter) -> bool:
        return False

    async def wait_owned(self) -> None:
        await self.ours.wait()

    async def fetch(self, letter: Letter) -> Message:
        assert letter.message is not None
        return letter.message

    async def settle(self, letter: Letter, result: Result, *, again: bool = False) -> None:
        self.stood.append(self._kinds()[-1])
        self.settled.append((letter.task_id, result, again))
        if not again and self.full:
            raise BusLost("no answer")
        if not again:
            self.outbox.append(letter.task_id)

    async def last_kept(self) -> str:
        return self.outbox[-1] if self.outbox else ""

    def alone(self, letter: Letter, attempts: int) -> AbstractAsyncContextManager[object]:
        return self._lock

    async def bury(self, letter: Letter, reason: str, error: str, attempts: int) -> None:
        self.dead.append((letter.task_id, reason, attempts))

    async def supervise(self, definition: Definition, error: str) -> Directive:
        self.crashes.append(error)
        return self.directives.popleft() if self.directives else AGAIN

    def faulted(self, error: ActoriumError) -> None:
        self.faults.append(error)

    async def event(self, kind: str, task_id: str, **data: Any) -> None:
        self.events.append(kind)

    def result(self, task_id: str) -> Result:
        return next(result for name, result, _ in self.settled if name == task_id)


class Silent:
    """The Courier port of an actor that says nothing to others."""

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> None:
        raise AssertionError(agent)

    ask = delegate = cancel = spawn = command = emit = tell


class Stage:
    """Brings actors alive, one after the other, on the same ledger."""

    def __init__(self) -> None:
        self.ledger: Ledger = MemoryLedger()
        self.stored = self.ledger
        self.blobs = MemoryBlobs()
        self.post = Outpost(self.kinds)
        self._seq = 0

    async def begin(
        self, kind: type[Actor], options: Options | None = None, *, epoch: int = 1, **more: Any
    ) -> Activation:
        """An activation, started."""
        options = options or Options()
        definition = Definition(name="it", kind="test:It", options=options, **more)
        ledger = await ActorLedger.open(self.ledger, self.blobs, SUBJECT, epoch)
        actor = Activation(definition, LocalBehaviour(definition, kind, Silent()), ledger, self.post)
        await actor.start()
        return actor

    def stored_letter(self, spec: Any, *, task_id: str = "", seq: int = 0, **envelope: Any) -> Letter:
        """A task as the inbox stream hands it over."""
        self._seq = seq or self._seq + 1
        payload = spec if isinstance(spec, bytes) else encode(Task(spec=spec))
        return Letter(
            envelope=Envelope(**envelope),
            task_id=task_id or f"t{self._seq}",
            message=Message("inp.7.default.it", payload),
            seq=self._seq,
        )

    def ask_letter(self, spec: Any, **envelope: Any) -> tuple[Letter, asyncio.Future[Result]]:
        """An ask, and the future of its answer."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        async def reply(result: Result) -> None:
            answer.set_result(result)

        return Letter(envelope=Envelope(**envelope), task_id="ask", task=Task(spec=spec), reply=reply), answer

    async def tell(self, actor: Activation, spec: Any, **more: Any) -> Result:
        """Offer a stored task and wait until it is settled."""
        letter = self.stored_letter(spec, **more)
        actor.offer(letter)
        await quiet(actor)
        return self.post.result(letter.task_id)

    async def ask(self, actor: Activation, spec: Any, **more: Any) -> Result:
        """Ask and wait for the answer."""
        letter, answer = self.ask_letter(spec, **more)
        actor.offer(letter)
        async with asyncio.timeout(5):
            return await answer

    def records(self) -> list[Record]:
        """What stands in the ledger."""
        return [decode_record(entry.value) for entry in self.stored._chains.get(SUBJECT, [])]

    def kinds(self) -> list[str]:
        """The kinds of the records that stand."""
        return [record.kind for record in self.records()]


async def quiet(actor: Activation) -> None:
    """Wait until an actor has nothing in hand and nothing waiting."""
    async with asyncio.timeout(5):
        while actor._task is not None:
            await asyncio.wait([actor._task])
            await asyncio.sleep(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A stage whose tasks end with the test; a task that raised fails it."""
    stage = Stage()
    yield stage
    stage.post.ended = True
    for task in stage.post.tasks:
        task.cancel()
    for ended in await asyncio.gather(*stage.post.tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


@pytest.fixture
def settle() -> Callable[[Activation], Coroutine[Any, Any, None]]:
    """Waits until an actor is quiet."""
    return quiet
