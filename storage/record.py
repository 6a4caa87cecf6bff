"""Record: one link of a hash chain, and the bytes that everybody agrees are that record.

Canonical bytes are JSON in UTF-8 with the keys of every object sorted, no whitespace, and numbers and escapes
as msgspec writes them: decoding and encoding again gives the same bytes, so a digest can be computed from
either. NaN and the infinities are no JSON and become null.
Not responsible for what a body means, nor for where records are kept.
Invariant: `prev` is the SHA-256 of the canonical bytes of the record before, "" for the first.
"""

from hashlib import sha256

import msgspec

from ..bus.value import Json
from .errors import Corrupt

VERSION = 1


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in a chain, sealed to the fact before it.

    Attributes:
        v: The version of this shape.
        chain: The whole ledger subject, so that a record cannot be moved to another chain.
        n: Its place in the chain, from 1.
        kind: What happened; the caller's word.
        epoch: The epoch of the owner that wrote it; never falls along a chain.
        in_seq: The inbox sequence of the message that caused it; 0 for none.
        id: Random, so that a writer can tell its own record from another's.
        at_ms: The writer's wall clock, milliseconds since 1970; told, never relied on.
        prev: Hex SHA-256 of the bytes of the record before; "" for the first.
        body: Any JSON value.
    """

    v: int = VERSION
    chain: str
    n: int
    kind: str
    epoch: int
    in_seq: int = 0
    id: str
    at_ms: int
    prev: str
    body: Json = None


_records = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """The canonical bytes of a record.

    Raises:
        TypeError: The body holds something that is no JSON value.
    """
    return canonical(record)


def canonical(value: object) -> bytes:
    """Canonical JSON of any value."""
    return msgspec.json.encode(value, order="sorted")


def digest(data: bytes) -> str:
    """The SHA-256 of bytes, in hex."""
    return sha256(data).hexdigest()


def is_canonical(data: bytes) -> bool:
    """Whether bytes are canonical JSON, fields of later releases included."""
    try:
        return canonical(msgspec.json.decode(data)) == data
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def decode_record(data: bytes) -> Record:
    """The record in stored bytes; unknown fields are ignored.

    Raises:
        Corrupt: The bytes are no record, or one of a version this code does not know.
    """
    try:
        record = _records.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"these {len(data)} bytes are no record: {error}") from error
    if record.v != VERSION:
        raise Corrupt(f"record {record.n} of {record.chain} has version {record.v}, known is {VERSION}")
    return record
