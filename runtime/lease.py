"""Lease: a worker's session, kept alive from a thread of its own with a connection of its own.

A handler that blocks the event loop must not cost the worker its partitions; it is reported as loop lag, and
the supervisor ends the process when it lasts too long. Invariant: `held` is true only while nobody else can
have judged the session dead: it counts from the moment a renewal was *sent*, less a fifth of the lease.
Not covered: native code that keeps the interpreter lock for longer than the lease.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Awaitable, Callable

import msgspec

from ..bus.errors import BusError
from ..storage.errors import LeaseLost, StorageError
from ..storage.port import Leases, Session

LAG_PERIOD = 0.25  # seconds between two looks at the event loop
Connect = Callable[[], Awaitable[tuple[Leases, Callable[[], Awaitable[None]]]]]


class Tenure:
    """How long a session is certainly ours, by when it was renewed. All moments are monotonic seconds.

    Args:
        ttl: The lease, seconds.

    Attributes:
        since: When it last became ours: what was ours before may be another's by now.
    """

    def __init__(self, ttl: float) -> None:
        self._term = ttl * 0.8
        self._until = -math.inf
        self.since = -math.inf

    def held(self, now: float) -> bool:
        """Whether nobody can have judged it dead."""
        return now < self._until

    def renewed(self, sent: float, now: float) -> None:
        """A renewal that was sent then is acknowledged now."""
        if not self.held(now):  # a gap: this process was stopped, or could not see
            self.since = now
        self._until = sent + self._term

    def end(self) -> None:
        """It is nobody's any more."""
        self._until = -math.inf


class Lease:
    """The session of this worker.

    Args:
        session: Who we are.
        ttl: The lease, seconds.
        connect: Opens the thread's own connection: leases, and what closes it.
        watched: The event loop whose lag is measured.
        lost: Called once, in the thread, when the session was ended by somebody.
        beat: Called in the thread, every LAG_PERIOD, with the loop's lag in seconds.
        clock: Monotonic seconds, which the holder counts by too.
    """

    def __init__(
        self,
        session: Session,
        ttl: float,
        connect: Connect,
        *,
        watched: asyncio.AbstractEventLoop,
        lost: Callable[[], None],
        beat: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self._ttl = ttl
        self._connect = connect
        self._watched = watched
        self._lost = lost
        self._beat = beat
        self._clock = clock
        self._tenure = Tenure(ttl)
        self._seen = clock()
        self._opened = threading.Event()
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._urgent = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def held(self) -> bool:
        """Whether the session is certainly ours right now."""
        return self._tenure.held(self._clock())

    def since(self) -> float:
        """When it last became ours, monotonic seconds: what was ours before may be another's by now."""
        return self._tenure.since

    async def open(self) -> None:
        """Start the thread and wait until the session stands. Raises what the first renewal did."""
        self._thread.start()
        await asyncio.to_thread(self._opened.wait)
        if self._error is not None:
            raise self._error

    def drain(self) -> None:
        """Say, with the next renewal, that this worker takes no more partitions; renews at once."""
        self.session = msgspec.structs.replace(self.session, draining=True)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._urgent.set)

    async def close(self) -> None:
        """End the session and the thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join, 5.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._keep())
        except Exception as error:  # noqa: BLE001  # a thread has nobody above it: whoever opened it is told
            self._error = error
        self._tenure.end()
        if self._opened.is_set() and self._error is not None:
            self._lost()
        self._opened.set()

    async def _keep(self) -> None:
        self._loop = asyncio.get_running_loop()
        leases, close = await self._connect()
        watching = asyncio.create_task(self._watch())
        try:
            await self._renew_until_stopped(leases)
            with contextlib.suppress(BusError, StorageError):
                await leases.end_session(self.session.id)
        finally:
            watching.cancel()
            await close()

    async def _renew_until_stopped(self, leases: Leases) -> None:
        revision = 0
        while not self._stop.is_set():
            sent = self._clock()
            try:
                beat = self.session.beat + 1
                self.session = msgspec.structs.replace(self.session, beat=beat)
                revision = await leases.put_session(self.session, revision=revision)
            except LeaseLost:
                raise
            except StorageError:  # no answer, or a server that is full: nobody else can write either
                await asyncio.sleep(self._ttl / 20)  # blind, not dead: nobody else can see either
                continue
            self._tenure.renewed(sent, self._clock())
            self._opened.set()
            await self._pause(self._ttl / 4)

    async def _pause(self, seconds: float) -> None:
        waits = {asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(self._urgent.wait())}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._urgent.clear()

    async def _watch(self) -> None:
        """Ask the watched loop to stamp the time, and report how long it has not."""
        asked = 0.0
        while True:
            if self._seen >= asked:
                asked = self._clock()
                with contextlib.suppress(RuntimeError):  # the loop is closed: the worker ends
                    self._watched.call_soon_threadsafe(self._stamp)
            await asyncio.sleep(LAG_PERIOD)
            self._beat(self._clock() - asked if self._seen < asked else 0.0)

    def _stamp(self) -> None:
        self._seen = self._clock()
