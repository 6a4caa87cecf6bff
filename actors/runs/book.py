"""RunBook: the ledger of one run, and the state that follows from it.

Not responsible for deciding: see `plan.py`. Invariant: the state changes only after its record stands, and
one record is written at a time, however many calls of a run are under way.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from ...bus.claim import LIMIT
from ...storage.chain import Chain
from ...storage.errors import Corrupt, Fenced
from ...storage.port import Blobs, Ledger
from ...storage.record import decode_record
from .record import Ended, RunRecord, Started
from .state import RunState, fold

EPOCH = "epoch"  # a record of the chain alone: a new owner
R = TypeVar("R", bound=RunRecord)
_records: msgspec.json.Decoder[RunRecord] = msgspec.json.Decoder(RunRecord)


class RunBook:
    """The records of one run, written by its owner. Open it with `open`.

    Attributes:
        state: Where the run stands.
    """

    def __init__(self, chain: Chain, blobs: Blobs, clock: Callable[[], float]) -> None:
        self.state = RunState()
        self._chain = chain
        self._blobs = blobs
        self._clock = clock
        self._told = clock()
        self._writing = asyncio.Lock()

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
        book = cls(Chain(ledger, subject, 0, entry), blobs, time.monotonic)
        found = await book._read(decode_record(entry.value).body)
        return found if isinstance(found, Ended) else None

    @property
    def elapsed(self) -> float:
        """Seconds since the newest record, or since the run was taken up again."""
        return self._clock() - self._told

    def take_up(self) -> None:
        """From now on the run is carried: its time counts."""
        self._told = self._clock()

    async def begin(self, started: Started) -> None:
        """Write the first record, unless the run has begun. Raises as `write`."""
        if self.state.started is None:
            await self.write(started)

    async def write(self, record: RunRecord) -> None:
        """Append a record; when this returns it stands and the state knows it.

        Cancellation: it may stand; open the book again.

        Raises:
            Fenced: A newer owner carries the run.
            StoreUnavailable: No answer in time, now or before: open the book again.
        """
        await self.decide(lambda _: record)

    async def decide(self, choose: Callable[[RunState], R]) -> R:
        """Append the record that is chosen for the state as it stands, with nothing written in between.

        Raises as `write`.
        """
        async with self._writing:
            now = self._clock()
            record = msgspec.structs.replace(choose(self.state), seconds=max(0.0, now - self._told))
            body = msgspec.to_builtins(record)
            packed = msgspec.json.encode(body)
            kind: str = body["type"]
            if len(packed) > LIMIT:
                body = {"blob": await self._blobs.put(packed)}
            await self._chain.append(kind, body)
            self._told = now
            self.state = fold(self.state, record)
            return record

    async def _taken_over(self) -> bool:
        """Read every record, and fence earlier owners. False: one of them wrote meanwhile; open it again."""
        async for entry in self._chain.records():
            record = decode_record(entry.value)
            if record.kind != EPOCH:
                self.state = fold(self.state, await self._read(record.body))
        last = self._chain.last
        if last is None or last.epoch == self._chain.epoch or self.state.ended is not None:
            return True  # nothing follows the end
        try:
            await self._chain.append(EPOCH, {})
        except Fenced:
            return False
        return True

    async def _read(self, body: object) -> RunRecord:
        if isinstance(body, dict) and set(body) == {"blob"}:
            return self._decode(await self._blobs.get(body["blob"]))
        return self._decode(msgspec.json.encode(body))

    def _decode(self, packed: bytes) -> RunRecord:
        try:
            return _records.decode(packed)
        except msgspec.ValidationError as error:
            raise Corrupt(f"{self._chain.subject} holds what is no record of a run: {error}") from error
