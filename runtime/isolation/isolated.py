"""Isolated and IsolatedCarrier: the code of an agent that has a process of its own.

Its owner keeps the ledger of an actor, the mailbox and the fence; only the agent's code runs in the other
process, forked from the zygote, on the same machine. A run is carried there, under the owner's epoch. Not
responsible for the process itself: see `link.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from ...actors.carrier import CalledOff, Carrier, Order, Parked
from ...actors.definition import Definition
from ...actors.errors import HandlerFailed, Reject
from ...actors.port import Outcome
from ...bus.envelope import Envelope
from ...bus.task import Result, Task
from ...bus.value import Json, JsonObject
from ..reports import Reporter
from .frames import Begin, Carry, Done, End, Failed, Handle, News, Rest, Rested
from .link import CANCEL_GRACE, AgentLink


def _never() -> bool:
    return False


class Isolated:
    """The behaviour of an actor in a process of its own."""

    def __init__(self, definition: Definition, reporter: Reporter) -> None:
        self._definition = definition
        self._link = AgentLink(definition.key, reporter)
        self._state: Json = None  # what the process began with
        self._changed: bytes | None = None  # and what it made of it since, JSON

    async def start(self, state: Json) -> None:
        """Have a process forked and the actor made in it.

        Raises:
            HandlerFailed: It did not call back in time, died, or its code raised.
        """
        self._state, self._changed = state, None
        await self._link.open()
        answer = await self._link.exchange(Begin(self._definition, state), _never)
        if isinstance(answer, Failed):
            self.discard()
            raise HandlerFailed(answer.failure.message)

    async def handle(
        self,
        task: Task,
        envelope: Envelope,
        task_id: str,
        attempt: int,
        *,
        repeated: Callable[[], bool] = _never,
    ) -> Outcome:
        """Handle one message there. Raises HandlerFailed when it raised or its process died."""
        if not self._link.lives:  # it was let go, or died while it was idle
            await self.start(self._state if self._changed is None else msgspec.json.decode(self._changed))
        answer = await self._link.exchange(Handle(task, envelope, task_id, attempt), repeated)
        if isinstance(answer, Failed):
            kind = Reject if answer.refused else HandlerFailed
            raise kind(answer.failure.message, **answer.failure.fields)
        if not isinstance(answer, Done) or answer.result is None:
            raise HandlerFailed(f"the process of {self._definition.name!r} answered with no result")
        if answer.state is not None:
            self._changed = answer.state
        return Outcome(answer.result, answer.state)

    async def stop(self) -> None:
        """Have `on_stop` called, and let the process go."""
        await _farewell(self._link)

    def discard(self) -> None:
        """Let the process go."""
        self._link.close()


class IsolatedCarrier(Carrier):
    """A carrier whose runs are carried in a process of their agent's own, one at a time.

    Args:
        carrier: The same carrier in this process: it begins and ends runs, which runs no code of the agent's.
        reporter: Has processes forked.
    """

    def __init__(self, carrier: Carrier, reporter: Reporter) -> None:
        super().__init__(carrier.definition, carrier.ports)
        self.loses_when_cut = carrier.loses_when_cut
        self._carrier = carrier
        self._link = AgentLink(carrier.definition.key, reporter)
        self._run = ""  # which is being carried
        self._cancelling = False

    @property
    def parallel(self) -> int:
        """One run at a time has the process."""
        return 1

    async def begin(self, order: Order, task: Task, envelope: Envelope) -> Result | None:
        """As the carrier here."""
        ended = await self._carrier.begin(order, task, envelope)
        self._carrier.forget(order.run)
        return ended

    async def carry(self, order: Order) -> Result | Parked:
        """Carry it there. Raises HandlerFailed when it raised or its process died."""
        if not self._link.lives:
            await self._link.open()
            answer = await self._link.exchange(Begin(self.definition), _never)
            if isinstance(answer, Failed):
                self._link.close()
                raise HandlerFailed(answer.failure.message)
        self._run, self._cancelling = order.run, False
        try:
            answer = await self._link.exchange(Carry(order), lambda: not self._cancelling)
        finally:
            self._run = ""
        match answer:
            case Done(result) if result is not None:
                return result
            case Rested(parked):
                return parked
            case Failed(failure):
                raise HandlerFailed(failure.message, **failure.fields)
            case _:
                raise HandlerFailed(f"the process of {self.definition.name!r} answered with no result")

    def rest(self, run: str) -> None:
        """Have it return at its next step."""
        if run == self._run:
            self._link.say(Rest(run))

    def news(self, run: str) -> None:
        """Have it look again."""
        if run == self._run:
            self._link.say(News(run))

    def cancelling(self, run: str) -> None:
        """It is about to be cut short for good."""
        self._cancelling = run == self._run

    async def call_off(self, order: Order, reason: str) -> CalledOff:
        """As the carrier here."""
        return await self._carrier.call_off(order, reason)

    async def fail(self, order: Order, error: str) -> Result:
        """As the carrier here."""
        return await self._carrier.fail(order, error)

    async def find(self, order: Order) -> Result | None:
        """As the carrier here."""
        return await self._carrier.find(order)

    async def command(self, order: Order, verb: str, told: JsonObject) -> JsonObject:
        """As the carrier here."""
        return await self._carrier.command(order, verb, told)

    async def stop(self) -> None:
        """Let the process go."""
        await _farewell(self._link)


async def _farewell(link: AgentLink) -> None:
    if link.lives:
        with contextlib.suppress(HandlerFailed, TimeoutError):
            async with asyncio.timeout(CANCEL_GRACE):
                await link.exchange(End(), _never)
    link.close()
