"""Delegations: the tasks of steps and undos that this process waits for.

Not responsible for which: `engine.py` begins what stands as running. Invariant: to let go of a task is not to
cancel it: it goes on, and the next carrier finds its result under the same key.
"""

import asyncio
from collections.abc import Iterable

from ...bus.errors import ActoriumError, BusError
from ...bus.task import Result, Task
from ...storage.errors import StorageError
from ..errors import Paused
from ..receipt import Receipt
from ..runs.effect import EffectClass
from .book import WorkflowBook
from .branch import Place
from .errand import agent_of, grant_of, key_of, time_for
from .gathering import failed_result
from .port import Hands


class Delegations:
    """What is under way for one run.

    Args:
        book: Its pages.
        hands: Who does the work.
        woken: Set when something has ended, or rests.
    """

    def __init__(self, book: WorkflowBook, hands: Hands, woken: asyncio.Event) -> None:
        self._book = book
        self._hands = hands
        self._woken = woken
        self._waiting: dict[Place, asyncio.Task[None]] = {}
        self._resting: set[Place] = set()
        self._outcomes: dict[Place, Result] = {}
        self._standing = asyncio.Event()
        self._standing.set()

    @property
    def busy(self) -> bool:
        """Whether anything is under way, or has ended and was not taken yet; what waits for people is not."""
        return bool(self._waiting or self._outcomes)

    @property
    def ended(self) -> bool:
        """Whether something has ended and was not taken yet."""
        return bool(self._outcomes)

    def begin(self, group: asyncio.TaskGroup, places: Iterable[Place], *, first: bool = False) -> None:
        """Delegate what stands, in a task group of the caller's; what is under way already goes on.

        Args:
            first: They were never given before, not even by a process that died.
        """
        self._standing.set()
        for place in places:
            if place not in self._waiting and place not in self._outcomes:
                self._resting.discard(place)
                at_once = first and not place.undo and self._effect(place) is EffectClass.PURE
                self._waiting[place] = group.create_task(self._delegate(place, at_once=at_once))

    def begin_at_once(self, group: asyncio.TaskGroup, places: Iterable[Place]) -> None:
        """Have pure steps done whose agents are near, though nothing says yet that they begin.

        Those of which no agent is near wait for the next `begin`, when that stands.
        """
        self._standing.clear()
        for place in places:
            if place not in self._waiting and place not in self._outcomes:
                self._waiting[place] = group.create_task(self._delegate(place, at_once=True))

    def take(self) -> list[tuple[Place, Result]]:
        """What has ended since."""
        taken, self._outcomes = self._outcomes, {}
        return list(taken.items())

    def take_resting(self) -> list[Place]:
        """What waits for people, to be begun again: there may be news."""
        taken, self._resting = sorted(self._resting), set()
        return taken

    def let_go(self) -> None:
        """Wait for nothing any more."""
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        self._resting.clear()
        self._outcomes.clear()

    async def cancel(self, places: Iterable[Place]) -> list[Receipt]:
        """Cancel tasks wherever they are. One that had ended before is still taken as ended.

        Cancellation: they may be cancelled; do it again.
        """
        return await asyncio.gather(*(self._cancel(place) for place in places))

    def _errand(self, place: Place) -> tuple[str, str, Task]:
        """Agent, key and task of an attempt that stands as running."""
        state = self._book.state
        branch = state.branch(place)
        attempt, task = branch.attempt, branch.task
        if place.undo and branch.undo is not None:
            attempt, task = branch.undo.attempt, branch.undo.task
        agent = agent_of(state.dag.steps[place.step], undo=place.undo)
        return agent, key_of(state, place, attempt), task or Task()

    def _effect(self, place: Place) -> EffectClass:
        return self._book.state.dag.steps[place.step].effect

    async def _delegate(self, place: Place, *, at_once: bool = False) -> None:
        state, book = self._book.state, self._book
        agent, key, task = self._errand(place)
        timeout, grant = time_for(state, place, book.now_ms), grant_of(state, book.elapsed)
        try:
            found = None
            if at_once:
                found = await self._hands.nearby(agent, task, key=key, timeout=timeout, grant=grant)
            if found is None:
                await self._intended()
                once = not place.undo and self._effect(place) is EffectClass.IRREVERSIBLE
                found = await self._hands.delegate(
                    agent, task, key=key, timeout=timeout, grant=grant, once=once
                )
        except Paused:
            self._resting.add(place)
        except StorageError:
            raise
        except ActoriumError as error:
            self._outcomes[place] = failed_result(error.failure())
        else:
            self._outcomes[place] = found
        self._waiting.pop(place, None)
        self._woken.set()

    async def _intended(self) -> None:
        """Return when what is under way stands as such."""
        if not self._standing.is_set():
            self._woken.set()
            await self._standing.wait()

    async def _cancel(self, place: Place) -> Receipt:
        agent, key, _ = self._errand(place)
        waiting = self._waiting.pop(place, None)
        if waiting is not None:
            waiting.cancel()
        self._resting.discard(place)
        try:
            return await self._hands.cancel(agent, key)
        except BusError as error:
            return Receipt(agent=agent, task_id=key, cancelled=False, error=error.message)
