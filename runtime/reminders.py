"""Reminders: what time does to open questions: they are said again, go to somebody else, or expire.

One per worker, for the runs of the partitions it hosts. Not responsible for answers (`approval_desk.py`), but
it wakes a parked run whose question was answered while nobody could tell it. Invariant: a worker that carries
no runs reads nothing; what is due is kept by compare-and-set before it is told, so it is told at most once.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from ..actors.carriage import Carriage
from ..actors.runs.approval import Escalate, Expire, Pending, Question, Remind, due
from ..actors.runs.approvals import Approvals
from ..bus import subjects
from ..bus.codec import encode
from ..bus.errors import BusError
from ..bus.port import Bus
from ..bus.task import Event
from ..bus.value import JsonObject
from ..storage.errors import StorageError
from ..storage.port import StateStore
from .courier import BusCourier
from .partition import PartitionHost

EVERY = 5.0  # seconds between two looks


class Reminders:
    """Looks after the questions of one worker's runs.

    Args:
        state: Where questions are kept.
        hosts: The partitions this worker owns, by number.
        courier: Publishes the events of agents.
        bus: Tells that somebody answered, and hears what the system is told.
        wall: The wall clock, seconds since 1970: people's time.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        state: StateStore,
        hosts: Mapping[int, PartitionHost],
        courier: BusCourier,
        bus: Bus,
        *,
        wall: Callable[[], float] = time.time,
        every: float = EVERY,
    ) -> None:
        self._approvals = Approvals(state, wall)
        self._hosts = hosts
        self._courier = courier
        self._bus = bus
        self._wall = wall
        self._every = every
        self._answered = asyncio.Event()
        self._woken: set[str] = set()  # ids of answered questions whose runs looked since

    async def run(self) -> None:
        """Look again and again, and at once when somebody answered, until cancelled."""
        await self._bus.subscribe(subjects.ANSWERED, lambda _: self._answered.set())
        while True:
            with suppress(StorageError, BusError):  # the next look finds it all again
                await self.look()
            with suppress(TimeoutError):  # not wait_for: on Python 3.11 it can swallow a cancellation
                async with asyncio.timeout(self._every):
                    await self._answered.wait()
            self._answered.clear()

    async def look(self) -> None:
        """Do what is due now. Raises StorageError and BusError."""
        if not any(True for _ in self._carriages()):
            return
        found = await self._approvals.list(open_only=False)
        self._woken &= {pending.question.id for pending in found}
        for pending in found:
            if (host := self._host_of(pending.question)) is not None:
                await self._tend(pending, *host)

    async def _tend(self, pending: Pending, tenant: str, carriage: Carriage) -> None:
        question = pending.question
        if pending.decision is not None:
            self._wake(question, carriage)
            return
        what = due(pending, self._wall())
        if what is None or not await self._approvals.let_pass(pending, what):
            return
        match what:
            case Remind(number):
                await self._tell(tenant, question, "reminder", {"number": number})
            case Escalate(to):
                await self._tell(tenant, question, "escalated", {"to": to})
            case Expire():
                await self._tell(tenant, question, "expired", {"at_expiry": question.on_expiry})
                self._wake(question, carriage)

    def _wake(self, question: Question, carriage: Carriage) -> None:
        """Have a parked run take its answer in, once."""
        task_id = _task_of(question)
        if question.id not in self._woken and carriage.is_parked(task_id):
            self._woken.add(question.id)
            carriage.rouse(task_id)

    async def _tell(self, tenant: str, question: Question, kind: str, more: JsonObject) -> None:
        """Say it on the agent's events, and where the whole system is heard."""
        data: JsonObject = {"id": question.id, "tool": question.tool, "approver": question.approver} | more
        task_id = _task_of(question)
        await self._courier.of(tenant).emit(question.agent, kind, task_id, data)
        at_ms = int(self._wall() * 1000)
        event = Event(kind=kind, agent=question.agent, task=task_id, at_ms=at_ms, data=data)
        await self._bus.publish(subjects.SYSTEM_EVENTS, encode(event))

    def _host_of(self, question: Question) -> tuple[str, Carriage] | None:
        """The tenant and the carriage of a question's agent; None: another worker's, or nobody's."""
        found = (here for here in self._carriages() if here[1] == question.agent)
        return next(((tenant, carriage) for tenant, _, carriage in found), None)

    def _carriages(self) -> Iterator[tuple[str, str, Carriage]]:
        """Tenant, name and carriage of each agent that has runs here."""
        for host in self._hosts.values():
            for (tenant, agent), live in host.live.items():
                if isinstance(live, Carriage) and not live.idle:
                    yield tenant, agent, live


def _task_of(question: Question) -> str:
    return question.run.partition("/")[2]
