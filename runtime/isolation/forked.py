"""Forked: the process of one agent in the hands of its owner: a socket to talk to it, and one it lives by.

Not responsible for what is said. Invariant: the process ends when its lifeline does, at once and whatever it
does then: the kernel kills it. So it outlives neither its owner nor our patience.
"""

import asyncio
import itertools
import os
import tempfile
from pathlib import Path

from ...actors.errors import HandlerFailed
from ..reports import Reporter

START_TIMEOUT = 10.0  # seconds for a fork to call back
END_GRACE = 1.0  # seconds for a process to end by itself after it was let go
_serial = itertools.count()


class Forked:
    """A process that called back.

    Args:
        lifeline: What it lives by; nothing is ever said there.
        reader: What it says.
        writer: What is said to it.
    """

    def __init__(
        self, lifeline: asyncio.StreamWriter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._lifeline = lifeline

    @property
    def lives(self) -> bool:
        """Whether there is a process, as far as is known."""
        return not self.reader.at_eof()

    def close(self) -> None:
        """Close the socket; the process sees it and exits, or is killed after END_GRACE."""
        self.writer.close()
        asyncio.get_running_loop().call_later(END_GRACE, self._lifeline.close)

    def kill(self) -> None:
        """End the process now."""
        self.writer.close()
        self._lifeline.close()


async def fork(agent: str, reporter: Reporter) -> Forked:
    """Have a process forked, and wait until it has called back.

    Raises:
        HandlerFailed: It did not in time, or there is no room for it.
    """
    path = Path(tempfile.gettempdir()) / f"actorium-{os.getpid()}-{next(_serial)}.sock"
    called: asyncio.Future[Forked] = asyncio.Future()
    lifelines: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if called.done():
            writer.close()
        elif lifelines:  # it calls with that first
            called.set_result(Forked(lifelines.pop(), reader, writer))
        else:
            lifelines.append(writer)

    server = await asyncio.start_unix_server(take, str(path))
    path.chmod(0o600)
    try:
        reporter.fork(agent, str(path), called)
        async with asyncio.timeout(START_TIMEOUT):
            return await called
    except TimeoutError as error:
        raise HandlerFailed(f"no process for agent {agent} within {START_TIMEOUT:g} s") from error
    finally:
        server.close()
        path.unlink(missing_ok=True)
        for lifeline in lifelines:
            lifeline.close()
