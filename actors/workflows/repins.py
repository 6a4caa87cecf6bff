"""Repins: definitions that a run that is being carried shall go on with, and who waits for that.

Not responsible for whether it can: see `migration.py`. Invariant: whoever waits is told: that it stands, why
it cannot, or that nobody knows.
"""

import asyncio

from ...bus.errors import ActoriumError
from ...storage.errors import StoreUnavailable
from .book import WorkflowBook
from .definition import Workflow
from .migration import migrated


class Repins:
    """What was asked for and is not decided yet."""

    def __init__(self) -> None:
        self._open: list[tuple[Workflow, asyncio.Future[None]]] = []

    def add(self, workflow: Workflow) -> asyncio.Future[None]:
        """Ask for it. Waiting for what is returned raises Incompatible, or StoreUnavailable."""
        stands: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.append((workflow, stands))
        return stands

    async def carry_out(self, book: WorkflowBook) -> bool:
        """Do what was asked for; nothing else may be said and not written.

        Returns:
            Whether there was anything to do: then there may be more to say.
        """
        asked, self._open = self._open, []
        for number, (workflow, stands) in enumerate(asked):
            try:
                await book.repin(workflow, migrated)
            except ActoriumError as error:
                if error.retryable:  # nobody knows whether it stands
                    self._open = asked[number:]
                    raise
                if not stands.done():
                    stands.set_exception(error)
            else:
                if not stands.done():
                    stands.set_result(None)
        return bool(asked)

    def disappoint(self) -> None:
        """Nobody writes any more."""
        for _, stands in self._open:
            if not stands.done():
                stands.set_exception(StoreUnavailable("the run was let go of; say it again"))
        self._open.clear()
