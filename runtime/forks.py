"""Forks: the supervisor's side of the zygote: orders go in, process ids come out.

Not responsible for what the forks do. Invariant: an order is answered, with a refusal where the machine has
no room for another process, or the zygote is gone and says so.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys

from ..bus.errors import ActoriumError, ConfigError
from ..bus.value import JsonObject

READY_TIMEOUT = 30.0  # seconds to import the program
FAREWELL = 5.0  # seconds, behind a drain, to close connections


class ForkRefused(ActoriumError):
    """Raised when the machine could not make another process: its limit of them, or memory. Retry later."""

    code = "fork_refused"
    retryable = True


class Forks:
    """One zygote. Open it before use.

    Args:
        source: The program it loads.
        drain: Seconds that what it forked has to finish what is in hand, when the supervisor is gone.
    """

    def __init__(self, source: str, drain: float) -> None:
        self._source = source
        self._grace = drain + FAREWELL
        self._serial = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._orders: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[int] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self) -> "asyncio.Future[int]":
        """Start the zygote, which needs nothing but the program. Idempotent; close it, opened or not.

        Returns:
            Its pid, when it has imported everything; as `open` raises.
        """
        if self._ready is not None:
            return self._ready
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        self._ready = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "actorium.runtime.zygote",
            str(theirs.fileno()), self._source, str(self._grace),
            pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C of the terminal is the supervisor's to answer
        )  # fmt: skip
        theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader))
        return self._ready

    async def open(self) -> None:
        """Wait until the zygote, which is started where it was not, has imported everything.

        Raises:
            ConfigError: It ended instead; what it said stands on stderr.
        """
        ready = await self.begin()
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await ready
        except TimeoutError as error:
            raise ConfigError(
                f"{self._source or 'the program'} did not load in {READY_TIMEOUT:g} s"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether orders are obeyed."""
        return self._reading is not None and not self._reading.done()

    async def fork(self, order: JsonObject) -> int:
        """Have a process forked. Cancellation: if it is forked all the same, it is ended.

        Returns:
            Its pid.

        Raises:
            ConfigError: The zygote is gone.
            ForkRefused: It could not fork; it lives, and obeys the next order.
        """
        if self._writer is None or not self.alive:
            raise ConfigError("the zygote is gone")
        number = next(self._serial)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._orders[number] = answer
        self._writer.write(json.dumps({"id": number, **order}).encode() + b"\n")
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(_end)
            raise

    async def close(self) -> None:
        """Let the zygote end; it drains what it forked first. One that still imports is not waited for."""
        if self._orders and self.alive:  # what nobody waits for any more is ended by its answer
            await asyncio.wait(list(self._orders.values()), timeout=1.0)
        if self._ready is not None and not self._ready.done():
            self._ready.cancel()
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            await _ended(self._process, within=FAREWELL if self._imported() else 0.0)
        if self._reading is not None:
            self._reading.cancel()

    def _imported(self) -> bool:
        return self._ready is not None and self._ready.done() and not self._ready.cancelled()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        finally:
            gone = ConfigError("the zygote ended; what it said stands above")
            for waiting in [*self._orders.values(), *([self._ready] if self._ready else [])]:
                if not waiting.done():
                    waiting.set_exception(gone)

    def _take(self, answer: JsonObject) -> None:
        if "forked" in answer:
            self._orders.pop(answer["forked"]).set_result(answer["pid"])
        elif "refused" in answer:
            refused = ForkRefused(f"no process could be forked: {answer['reason']}")
            self._orders.pop(answer["refused"]).set_exception(refused)
        elif "ready" in answer and self._ready is not None and not self._ready.done():
            self._ready.set_result(answer["ready"])


def _end(forked: "asyncio.Future[int]") -> None:
    """End a process that nobody waits for."""
    if not forked.cancelled() and forked.exception() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(forked.result(), signal.SIGKILL)


async def _ended(process: asyncio.subprocess.Process, within: float) -> None:
    """Wait until a process has ended; after so many seconds it is killed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
