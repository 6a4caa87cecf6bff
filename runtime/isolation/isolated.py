"""Isolated and IsolatedCarrier: the code of an agent that has a process of its own.

Its owner keeps the ledger of an actor, the mailbox and the fence; only the agent's code runs in the other
process, forked from the zygote, on the same machine. A run is carried there, under the owner's epoch. Not
responsible for the process itself: see `link.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import assert_never

import msgspec

from ...actors.carrier import CalledOff, Carrier, Order, Parked
from ...actors.definition import Definition
from ...actors.errors import HandlerFailed
from ...actors.port import Outcome
from ...bus.envelope import Envelope
from ...bus.errors import from_failure
from ...bus.task import Result, Task
from ...bus.value import Json, JsonObject
from ..reports import Reporter
from .frames import NO_STATE, Answer, Begin, Carry, CutShort, Done, End, Failed, Handle, News, Rest, Rested
from .link import CANCEL_GRACE, AgentLink
from .watch import Watch


def _never() -> bool:
    return False


class Isolated:
    """The behaviour of an actor in a process of its own.

    Args:
        definition: The actor.
        reporter: Has processes forked.
        watch: What becomes of one that blocks.
    """

    def __init__(self, definition: Definition, reporter: Reporter, watch: Watch | None = None) -> None:
        self._definition = definition
        self._link = AgentLink(definition.key, reporter, watch)
        self._state = NO_STATE  # what a process is to begin with

    async def start(self, state: Json) -> None:
        """Have a process forked and the actor made in it.

        Raises:
            HandlerFailed: It did not call back in time, died, or was blocked for too long.
            ActoriumError: What its code raised.
        """
        self._state = msgspec.Raw(msgspec.json.encode(state))
        await self._begin()

    async def handle(
        self,
        task: Task,
        envelope: Envelope,
        task_id: str,
        attempt: int,
        *,
        repeated: Callable[[], bool] = _never,
    ) -> Outcome:
        """Handle one message there; that its answer is no is an outcome too. Raises as `start`."""
        if not self._link.lives:  # it was let go, or died while it was idle
            await self._begin()
        done = _done(await self._link.exchange(Handle(task, envelope, task_id, attempt), repeated))
        if done.result is None:
            raise HandlerFailed(f"the process of {self._definition.name!r} answered with no result")
        if done.state == NO_STATE:
            return Outcome(done.result)
        self._state = done.state
        return Outcome(done.result, bytes(done.state))

    async def stop(self) -> None:
        """Have `on_stop` called, and let the process go."""
        await _farewell(self._link)

    def discard(self) -> None:
        """Let the process go."""
        self._link.close()

    async def _begin(self) -> None:
        await _open(self._link, Begin(self._definition, self._state))


class IsolatedCarrier(Carrier):
    """A carrier whose runs are carried in a process of their agent's own, one at a time.

    Args:
        carrier: The same carrier in this process: it begins and ends runs, which runs no code of the agent's.
        reporter: Has processes forked.
        watch: What becomes of one that blocks.
    """

    def __init__(self, carrier: Carrier, reporter: Reporter, watch: Watch | None = None) -> None:
        super().__init__(carrier.definition, carrier.ports)
        self.loses_when_cut = carrier.loses_when_cut
        self._carrier = carrier
        self._link = AgentLink(carrier.definition.key, reporter, watch)
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
        """Carry it there.

        Raises:
            HandlerFailed: Its process died, or was blocked for too long.
            ActoriumError: What it raised there, so that its owner takes it as if it had been raised here.
        """
        if not self._link.lives:
            await _open(self._link, Begin(self.definition))
        self._run, self._cancelling = order.run, False
        try:
            answer = await self._link.exchange(Carry(order), lambda: not self._cancelling)
        finally:
            self._run = ""
        if isinstance(answer, Rested):
            return answer.parked
        done = _done(answer)
        if done.result is None:
            raise HandlerFailed(f"the process of {self.definition.name!r} answered with no result")
        return done.result

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


async def _open(link: AgentLink, begin: Begin) -> None:
    """Have a process forked, and what it serves made in it."""
    await link.open()
    try:
        _done(await link.exchange(begin, _never))
    except BaseException:  # also where it was cut short: it is not what it should be
        link.close()
        raise


def _done(answer: Answer) -> Done:
    match answer:
        case Done():
            return answer
        case Failed(failure):
            raise from_failure(failure)
        case Rested() | CutShort():
            raise HandlerFailed(f"unexpected {type(answer).__name__}")
        case _:
            assert_never(answer)


async def _farewell(link: AgentLink) -> None:
    if link.lives:
        with contextlib.suppress(HandlerFailed, TimeoutError):
            async with asyncio.timeout(CANCEL_GRACE):
                await link.exchange(End(), _never)
    link.close()
