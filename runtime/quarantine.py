"""Quarantine: tasks that may have killed their process run one at a time, or they would die together.

A suspect that waits for another agent steps outside until it is answered: what it waits for may itself wait
for its turn. Not responsible for who is a suspect (`actors/progress.py`). Invariant: of the suspects of a
worker at most one runs code of its own, until it has run for so long that it is hardly the one: a long task
must not hold up the others that were in hand when their process died.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from ..actors.definition import Definition
from ..actors.port import Courier
from ..actors.receipt import Receipt
from ..bus.envelope import Envelope
from ..bus.task import Result, Task
from ..bus.value import JsonObject

SUSPICION = 5.0  # seconds that a suspect of one attempt runs alone; four times as long for each further one


class Quarantine:
    """One suspect at a time in one worker.

    Args:
        suspicion: Seconds that a suspect of one attempt runs alone.
    """

    def __init__(self, suspicion: float = SUSPICION) -> None:
        self._suspicion = suspicion
        self._free = asyncio.Lock()
        self._inside = ""  # the task that runs
        self._outside: dict[str, int] = {}  # calls that each suspect waits for

    @asynccontextmanager
    async def alone(self, task_id: str, attempts: int = 1) -> AsyncIterator[None]:
        """Held while a suspect runs. Cancellation: while it waits for its turn nothing has begun.

        Args:
            attempts: How often it was tried: the more often, the longer it is suspected.
        """
        await self._enter(task_id)
        self._outside[task_id] = 0
        seconds = self._suspicion * 4 ** (attempts - 1)
        timer = asyncio.get_running_loop().call_later(seconds, self._acquit, task_id)
        try:
            yield
        finally:
            timer.cancel()
            self._acquit(task_id)

    def _acquit(self, task_id: str) -> None:
        self._outside.pop(task_id, None)
        self._leave(task_id)

    def outside(self, task_id: str) -> AbstractAsyncContextManager[None]:
        """Held while a task waits for another agent; nothing where it is no suspect, as nearly all are."""
        return self._stepped_out(task_id) if task_id in self._outside else nullcontext()

    @asynccontextmanager
    async def _stepped_out(self, task_id: str) -> AsyncIterator[None]:
        self._outside[task_id] += 1
        self._leave(task_id)
        cut = False
        try:
            yield
        except asyncio.CancelledError:
            cut = True
            raise
        finally:
            if task_id in self._outside:
                self._outside[task_id] -= 1
                if not cut:
                    await self._enter(task_id)
                    if task_id not in self._outside:  # acquitted while it waited for its turn
                        self._leave(task_id)

    async def _enter(self, task_id: str) -> None:
        if self._outside.get(task_id) or self._inside == task_id:
            return  # it waits for other calls, or another of its calls was answered first
        await self._free.acquire()
        self._inside = task_id
        if self._outside.get(task_id):
            self._leave(task_id)  # it has called somebody else meanwhile

    def _leave(self, task_id: str) -> None:
        if self._inside == task_id:
            self._inside = ""
            self._free.release()


class QuarantinedCourier:
    """A courier whose senders step outside while they wait for an answer."""

    def __init__(self, courier: Courier, quarantine: Quarantine, agent: str) -> None:
        self._agent = agent
        self._courier = courier
        self._quarantine = quarantine

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> bool:
        """As the courier."""
        return await self._courier.tell(agent, task, envelope)

    async def ask(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """As the courier."""
        async with self._quarantine.outside(f"{self._agent}:{envelope.parent_run}"):
            return await self._courier.ask(agent, task, envelope)

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """As the courier."""
        async with self._quarantine.outside(f"{self._agent}:{envelope.parent_run}"):
            return await self._courier.delegate(agent, task, envelope)

    async def nearby(self, agent: str, task: Task, envelope: Envelope) -> Result | None:
        """As the courier."""
        async with self._quarantine.outside(f"{self._agent}:{envelope.parent_run}"):
            return await self._courier.nearby(agent, task, envelope)

    async def cancel(self, agent: str, task_id: str, reason: str = "") -> Receipt:
        """As the courier."""
        return await self._courier.cancel(agent, task_id, reason)

    async def spawn(self, definition: Definition) -> None:
        """As the courier."""
        await self._courier.spawn(definition)

    async def command(self, agent: str, verb: str) -> JsonObject:
        """As the courier."""
        return await self._courier.command(agent, verb)

    async def emit(self, agent: str, kind: str, task_id: str, data: JsonObject) -> None:
        """As the courier."""
        await self._courier.emit(agent, kind, task_id, data)
