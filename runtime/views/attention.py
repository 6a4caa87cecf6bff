"""Attention: says when to look at a run, and at what it delegated, because something happened to one of them.

Events may be lost, so they only say when; what happened is in the ledger. Not responsible for reading it.
Invariant: what happened before an agent was listened to counts as news of it.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from ...actors.card import run_name
from ...bus import subjects
from ...bus.codec import read_event
from ...bus.errors import BadMessage
from ...bus.port import Bus, Handler, Message, Subscription


class Attention:
    """Listens to the agents of the runs that are known.

    Args:
        bus: The connection.
        known: The names of those runs, which may become more.
        said: Gets what the models of those agents say; None: nobody wants it.
    """

    def __init__(
        self, bus: Bus, tenant: str, known: Callable[[], Collection[str]], said: Handler | None = None
    ) -> None:
        self._bus = bus
        self._tenant = tenant
        self._known = known
        self._said = said
        self._news = asyncio.Event()
        self._open: dict[str, list[Subscription]] = {}

    async def listen(self) -> None:
        """Listen to the agents of all runs that are known by now."""
        for agent in {name.partition("/")[0] for name in self._known()} - set(self._open):
            wanted = {"events": self._happened, "stream": self._said}
            self._open[agent] = [
                await self._bus.subscribe(subjects.public(self._tenant, agent, leaf), handler)
                for leaf, handler in wanted.items()
                if handler is not None
            ]
            self._news.set()  # what happened before we listened

    async def close(self) -> None:
        """Listen no more. Idempotent."""
        for subscriptions in self._open.values():
            for subscription in subscriptions:
                await subscription.close()
        self._open.clear()

    def begin(self) -> None:
        """The runs are being looked at now: only what happens from here on is news."""
        self._news.clear()

    def look(self) -> None:
        """Have them looked at now."""
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Return when something has happened since `begin`, or after so many seconds."""
        with suppress(TimeoutError):  # not wait_for: on Python 3.11 it can swallow a cancellation
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _happened(self, message: Message) -> None:
        with suppress(BadMessage):
            event = read_event(message.payload)
            if run_name(event.agent, event.task) in self._known():
                self._news.set()
