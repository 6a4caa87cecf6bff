"""Requests: facts that others want written in a run that is being carried, and who waits for that.

Not responsible for writing. Invariant: whoever waits is told: that it stands, that it came too late, or that
nobody knows.
"""

import asyncio

from ...storage.errors import StoreUnavailable
from .record import WorkflowFact


class Requests:
    """What was asked for and does not stand yet."""

    def __init__(self) -> None:
        self._open: list[tuple[WorkflowFact, asyncio.Future[bool]]] = []
        self._taken: list[asyncio.Future[bool]] = []

    def add(self, fact: WorkflowFact) -> asyncio.Future[bool]:
        """Ask for a fact. Waiting for what is returned: whether it counts; raises StoreUnavailable."""
        stands: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._open.append((fact, stands))
        return stands

    def take(self) -> list[WorkflowFact]:
        """What is to be written now; then comes `answer`, or `disappoint`."""
        facts = [fact for fact, _ in self._open]
        self._taken += [stands for _, stands in self._open]
        self._open.clear()
        return facts

    def answer(self, *, counts: bool) -> None:
        """What was taken stands; or the run was over before."""
        for stands in self._taken:
            if not stands.done():
                stands.set_result(counts)
        self._taken.clear()

    def disappoint(self, *, over: bool) -> None:
        """Nobody writes any more: because the run is over, or because it is let go of."""
        self.take()
        for stands in self._taken:
            if over and not stands.done():
                stands.set_result(False)
            elif not stands.done():
                stands.set_exception(StoreUnavailable("the run was let go of; say it again"))
        self._taken.clear()
