"""Verifier: proves that a chain is whole, from its bytes alone; needs no server.

Found anywhere in a chain: a changed byte, a dropped, repeated, inserted or moved record, a fork, a falling
epoch, a record of another chain, bytes that are not canonical. The newest record has none behind it that
seals it: a cut tail, or a change in the last record, is found against a checkpoint taken before.
Not responsible for who wrote the records: a chain forged whole is whole, unless a checkpoint says otherwise.
Invariant: what was fed so far is a whole chain of `count` records whose last has the digest `head`.
"""

from collections.abc import AsyncIterable, Iterable

import msgspec

from .errors import Corrupt
from .record import Record, decode_record, digest, is_canonical


class Verified(msgspec.Struct, frozen=True):
    """A proven chain: how many records, the digest of the last; also a checkpoint for a later proof."""

    count: int
    head: str


def verify(records: Iterable[bytes], chain: str, checkpoint: Verified | None = None) -> Verified:
    """Prove a chain from its first record on.

    Args:
        chain: The ledger subject the records must name.
        checkpoint: An earlier result: the chain must contain it, it may have grown since.

    Raises:
        Corrupt: It is not whole; `index` says which record, `reason` what is wrong with it.
    """
    verifier = Verifier(chain, checkpoint)
    for data in records:
        verifier.feed(data)
    return verifier.result()


async def verify_stream(
    records: AsyncIterable[bytes], chain: str, checkpoint: Verified | None = None
) -> Verified:
    """`verify` for records that arrive one by one."""
    verifier = Verifier(chain, checkpoint)
    async for data in records:
        verifier.feed(data)
    return verifier.result()


class Verifier:
    """Takes the records of one chain in order and refuses the first that does not fit."""

    def __init__(self, chain: str, checkpoint: Verified | None = None) -> None:
        self._chain = chain
        self._checkpoint = checkpoint
        self._count = 0
        self._head = ""
        self._epoch = 0

    def feed(self, data: bytes) -> Record:
        """Take the next record's bytes; raises Corrupt, after which nothing more may be fed."""
        record = self._decode(data)
        if reason := self._misfit(record):
            raise self._corrupt(reason)
        self._count = record.n
        self._head = digest(data)
        self._epoch = record.epoch
        checkpoint = self._checkpoint
        if checkpoint is not None and checkpoint.count == record.n and checkpoint.head != self._head:
            self._count -= 1
            raise self._corrupt("it is not the record of the checkpoint")
        return record

    def result(self) -> Verified:
        """What was proven, when there are no more records."""
        if self._checkpoint is not None and self._count < self._checkpoint.count:
            raise self._corrupt(f"the tail is cut, the checkpoint has {self._checkpoint.count} records")
        return Verified(self._count, self._head)

    def _decode(self, data: bytes) -> Record:
        try:
            record = decode_record(data)
        except Corrupt as error:
            raise self._corrupt(error.message) from error
        if not is_canonical(data):
            raise self._corrupt("its bytes are not canonical JSON")
        return record

    def _misfit(self, record: Record) -> str:
        """Why a record cannot stand here; empty if it can."""
        place = self._count + 1
        if record.chain != self._chain:
            return f"it belongs to {record.chain}"
        if record.n != place:
            return f"it says it is record {record.n}: {_disorder(record.n, place)}"
        if record.prev != self._head:
            return "it follows another record than the one before it"
        if record.epoch < self._epoch:
            return f"its epoch {record.epoch} is below {self._epoch}"
        return ""

    def _corrupt(self, reason: str) -> Corrupt:
        index = self._count + 1
        text = f"record {index} of {self._chain} is corrupt: {reason}"
        return Corrupt(text, chain=self._chain, index=str(index), reason=reason)


def _disorder(said: int, place: int) -> str:
    return "records before it are missing" if said > place else "it was repeated, moved or forked"
