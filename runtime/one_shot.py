"""OneShot: one task from a terminal: told, watched, answered for, and called off by Ctrl-C.

Not responsible for where its agent runs. Invariant: after Ctrl-C the run and all that it delegated were
called off before anything stops, and what became of each is said.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from ..actors.card import run_name
from ..actors.errors import BadTask
from ..actors.receipt import Receipt
from ..actors.runs.delegation import Grant
from ..bus.errors import ActoriumError, DeadlineExceeded
from ..bus.task import Result, Task
from ..storage.errors import NotFound
from .client import Client
from .person import Person
from .views.run_screen import Screen
from .views.run_watch import RunWatch
from .workflow_repeat import OtherRun

LAST_WORDS = 2.0  # seconds for what is still to be read of a run that has ended


class Order(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        grant: What it may spend at most.
        timeout: Seconds; then it is called off. None: it takes as long as it takes.
    """

    agent: str
    task: Task
    task_id: str
    grant: Grant | None = None
    timeout: float | None = None

    @property
    def run(self) -> str:
        """The name of its run."""
        return run_name(self.agent, self.task_id)


class OneShot:
    """Carries one order out, as far as a terminal sees it.

    Args:
        client: Reaches the agent.
        order: What is to be done.
        screen: Where it shows.
        person: Who answers its questions, made for the screen.
        hurry: What a second Ctrl-C does beside.

    Attributes:
        interrupted: Whether Ctrl-C ended it.
    """

    def __init__(
        self,
        client: Client,
        order: Order,
        screen: Screen,
        person: Person,
        *,
        hurry: Callable[[], None] = lambda: None,
    ) -> None:
        self.interrupted = False
        self._client = client
        self._order = order
        self._screen = screen
        self._person = person
        self._hurry = hurry
        self._work: asyncio.Task[Result] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> Result | None:
        """Carry it out; None: it was interrupted, and called off.

        Raises:
            DeadlineExceeded: It took longer than it may, and was called off.
            ActoriumError: It could not be told, or watched.
        """
        self._work = asyncio.create_task(self._carry_out())
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            return await self._work
        except asyncio.CancelledError:
            if not self.interrupted:
                self._work.cancel()
                raise
        except DeadlineExceeded:
            self._screen.say(f"{self._order.run} takes longer than {self._order.timeout:g} s: calling it off")
            await self._call_off("it took too long")
            raise
        self._screen.say(f"calling off {self._order.run}")
        self._ending = asyncio.create_task(self._call_off("interrupted"))
        await asyncio.wait([self._ending])
        return None

    def _interrupt(self) -> None:
        first, self.interrupted = not self.interrupted, True
        if first and self._work is not None:
            self._work.cancel()
        elif not first:
            self._hurry()
            if self._ending is not None:
                self._ending.cancel()

    async def _must_be_the_same(self) -> None:
        """Find a task id that is taken: its result would be shown as that of this task. Raises OtherRun."""
        order = self._order
        with suppress(NotFound, BadTask):
            before = (await self._client.runs.show(order.agent, order.task_id)).task
            task = order.task
            if before != ({"action": task.action, "spec": task.spec} if task.action else task.spec):
                told = f"run {order.run} was started before with another task: choose another id"
                raise OtherRun(told, run=order.run)

    async def _carry_out(self) -> Result:
        order, names = self._order, self._client.names
        await self._must_be_the_same()
        watch = RunWatch(names, order.agent, order.task_id, on_words=lambda: self._hear(watch))
        async with watch:
            handle = await self._client.tell(
                order.agent, order.task, task_id=order.task_id, grant=order.grant
            )
            watching = asyncio.create_task(self._watch(watch))
            attending = asyncio.create_task(self._person.attend())
            try:
                result = await handle.result(timeout=order.timeout)
                watch.look()
                await asyncio.wait([watching], timeout=LAST_WORDS if _is_run(result, watch) else 0.0)
            finally:
                watching.cancel()
                attending.cancel()
                await asyncio.wait([watching, attending])
                self._screen.end(watch.view)
        return result

    def _hear(self, watch: RunWatch) -> None:
        self._screen.hear(lambda: watch.view, watch.words)

    async def _watch(self, watch: RunWatch) -> None:
        try:
            async for told in watch.records():
                self._person.hear(told)
                self._screen.show(told, watch.view)
        except ActoriumError as error:  # the run goes on, and its result comes all the same
            self._screen.say(f"cannot be watched: {error.message}")

    async def _call_off(self, reason: str) -> None:
        order = self._order
        try:
            receipt = await self._client.cancel(order.agent, order.task_id, reason)
        except ActoriumError as error:
            self._screen.say(f"error: {error.message}; it goes on: actorium run cancel {order.run}")
            return
        for text in receipt_lines(receipt):
            self._screen.say(text)


def _is_run(result: Result, watch: RunWatch) -> bool:
    """Whether there are records to read: of a quick run none may be read yet, and a plain actor has none."""
    return bool(watch.view.began_ms) or result.metrics.steps is not None


def receipt_lines(receipt: Receipt, depth: int = 0) -> Iterator[str]:
    """What became of a cancel, a line for each run."""
    became = "cancelled" if receipt.cancelled else receipt.error or "had ended before"
    yield f"{'  ' * depth}{run_name(receipt.agent, receipt.task_id)}: {became}"
    for child in receipt.children:
        yield from receipt_lines(child, depth + 1)
