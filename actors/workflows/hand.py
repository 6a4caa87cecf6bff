"""CourierHands: how the steps of one run are done by agents: durable delegation under the step's own key.

Not responsible for retries of a step: see `setback.py`. Invariant: the key is the task's id, so a step that
is given again finds its first result.
"""

import asyncio
from collections.abc import Callable

import msgspec

from ...bus.envelope import Envelope
from ...bus.errors import BusLost, MailboxFull
from ...bus.task import Result, Task
from ...bus.value import Json
from ..card import Card
from ..port import Courier
from ..receipt import Receipt
from ..runs.delegation import Grant

FIRST_PAUSE = 0.05  # seconds before a step is given again where a mailbox is full; doubled each time
LONGEST_PAUSE = 2.0


class CourierHands:
    """Gives the tasks of one run.

    Args:
        card: The run's.
        courier: Carries them.
        clock: Monotonic seconds.
    """

    def __init__(self, card: Card, courier: Courier, clock: Callable[[], float]) -> None:
        self._card = card
        self._courier = courier
        self._clock = clock

    async def nearby(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant
    ) -> Result | None:
        """Have a task done by an agent that is near; see `Hands.nearby`."""
        return await self._courier.nearby(agent, task, self._envelope(key, self._clock() + timeout, grant))

    async def delegate(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant, once: bool = False
    ) -> Result:
        """Give a task and wait for its result; see `Hands.delegate`."""
        deadline, pause = self._clock() + timeout, FIRST_PAUSE
        envelope = msgspec.structs.replace(self._envelope(key, deadline, grant), once=once)
        while True:
            try:
                return await self._courier.delegate(agent, task, envelope)
            except (BusLost, MailboxFull):
                if self._clock() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _envelope(self, key: str, deadline: float, grant: Grant) -> Envelope:
        card = self._card
        return Envelope(
            task_id=key,
            correlation_id=card.correlation_id or card.task_id,
            parent_run=card.task_id,
            traceparent=card.traceparent,
            deadline=deadline,
            grant=msgspec.json.encode(grant).decode(),
            wakes=card.agent,
        )

    async def cancel(self, agent: str, key: str) -> Receipt:
        """Cancel a task wherever it is; see `Hands.cancel`."""
        return await self._courier.cancel(agent, key, f"{self._card.run} does not need it any more")

    async def emit(self, kind: str, **data: Json) -> None:
        """Publish progress of the run. Delivery: at most once."""
        await self._courier.emit(self._card.agent, kind, self._card.task_id, data)
