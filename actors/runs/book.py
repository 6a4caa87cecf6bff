"""RunBook: the ledger of one run, and the state that follows from it.

Not responsible for deciding: see `plan.py`. Invariant: what a fact says takes effect only after it stands.
The state is ahead of the records only while one is written, one at a time however many calls are under way;
facts that come meanwhile stand together in the next one. After a write that failed the book is of no use, and
is opened again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from ...bus.claim import LIMIT
from ...storage.chain import Chain
from ...storage.errors import Fenced, StorageError, StoreUnavailable
from ...storage.port import Blobs, Ledger
from ...storage.record import decode_record
from .reading import EPOCH, packed, read_facts
from .record import Ended, RunRecord, Started
from .state import RunState, fold

R = TypeVar("R", bound=RunRecord)
T = TypeVar("T")
FIRST_PAUSE = 0.01  # seconds before a store that did not answer is asked again; doubled each time
LONGEST_PAUSE = 2.0


class RunBook:
    """The records of one run, written by its owner. Open it with `open`, or begin it with `fresh`.

    Attributes:
        state: Where the run stands.
        begun_by: Inbox sequence of the task that began it; 0: an ask, or nothing yet.
    """

    def __init__(self, chain: Chain, blobs: Blobs, clock: Callable[[], float]) -> None:
        self.state = RunState()
        self.begun_by = 0
        self._chain = chain
        self._blobs = blobs
        self._clock = clock
        self._told = clock()
        self._noted: list[RunRecord] = []
        self._writing = asyncio.Lock()
        self._failed: StorageError | None = None

    @classmethod
    def fresh(
        cls,
        ledger: Ledger,
        blobs: Blobs,
        subject: str,
        epoch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> "RunBook":
        """A run that is presumed not to have begun: nothing is read. Where it has, `begin` raises Fenced."""
        return cls(Chain(ledger, subject, epoch, None), blobs, clock)

    @classmethod
    async def open(
        cls,
        ledger: Ledger,
        blobs: Blobs,
        subject: str,
        epoch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> "RunBook":
        """Read a run and fence earlier owners; an empty chain is a run that has not begun.

        Args:
            clock: Monotonic seconds.

        Raises:
            Fenced: A newer owner carries it.
            Corrupt: It does not read.
            StoreUnavailable: No answer in time.
        """
        while True:
            book = cls(await Chain.open(ledger, subject, epoch), blobs, clock)
            if await book._taken_over():
                return book

    @classmethod
    async def ended(cls, ledger: Ledger, blobs: Blobs, subject: str) -> Ended | None:
        """The last record of a run that is over; None: it is not, or never began. Raises StoreUnavailable."""
        entry = await ledger.last(subject)
        if entry is None or decode_record(entry.value).kind != "ended":
            return None
        *_, found = await read_facts(decode_record(entry.value).body, blobs)
        return found if isinstance(found, Ended) else None

    @property
    def elapsed(self) -> float:
        """Seconds since the newest record, or since the run was taken up again."""
        return self._clock() - self._told

    def take_up(self) -> None:
        """From now on the run is carried: its time counts."""
        self._told = self._clock()

    async def begin(self, started: Started, seq: int = 0) -> None:
        """Write the first record, unless the run has begun. Raises as `write`.

        Args:
            seq: Inbox sequence of its task; 0: an ask.
        """
        if self.state.started is None:
            self.begun_by = seq
            await self.write(started)

    async def write(self, record: RunRecord) -> None:
        """Append a fact, with those that were noted; when this returns it stands.

        Cancellation: it may stand; open the book again.

        Goes on until the store answers, however long it is away.

        Raises:
            Fenced: A newer owner carries the run.
            StorageError: The store refused it for good, now or before: open the book again.
        """
        await self.decide(lambda _: record)

    async def decide(self, choose: Callable[[RunState], R]) -> R:
        """Append the fact that is chosen for the state as it is, with nothing noted in between.

        Raises as `write`.
        """
        record = choose(self.state)
        self.note(record)
        await self.flush()
        return record

    def note(self, record: RunRecord) -> None:
        """Take a fact in; it stands, and may take effect, when the next `write` or `flush` has returned."""
        now = self._clock()
        record = msgspec.structs.replace(record, seconds=max(0.0, now - self._told))
        self._told = now
        self.state = fold(self.state, record)
        self._noted.append(record)

    async def flush(self) -> None:
        """Have all that was noted stand. Raises as `write`."""
        async with self._writing:
            if self._failed is not None:
                raise self._failed
            if self._noted:
                facts, self._noted = self._noted, []
                await self._append(facts)

    async def _append(self, facts: list[RunRecord]) -> None:
        """Write facts as one record, by the kind of the last one."""
        unsure = f"{self._chain.subject} was not written to its end: open the book again"
        self._failed = StoreUnavailable(unsure, chain=self._chain.subject)
        kind, body = facts[-1].__struct_config__.tag, packed(facts)
        large = len(body) > LIMIT
        in_seq = 0 if self._chain.count else self.begun_by
        told = {"blob": await insist(lambda: self._blobs.put(body))} if large else msgspec.Raw(body)
        try:
            await self._chain.append(str(kind), told, in_seq=in_seq)
        except StoreUnavailable:  # what was done must not be done again because a server was away for long
            await insist(self._chain.again)
        self._failed = None

    async def _taken_over(self) -> bool:
        """Read every record, and fence earlier owners. False: one of them wrote meanwhile; open it again."""
        async for entry in self._chain.records():
            record = decode_record(entry.value)
            if record.n == 1:
                self.begun_by = record.in_seq
            for fact in () if record.kind == EPOCH else await read_facts(record.body, self._blobs):
                self.state = fold(self.state, fact)
        last = self._chain.last
        if last is None or last.epoch == self._chain.epoch or self.state.ended is not None:
            return True  # nothing follows the end
        try:
            await self._chain.append(EPOCH, {})
        except Fenced:
            return False
        return True


async def insist(do: Callable[[], Awaitable[T]]) -> T:
    """Do it, again and again while the store does not answer. Cancellation: it may be done."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await do()
        except StoreUnavailable:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
