"""The four ports in one process, for tests and tutorials: the same answers, gone with the process.

Not responsible for surviving anything; nothing in production falls back to these.
Invariant: they pass the same contract tests as the ones on NATS.
"""

import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from math import inf

from ..bus.subjects import token
from .errors import Conflict, Fenced, LeaseLost, NotFound
from .keys import under, valid_key
from .port import Entry, Owner, OwnerSeen, Session, SessionSeen


class MemoryLedger:
    """A `Ledger` in lists."""

    def __init__(self) -> None:
        self._chains: dict[str, list[Entry]] = {}
        self._seq = 0

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        """Append behind sequence `after`; the same bytes again are found, not doubled. Raises Fenced."""
        chain = self._chains.setdefault(subject, [])
        last = chain[-1].revision if chain else 0
        if last != after:
            following = next((entry for entry in chain if entry.revision > after), None)
            if following is not None and following.value == record:
                return following.revision
            text = f"cannot append to {subject} behind {after}: it ends at {last}; this is not the owner"
            raise Fenced(text, subject=subject, after=str(after))
        self._seq += 1
        chain.append(Entry(record, self._seq))
        return self._seq

    async def last(self, subject: str) -> Entry | None:
        """The newest record; None for an empty chain."""
        chain = self._chains.get(subject)
        return chain[-1] if chain else None

    async def read(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Records behind a sequence, oldest first."""
        for entry in self._chains.get(subject, ()):
            if entry.revision > after:
                yield entry


class MemoryLeases:
    """`Leases` in two dictionaries."""

    def __init__(self) -> None:
        self._sessions: dict[str, SessionSeen] = {}
        self._owners: dict[int, OwnerSeen] = {}
        self._seq = 0

    async def put_session(self, session: Session, *, revision: int) -> int:
        """Create (revision 0) or renew a session. Raises LeaseLost."""
        key = token(session.id, "session id")
        seen = self._sessions.get(key)
        if (seen.revision if seen else 0) != revision:
            text = f"session {key} is not at revision {revision} any more: it was ended or is not ours"
            raise LeaseLost(text, session=key)
        return self._set_session(key, session)

    async def end_session(self, session_id: str) -> None:
        """Remove a session at once, whoever's it is. Idempotent."""
        self._set_session(token(session_id, "session id"), None)

    async def put_owner(self, part: int, owner: Owner, *, revision: int) -> int:
        """Set who owns a partition, if it is still at that revision. Raises Conflict."""
        seen = self._owners.get(part)
        if (seen.revision if seen else 0) != revision:
            text = f"partition {part} is not at revision {revision} any more: read its owner again"
            raise Conflict(text, part=str(part))
        self._seq += 1
        self._owners[part] = OwnerSeen(part, owner, self._seq)
        return self._seq

    async def sessions(self, *, after: int = 0) -> list[SessionSeen]:
        """Session keys changed behind a revision, in revision order."""
        changed = (seen for seen in self._sessions.values() if seen.revision > after)
        return sorted(changed, key=lambda seen: seen.revision)

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        """Owner keys changed behind a revision, in revision order."""
        changed = (seen for seen in self._owners.values() if seen.revision > after)
        return sorted(changed, key=lambda seen: seen.revision)

    def _set_session(self, key: str, session: Session | None) -> int:
        self._seq += 1
        self._sessions[key] = SessionSeen(key, session, self._seq)
        return self._seq


class MemoryState:
    """A `StateStore` in a dictionary; `now` is the clock that ends lives, in seconds."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._values: dict[str, tuple[Entry, float]] = {}
        self._seq = 0

    async def get(self, key: str) -> Entry | None:
        """The value; None where there is none or its life ended."""
        entry, end = self._values.get(valid_key(key), (None, 0.0))
        return entry if self._now() < end else None

    async def put(
        self, key: str, value: bytes, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        """Write a value, if it is at that revision (0: does not exist). Raises Conflict."""
        there = await self.get(key)
        if revision is not None and (there.revision if there else 0) != revision:
            raise Conflict(f"{key} is not at revision {revision}: read it again", key=key)
        self._seq += 1
        self._values[key] = (Entry(value, self._seq), inf if ttl is None else self._now() + ttl)
        return self._seq

    async def delete(self, key: str) -> None:
        """Remove a value. Idempotent."""
        self._seq += self._values.pop(valid_key(key), None) is not None

    async def revision(self) -> int:
        """A number that differs from before when anything was written or removed."""
        return self._seq

    async def keys(self, prefix: str = "") -> list[str]:
        """Live keys that are `prefix` or begin with `prefix.`, in order; all with no prefix."""
        return [key for key, _ in await self.entries(prefix)]

    async def entries(self, prefix: str = "") -> list[tuple[str, Entry]]:
        """Live keys and values that are `prefix` or begin with `prefix.`, in order; all with no prefix."""
        if prefix:
            valid_key(prefix)
        live = ((key, entry) for key, (entry, end) in self._values.items() if self._now() < end)
        return sorted((pair for pair in live if under(pair[0], prefix)), key=lambda pair: pair[0])


class MemoryBlobs:
    """`Blobs` in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        """Store bytes once. Returns their hash. Idempotent."""
        digest = sha256(data).hexdigest()
        self._blobs[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        """The bytes of a hash. Raises NotFound."""
        try:
            return self._blobs[digest]
        except KeyError:
            raise NotFound(f"there is no blob {digest}", digest=digest) from None
