"""What must survive a crash, as four small protocols; each has a NATS and an in-process form.

Not responsible for what the bytes mean: records are made in `record.py`, decisions are taken by the callers.
Invariant: every write here is a compare-and-set or idempotent, so that a retry never does it twice.
"""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """A value and the revision (stream sequence) it was written at."""

    value: bytes
    revision: int


class Ledger(Protocol):
    """Append-only chains of records, one per subject, fenced by the sequence of their last record."""

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        """Append a record behind the record at sequence `after` (0: the chain must be empty).

        Retried inside until it is known whether the record stands. Cancellation: it may stand.

        Returns:
            The record's sequence.

        Raises:
            Fenced: Another record stands behind `after`: this writer is not the owner any more.
            StoreUnavailable: The server did not answer in time; it may stand.
        """

    async def last(self, subject: str) -> Entry | None:
        """The newest record of a chain, read from the leader; None for an empty chain."""

    def read(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Records of a chain, oldest first, behind a sequence."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker's claim to be alive, renewed by the worker; `draining` ones take no partitions."""

    id: str
    node: str
    pid: int = 0
    draining: bool = False
    beat: int = 0


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who owns a partition; an empty session means it was handed back. The epoch only grows."""

    session: str
    epoch: int


class SessionSeen(msgspec.Struct, frozen=True):
    """A session key as read; None: it was removed."""

    id: str
    session: Session | None
    revision: int


class OwnerSeen(msgspec.Struct, frozen=True):
    """An owner key as read."""

    part: int
    owner: Owner
    revision: int


class Leases(Protocol):
    """Sessions and partition owners. Times of death are judged by the reader's clock, never stored."""

    async def put_session(self, session: Session, *, revision: int) -> int:
        """Create (revision 0) or renew a session.

        Returns:
            The new revision.

        Raises:
            LeaseLost: The session is not at that revision: it was ended by somebody.
            StoreUnavailable: No answer in time.
        """

    async def end_session(self, session_id: str) -> None:
        """Remove a session at once, whoever's it is. Idempotent."""

    async def put_owner(self, part: int, owner: Owner, *, revision: int) -> int:
        """Set who owns a partition, if it is still at that revision (0: never owned).

        Returns:
            The new revision.

        Raises:
            Conflict: It is not at that revision. Nothing was written.
            StoreUnavailable: No answer in time.
        """

    async def sessions(self, *, after: int = 0) -> list[SessionSeen]:
        """Session keys changed behind a revision, in revision order, read from the leader."""

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        """Owner keys changed behind a revision, in revision order, read from the leader."""


class StateStore(Protocol):
    """A bucket of named values with compare-and-set and, where asked, an end of life.

    Keys are tokens of `[A-Za-z0-9_=/-]` joined by dots.
    """

    async def get(self, key: str) -> Entry | None:
        """The value, read from the leader; None where there is none or its life ended."""

    async def put(
        self, key: str, value: bytes, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        """Write a value.

        Args:
            revision: Only if the key is at this revision (0: does not exist). None: whatever is there.
            ttl: Seconds until it is gone; None: for ever.

        Returns:
            The new revision.

        Raises:
            Conflict: The key is at another revision. Nothing was written.
            StoreUnavailable: No answer in time; it may be written.
        """

    async def delete(self, key: str) -> None:
        """Remove a value. Idempotent."""

    async def revision(self) -> int:
        """A number that differs from before when anything was written or removed; one request."""

    async def keys(self, prefix: str = "") -> list[str]:
        """Live keys that are `prefix` or begin with `prefix.`, in order; all with no prefix."""

    async def entries(self, prefix: str = "") -> list[tuple[str, Entry]]:
        """Live keys and values that are `prefix` or begin with `prefix.`, in order; all with no prefix.

        Each is read from the leader; together they are no snapshot of one moment.
        """


class Blobs(Protocol):
    """Large values by content: the name of a blob is the SHA-256 of its bytes, in hex."""

    async def put(self, data: bytes) -> str:
        """Store bytes once. Returns their hash. Idempotent."""

    async def get(self, digest: str) -> bytes:
        """The bytes of a hash.

        Raises:
            NotFound: There is no such blob.
            Corrupt: The bytes do not have that hash.
        """
