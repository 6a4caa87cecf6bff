"""Server-sent events, read from bytes as they come.

Only the `data` of events is told: both wires that we speak repeat the kind inside it. Invariant: however the
bytes are cut into chunks, the same events come out.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

LONGEST_EVENT = 64 * 1024 * 1024  # bytes; more than any answer, less than a worker's memory
GRACE = 0.2  # seconds for the end of the body after the last event, so that the connection can be used again


class EventTooLong(Exception):
    """Raised for an event that does not end."""


class Events:
    """A parser: bytes in, the data of whole events out."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes.

        Raises:
            EventTooLong: More than LONGEST_EVENT bytes belong to one event.
        """
        lines = (self._rest + chunk).splitlines(keepends=True)  # bytes: only at \n, \r and \r\n
        self._rest = b""
        if lines and not lines[-1].endswith(b"\n"):
            self._rest = lines.pop()  # not whole, or a \r whose \n is on its way
        if len(self._rest) + self._held > LONGEST_EVENT:
            raise EventTooLong(f"an event of more than {LONGEST_EVENT} bytes")
        return self._events(lines)

    def end(self) -> list[bytes]:
        """The data of an event that the end of the body completes; many servers leave out the empty line."""
        rest, self._rest = self._rest, b""
        return self._events([rest, b"\n"])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        if lines and not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        events = []
        for line in lines:
            field = line.rstrip(b"\r\n")
            if field.startswith(b"data:"):
                value = field[6:] if field[5:6] == b" " else field[5:]
                self._data.append(value)
                self._held += len(value)
            elif not field and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
                self._held = 0
        return events


async def consume(chunks: AsyncIterator[bytes], take: Callable[[bytes], bool]) -> None:
    """Give every event's data to `take`, until it says that this was the last, or the body ends.

    Cancellation: stops at once; close the response.
    """
    events = Events()
    async for chunk in chunks:
        for data in events.feed(chunk):
            if take(data):
                await _drain(chunks)
                return
    for data in events.end():
        if take(data):
            return


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read to the end of the body, if it comes at once. The answer is whole: nothing here can spoil it."""
    with suppress(Exception):  # late, or cut: whoever owns the response closes the connection
        async with asyncio.timeout(GRACE):
            async for _ in chunks:
                pass
