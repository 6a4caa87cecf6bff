"""Asks: requests that wait for their answer, and are looked after when it takes long.

Whoever took an ask may have died with it, and nobody would say so before the deadline; so the owner of now is
asked whether he has it. Not responsible for sending it. Invariant: an ask is given up only after an owner
said twice, a look apart, that he does not have it: the first time, its answer may have been on its way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from ..bus.errors import BusError, BusLost
from ..bus.port import Message

EVERY = 1.0  # seconds between two looks; what is answered by then costs nothing

Missing = Callable[[str, list[str]], Awaitable[Collection[str]]]


class _Ask:
    """One that waits. An `asyncio.Timeout` would say the same, at three times the price for each ask."""

    __slots__ = ("agent", "cancelling", "doubted", "looks", "lost", "task", "task_id")

    def __init__(self, agent: str, task_id: str, task: "asyncio.Task[object] | None") -> None:
        self.agent = agent
        self.task_id = task_id
        self.task = task
        self.looks = 0  # that it waited through
        self.doubted = False  # the last owner did not have it
        self.lost = False
        self.cancelling = 0

    def give_up(self) -> None:
        """End the wait, once."""
        if self.task is not None and not self.lost:
            self.lost, self.cancelling = True, self.task.cancelling()
            self.task.cancel()

    def gave_up(self) -> bool:
        """Whether it was we who ended the wait, and nobody else meanwhile."""
        return self.lost and self.task is not None and self.task.uncancel() <= self.cancelling


class Asks:
    """The asks of one tenant that wait on one connection.

    Args:
        missing: Asks the owner of an agent which of these tasks he does not have. Raises BusError.
        every: Seconds between two looks.
    """

    def __init__(self, missing: Missing, every: float = EVERY) -> None:
        self._missing = missing
        self._every = every
        self._waiting: set[_Ask] = set()
        self._watch: asyncio.Task[None] | None = None

    async def answer(self, agent: str, task_id: str, request: Awaitable[Message]) -> Message:
        """The answer to a request. Cancellation: the wait ends; it may still be handled.

        Raises:
            BusLost: Whoever took it has been replaced; whether it ran is unknown.
        """
        ask = _Ask(agent, task_id, asyncio.current_task())
        self._waiting.add(ask)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._look())
        try:
            return await request
        except asyncio.CancelledError:
            if not ask.gave_up():
                raise
            replaced = f"the owner of agent {agent!r} was replaced; whether it ran is unknown"
            raise BusLost(replaced, agent=agent) from None
        finally:
            self._waiting.discard(ask)

    async def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _look(self) -> None:
        """Look after what waits, until nothing does."""
        while self._waiting:
            await asyncio.sleep(self._every)
            old = defaultdict(list)
            for ask in self._waiting:
                ask.looks += 1
                if ask.looks > 1:
                    old[ask.agent].append(ask)
            await asyncio.gather(*(self._look_after(agent, asks) for agent, asks in old.items()))

    async def _look_after(self, agent: str, asks: list[_Ask]) -> None:
        with suppress(BusError):  # nobody owns it now, or the owner does not answer: nothing is known yet
            missing = await self._missing(agent, [ask.task_id for ask in asks])
            for ask in self._waiting.intersection(asks):
                lost = ask.task_id in missing
                if lost and ask.doubted:
                    ask.give_up()
                ask.doubted = lost
