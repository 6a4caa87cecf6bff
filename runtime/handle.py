"""Handle: a task that was stored: its result, its events, its cancel.

Not responsible for storing it: see `client.py`. Invariant: its result is found as long as the task is known
anywhere, over the death of any process but this one.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from ..actors.receipt import Receipt
from ..bus import subjects
from ..bus.codec import read_event
from ..bus.errors import BadMessage
from ..bus.port import Bus, Message
from ..bus.task import Event, Result
from .courier import BusCourier

LOOK_BACK = 1000  # stored events that are searched for those of a task
ON_ITS_WAY = 1.0  # seconds that a stored task may take to its owner
FINAL = frozenset({"completed", "failed", "dead_letter"})


class Handle:
    """A task that was stored, and will end in exactly one result.

    Attributes:
        id: The task's id.
        agent: The agent it was stored for.
    """

    def __init__(
        self,
        agent: str,
        task_id: str,
        bus: Bus,
        courier: BusCourier,
        waiter: "asyncio.Future[Message]",
        *,
        known: bool,
    ) -> None:
        self.id = task_id
        self.agent = agent
        self._bus = bus
        self._courier = courier
        self._waiter = waiter
        self._known = known  # it was stored before

    async def result(self, *, timeout: float | None = None) -> Result:
        """Wait for the result; over restarts of anything but this client.

        Args:
            timeout: Seconds; None: for ever.

        Raises:
            DeadlineExceeded: None yet; the task goes on, and a later call may find its result.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return await self._courier.outcome(self.agent, self.id, self._waiter, deadline, known=self._known)

    async def events(self) -> AsyncIterator[Event]:
        """The task's events until it ends: those the server still has of late, then as they come.

        Delivery: at most once; a busy server keeps only the newest.
        """
        subject = subjects.public(subjects.DEFAULT_TENANT, self.agent, "events")
        queue: asyncio.Queue[Event] = asyncio.Queue()
        subscription = await self._bus.subscribe(subject, lambda message: _take(message, self.id, queue))
        try:
            for event in await self._earlier(subject, queue):
                yield event
                if event.kind in FINAL:
                    return
            while True:
                event = await queue.get()
                yield event
                if event.kind in FINAL:
                    return
        finally:
            await subscription.close()

    async def _earlier(self, subject: str, live: "asyncio.Queue[Event]") -> list[Event]:
        """Stored events of this task, and none of those that are also waiting in the live queue."""
        newest = await self._bus.newest(subjects.EVENTS, subject)
        after = max(0, newest.seq - LOOK_BACK) if newest else 0
        past = await self._bus.history(subjects.EVENTS, subject, after=after, limit=LOOK_BACK)
        found: asyncio.Queue[Event] = asyncio.Queue()
        for stored in past:
            _take(stored.message, self.id, found)
        events = [found.get_nowait() for _ in range(found.qsize())]
        waiting = [live.get_nowait() for _ in range(live.qsize())]
        for event in waiting:
            if event not in events:
                live.put_nowait(event)
        return events

    async def cancel(self, reason: str = "") -> Receipt:
        """Cancel it, and everything it delegated; the receipt is false where it has ended.

        A task that was stored a moment ago may be on its way to its owner, who is asked again then.
        """
        until, pause = time.monotonic() + ON_ITS_WAY, 0.005
        while True:
            receipt = await self._courier.cancel(self.agent, self.id, reason)
            over = receipt.cancelled or receipt.error or self._waiter.done()
            if over or time.monotonic() >= until:
                return receipt
            await asyncio.sleep(pause)
            pause *= 2


def _take(message: Message, task_id: str, queue: "asyncio.Queue[Event]") -> None:
    with suppress(BadMessage, asyncio.QueueFull):
        event = read_event(message.payload)
        if event.task == task_id:
            queue.put_nowait(event)
