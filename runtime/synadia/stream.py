"""Stream: what goes back for one prompt of the agent protocol, in order; nothing follows its end.

Invariant: words that were told while they came are not told again at the end, as far as they all arrived.
"""

from collections.abc import Mapping
from contextlib import suppress

from ...bus.errors import BusError
from ...bus.port import Bus
from ...bus.task import Result
from . import wire
from .unsaid import GAP


class Stream:
    """The answers to one prompt.

    Args:
        bus: The connection.
        reply: Where they go.
    """

    def __init__(self, bus: Bus, reply: str) -> None:
        self._bus = bus
        self._reply = reply
        self._said = ""
        self._turned = False

    async def ack(self) -> None:
        """Say that the prompt was received, or that it still runs."""
        await self._say(wire.ACK, None)

    async def words(self, text: str) -> None:
        """Say a piece of the answer; nothing: a new turn begins, whose words stand apart."""
        if not text:
            self._turned = bool(self._said)
            return
        told = f"{GAP}{text}" if self._turned else text
        self._turned = False
        for payload in wire.responses(told):
            await self._say(payload, None)
        self._said += told

    async def query(self, about: str, reply_subject: str, prompt: str) -> None:
        """Ask the caller something, to be answered on a subject."""
        await self._say(wire.query(about, reply_subject, prompt), None)

    async def end(self, result: Result) -> None:
        """Say the answer, or why there is none, and that this is all."""
        for payload, headers in wire.closing(result, self._said):
            await self._say(payload, headers)

    async def _say(self, payload: bytes, headers: Mapping[str, str] | None) -> None:
        with suppress(BusError):  # whoever asked waits for its own time-out
            await self._bus.publish(self._reply, payload, headers)
