"""Chain: the one writer of one chain of records.

Not responsible for deciding what to write, nor for reading a chain back.
Invariant: it knows exactly what stands last; after an append whose end is unknown (no answer, a cancellation)
it knows nothing, appends no more, and the owner opens the chain again and reads what happened.
"""

import secrets
import time
from collections.abc import AsyncIterator, Callable

from ..bus.errors import InternalError
from ..bus.value import Json
from .errors import Corrupt, Fenced, StorageError, StoreUnavailable
from .port import Entry, Ledger
from .record import Record, decode_record, digest, encode_record


def random_id() -> str:
    """Sixteen hex digits that nobody else draws."""
    return secrets.token_hex(8)


class Chain:
    """Appends to one chain in the name of one epoch; made by `Chain.open`.

    Attributes:
        subject: The ledger subject.
        epoch: The epoch this writer was given; every record carries it.
    """

    def __init__(
        self,
        ledger: Ledger,
        subject: str,
        epoch: int,
        tail: Entry | None,
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self.subject = subject
        self.epoch = epoch
        self._ledger = ledger
        self._now = now
        self._new_id = new_id
        self._sequence = tail.revision if tail else 0
        self._head = digest(tail.value) if tail else ""
        self._tail = tail.value if tail else b""
        self._count = decode_record(tail.value).n if tail else 0
        self._busy = False
        self._ended: StorageError | None = None
        self._unsure: tuple[Record, bytes] | None = None

    @classmethod
    async def open(
        cls,
        ledger: Ledger,
        subject: str,
        epoch: int,
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = random_id,
    ) -> "Chain":
        """Read the end of a chain and stand ready to append. Writes nothing, so it fences nobody yet.

        Args:
            now: The wall clock, seconds since 1970, for `at_ms`.
            new_id: Draws the ids of records; must never repeat.

        Raises:
            Fenced: A higher epoch has written to it: this writer is not the owner any more.
            Corrupt: The last record is none, or one of another chain.
            StoreUnavailable: The server did not answer in time.
        """
        chain = cls(ledger, subject, epoch, await ledger.last(subject), now=now, new_id=new_id)
        last = chain.last
        if last is not None and last.chain != subject:
            raise Corrupt(f"the last record of {subject} belongs to {last.chain}", chain=subject)
        if last is not None and last.epoch > epoch:
            raise Fenced(f"{subject} is in epoch {last.epoch}, ours is {epoch}: stop", chain=subject)
        return chain

    @property
    def last(self) -> Record | None:
        """The newest record, as a reader sees it; None for an empty chain."""
        return decode_record(self._tail) if self._tail else None

    @property
    def unsure(self) -> bool:
        """Whether nobody knows if its last append stands: write it `again`, or open the chain again."""
        return self._unsure is not None and not self._busy

    @property
    def sequence(self) -> int:
        """The ledger sequence of the newest record; 0 for an empty chain."""
        return self._sequence

    @property
    def count(self) -> int:
        """How many records the chain has."""
        return self._count

    @property
    def head(self) -> str:
        """The digest of the newest record; with `count` a checkpoint."""
        return self._head

    def records(self, *, after: int = 0) -> AsyncIterator[Entry]:
        """The chain as it stands, oldest first, behind a sequence; see `Ledger.read`."""
        return self._ledger.read(self.subject, after=after)

    async def append(self, kind: str, body: Json = None, *, in_seq: int = 0) -> Record:
        """Write the next record; when this returns it stands, once.

        Ordering: one append at a time; the owner is an actor. Cancellation: the record may stand; this writer
        appends no more, open the chain again.

        Returns:
            The record, with the body as it was given; a reader sees what JSON makes of it.

        Raises:
            Fenced: Another writer appended first: stop, it was not written.
            StoreUnavailable: No answer in time, now or at an earlier append: open the chain again.
            TypeError: The body is no JSON value; nothing was written and the chain goes on.
            InternalError: Two appends at once.
        """
        if self._busy:
            raise InternalError(f"two appends at once to {self.subject}: it has one writer, its owner")
        if self._ended is not None:
            raise self._ended
        record = self._next(kind, body, in_seq)
        data = encode_record(record)
        self._unsure = record, data
        return await self._write(record, data)

    async def again(self) -> Record:
        """Write the record again of which nobody knows whether it stands; when this returns it does, once.

        Raises:
            Fenced: Another writer appended instead: stop, it was not written.
            StoreUnavailable: No answer in time: once more, or open the chain again.
            InternalError: There is no such record, or it is being written.
        """
        if self._unsure is None or self._busy:
            raise InternalError(f"nothing to write again to {self.subject}")
        return await self._write(*self._unsure)

    async def _write(self, record: Record, data: bytes) -> Record:
        self._busy = True
        self._ended = StoreUnavailable(f"an append to {self.subject} has no known end: open it again")
        try:
            self._sequence = await self._ledger.append(self.subject, data, after=self._sequence)
        except Fenced as error:
            self._ended = error
            self._unsure = None
            raise
        finally:
            self._busy = False
        self._ended = self._unsure = None
        self._head = digest(data)
        self._tail, self._count = data, record.n
        return record

    def _next(self, kind: str, body: Json, in_seq: int) -> Record:
        return Record(
            chain=self.subject,
            n=self.count + 1,
            kind=kind,
            epoch=self.epoch,
            in_seq=in_seq,
            id=self._new_id(),
            at_ms=int(self._now() * 1000),
            prev=self._head,
            body=body,
        )
