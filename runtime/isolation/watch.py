"""Watch: how long the agents of a worker may block their processes, and who is told while they do.

Not responsible for noticing: see `silence.py`. Delivery of what it tells: at most once.
"""

import contextlib
import logging

import msgspec

from ...bus import subjects
from ...bus.errors import BusError
from ...bus.port import Bus
from ..telemetry import LogEvent

log = logging.getLogger("actorium.worker")


class Watch:
    """What a worker knows of lag.

    Args:
        limit: Seconds an event loop may be blocked before its process is ended.
        bus: Where lag is told, on `system.events`; None: only in the log.
        who: Fields that say whose agents these are.
    """

    def __init__(self, limit: float = 60.0, bus: Bus | None = None, **who: str) -> None:
        self.limit = limit
        self._bus = bus
        self._who = who

    async def lagging(self, agent: str, seconds: float) -> None:
        """The event loop of an agent's process has not turned for so long."""
        fields = {**self._who, "agent": agent, "seconds": seconds}
        log.warning(LogEvent.LOOP_LAG, extra={"fields": fields})
        if self._bus is not None:
            event = {"kind": "loop_lag", **fields}
            with contextlib.suppress(BusError):
                await self._bus.publish(subjects.SYSTEM_EVENTS, msgspec.json.encode(event))
