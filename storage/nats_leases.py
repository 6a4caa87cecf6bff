"""NatsLeases: sessions and partition owners in the buckets `nodes` and `owners`.

Not responsible for judging who is dead. Invariant: an id of a session that was ended is never taken again, so
a worker that was judged dead cannot come back unseen.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec

from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.port import Past
from ..bus.subjects import token
from .errors import Conflict, Corrupt, LeaseLost
from .nats_bucket import Bucket, is_marker
from .nats_write import Overtaken
from .port import Owner, OwnerSeen, Session, SessionSeen

T = TypeVar("T")

log = logging.getLogger("actorium.storage")

DAY = 86_400.0


class NatsLeases:
    """`Leases` over two key-value buckets; reads are answered by their leaders.

    Args:
        js: The storage API of a connection.
        patience: How long a call goes on without an answer; shorter than the lease.
        nodes: The bucket of the sessions. The server forgets one a day after its last sign of life.
        owners: The bucket of the partition owners.
    """

    def __init__(
        self,
        js: JetStream,
        *,
        patience: Patience | None = None,
        nodes: str = "nodes",
        owners: str = "owners",
    ) -> None:
        patience = patience or Patience(4.0)
        self._nodes = Bucket(js, nodes, patience, max_age=DAY)
        self._owners = Bucket(js, owners, patience)
        self._unsettled: set[str] = set()
        self._unread: dict[str, int] = {}  # subjects that were told, and where

    async def ensure(self, replicas: int = 1) -> None:
        """Make the two buckets where there are none.

        Raises:
            ConfigError: One exists with other settings.
            UnsupportedServer: The server did not make what was asked.
            StoreUnavailable: No answer in time.
        """
        await self._nodes.ensure(replicas)
        await self._owners.ensure(replicas)

    async def put_session(self, session: Session, *, revision: int) -> int:
        """Create (revision 0) or renew a session.

        After a call that ended without an answer or was cancelled, call again with the same revision: what
        that call may have written is recognised. Cancellation: it may be written.

        Raises:
            LeaseLost: Somebody ended it, or another worker has its id: write nothing more in its name.
            StoreUnavailable: No answer in time; it may be written.
        """
        key = token(session.id, "session id")
        value = msgspec.json.encode(session)
        unsettled = key in self._unsettled
        self._unsettled.add(key)
        try:
            written = await self._renew(key, value, revision, adopt=unsettled)
        except LeaseLost:
            self._unsettled.discard(key)
            raise
        self._unsettled.discard(key)
        return written

    async def _renew(self, key: str, value: bytes, revision: int, *, adopt: bool) -> int:
        while True:
            try:
                return await self._nodes.write(key, value, after=revision)
            except Overtaken as lost:
                stands = lost.standing
                if adopt and stands and stands.seq > revision and self._nodes.wrote(stands):
                    revision = stands.seq  # our own earlier renewal, whose ack was lost
                    continue
                text = f"session {key} is not at revision {revision} any more: it was ended or is not ours"
                raise LeaseLost(text, session=key) from lost

    async def end_session(self, session_id: str) -> None:
        """Remove a session at once, whoever's it is. Idempotent. Cancellation: it may be removed."""
        await self._nodes.delete(token(session_id, "session id"))

    async def put_owner(self, part: int, owner: Owner, *, revision: int) -> int:
        """Set who owns a partition, if it is still at that revision. Cancellation: it may be set.

        Raises:
            Conflict: It is not at that revision: another's word stands there.
            StoreUnavailable: No answer in time; it may be set. Read the owners before trying again.
        """
        try:
            return await self._owners.write(str(part), msgspec.json.encode(owner), after=revision)
        except Overtaken as lost:
            text = f"partition {part} is not at revision {revision} any more: read its owner again"
            raise Conflict(text, part=str(part)) from lost

    async def sessions(self, *, after: int = 0) -> list[SessionSeen]:
        """Session keys changed behind a revision, in revision order, read from the leader.

        A key that holds no session, because somebody else writes to the bucket, is logged and left out.

        Raises:
            StoreUnavailable: No answer in time: no verdict can be based on this.
        """
        return await self._read(self._nodes.changes("*", after), self._session)

    async def owners(self, *, after: int = 0) -> list[OwnerSeen]:
        """Owner keys changed behind a revision, in revision order, read from the leader.

        A key that holds no owner is logged and left out: whoever owns the partition goes on.

        Raises:
            StoreUnavailable: No answer in time.
        """
        return await self._read(self._owners.changes("*", after), self._owner)

    async def _read(self, changes: AsyncIterator[Past], read: Callable[[Past], T]) -> list[T]:
        found: list[T] = []
        async for past in changes:
            try:
                found.append(read(past))
            except Corrupt as error:
                if self._unread.get(past.message.subject) != past.seq:
                    self._unread[past.message.subject] = past.seq
                    log.error("storage.unread", extra={"error": error.message})  # noqa: TRY400  # no bug of ours
        return found

    def _session(self, past: Past) -> SessionSeen:
        session = None if is_marker(past) else _decode(past, Session)
        return SessionSeen(self._nodes.key(past), session, past.seq)

    def _owner(self, past: Past) -> OwnerSeen:
        key = self._owners.key(past)
        if not key.isdecimal():
            raise Corrupt(
                f"{past.message.subject} names no partition: remove it", subject=past.message.subject
            )
        return OwnerSeen(int(key), _decode(past, Owner), past.seq)


def _decode(past: Past, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(past.message.payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        subject = past.message.subject
        raise Corrupt(f"{subject} holds no {kind.__name__.lower()}: {error}", subject=subject) from error
