"""Isolated: the behaviour of an agent that has a process of its own.

Its owner keeps the ledger, the mailbox and the fence; only the actor's code runs in the other process, forked
from the zygote, on the same machine. The death of that process is an end of file here, at once. Invariant:
one process at a time for one agent of one owner.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..actors.definition import Definition
from ..actors.errors import HandlerFailed, Reject
from ..actors.port import Outcome
from ..bus.envelope import Envelope
from ..bus.errors import BadMessage
from ..bus.task import Task
from ..bus.value import Json
from .frames import Begin, Cancel, Done, End, Failed, Frame, Handle, read_frame, write_frame
from .reports import Reporter

START_TIMEOUT = 10.0  # seconds for a fork to call back
CANCEL_GRACE = 1.0  # seconds for a handler to end after it was cancelled
_serial = itertools.count()


def _never() -> bool:
    return False


class Isolated:
    """One agent's process, seen from its owner."""

    def __init__(self, definition: Definition, reporter: Reporter) -> None:
        self._definition = definition
        self._reporter = reporter
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._state: Json = None  # what the process began with
        self._changed: bytes | None = None  # and what it made of it since, JSON
        self._repeated: Callable[[], bool] = _never

    async def start(self, state: Json) -> None:
        """Have a process forked and the actor made in it.

        Raises:
            HandlerFailed: It did not call back in time, died, or its code raised.
        """
        self.discard()
        self._state, self._changed = state, None
        self._reader, self._writer = await self._forked()
        answer = await self._exchange(Begin(self._definition, state))
        if isinstance(answer, Failed):
            self.discard()
            raise HandlerFailed(answer.failure.message)

    async def handle(
        self,
        task: Task,
        envelope: Envelope,
        task_id: str,
        attempt: int,
        *,
        repeated: Callable[[], bool] = _never,
    ) -> Outcome:
        """Handle one message there. Raises HandlerFailed when it raised or its process died."""
        self._repeated = repeated
        if self._reader is None or self._reader.at_eof():  # it was let go, or died while it was idle
            await self.start(self._state if self._changed is None else msgspec.json.decode(self._changed))
        answer = await self._exchange(Handle(task, envelope, task_id, attempt))
        if isinstance(answer, Failed):
            kind = Reject if answer.refused else HandlerFailed
            raise kind(answer.failure.message, **answer.failure.fields)
        if not isinstance(answer, Done) or answer.result is None:
            raise HandlerFailed(f"the process of {self._definition.name!r} answered with no result")
        if answer.state is not None:
            self._changed = answer.state
        return Outcome(answer.result, answer.state)

    async def stop(self) -> None:
        """Have `on_stop` called, and let the process go."""
        if self._writer is not None:
            with contextlib.suppress(HandlerFailed, TimeoutError):
                async with asyncio.timeout(CANCEL_GRACE):
                    await self._exchange(End())
        self.discard()

    def discard(self) -> None:
        """Close the socket; the process sees it and exits."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _forked(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = self._definition.name
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
            self._reporter.fork(self._definition.key, str(path))
            async with asyncio.timeout(START_TIMEOUT):
                return await called
        except TimeoutError as error:
            raise HandlerFailed(f"no process for agent {name!r} within {START_TIMEOUT:g} s") from error
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def _exchange(self, frame: Frame) -> Frame:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise HandlerFailed(f"agent {self._definition.name!r} has no process")
        write_frame(writer, frame)
        try:
            return await read_frame(reader)
        except asyncio.CancelledError:
            await asyncio.shield(self._cut_short())
            raise
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.discard()
            raise HandlerFailed(f"the process of agent {self._definition.name!r} died") from error

    async def _cut_short(self) -> None:
        """Cancel the handler there and take its answer; a process that does not give one is let go."""
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            return
        try:
            write_frame(writer, Cancel(self._repeated()))
            async with asyncio.timeout(CANCEL_GRACE):
                await read_frame(reader)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, BadMessage, msgspec.MsgspecError):
            self.discard()  # also where the cancellation came in the middle of a frame
