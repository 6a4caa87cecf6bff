"""AgentLink: the process of one isolated agent, seen from its owner: forked, spoken to, let go.

Not responsible for what is said: see `isolation.py`. The death of that process is an end of file here, at
once. Invariant: one process at a time, one exchange at a time; after anything that leaves an answer open the
process is let go, so that no answer is taken for that of a later question.
"""

import asyncio
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from ...actors.errors import HandlerFailed
from ...bus.errors import BadMessage
from ..reports import Reporter
from .frames import Cancel, Frame, read_frame, write_frame

START_TIMEOUT = 10.0  # seconds for a fork to call back
CANCEL_GRACE = 1.0  # seconds for a handler to end after it was cancelled
_serial = itertools.count()


class AgentLink:
    """A process of one agent.

    Args:
        agent: Its key, `tenant.name`.
        reporter: Has it forked.
    """

    def __init__(self, agent: str, reporter: Reporter) -> None:
        self._agent = agent
        self._reporter = reporter
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def lives(self) -> bool:
        """Whether there is a process, as far as is known."""
        return self._reader is not None and not self._reader.at_eof()

    async def open(self) -> None:
        """Have a process forked; one that is there is let go.

        Raises:
            HandlerFailed: It did not call back in time.
        """
        self.close()
        self._reader, self._writer = await self._forked()

    def close(self) -> None:
        """Close the socket; the process sees it and exits."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    def say(self, frame: Frame) -> None:
        """Say something that is not answered."""
        if self._writer is not None:
            write_frame(self._writer, frame)

    async def exchange(self, frame: Frame, repeated: Callable[[], bool]) -> Frame:
        """Say something, and wait for the answer.

        Cancellation: what runs there is cut short first; where it does not end in time, it is let go.

        Args:
            repeated: Told at a cancellation: whether it will be done again.

        Raises:
            HandlerFailed: There is no process, or it died.
        """
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise HandlerFailed(f"agent {self._agent} has no process")
        write_frame(writer, frame)
        try:
            return await read_frame(reader)
        except asyncio.CancelledError:
            await asyncio.shield(self._cut_short(reader, writer, repeated()))
            raise
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.close()
            raise HandlerFailed(f"the process of agent {self._agent} died") from error

    async def _cut_short(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, repeated: bool
    ) -> None:
        """Cancel what runs there and take its answer; a process that does not give one is let go."""
        try:
            write_frame(writer, Cancel(repeated))
            async with asyncio.timeout(CANCEL_GRACE):
                await read_frame(reader)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, BadMessage, msgspec.MsgspecError):
            self.close()  # also where the cancellation came in the middle of a frame

    async def _forked(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = Path(tempfile.gettempdir()) / f"actorium-{os.getpid()}-{next(_serial)}.sock"
        called: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if called.done():
                writer.close()
            else:
                called.set_result((reader, writer))

        server = await asyncio.start_unix_server(take, str(path))
        path.chmod(0o600)
        try:
            self._reporter.fork(self._agent, str(path))
            async with asyncio.timeout(START_TIMEOUT):
                return await called
        except TimeoutError as error:
            raise HandlerFailed(f"no process for agent {self._agent} within {START_TIMEOUT:g} s") from error
        finally:
            server.close()
            path.unlink(missing_ok=True)
