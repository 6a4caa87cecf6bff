"""NatsState: named values in a key-value bucket, with an end of life on every server.

A value's end of life is a header, wall-clock milliseconds, judged by who reads it: the clocks of the machines
must agree as well as the shortest ttl in use (servers before 2.11 have no ttl of their own for a key).
Not responsible for sessions and owners: no lease may rest on a wall clock.
Invariant: a value whose life ended is absent for every call, whether or not it was removed yet.
"""

import time
from collections.abc import Callable

from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.port import Past
from .errors import Conflict, StorageError, StoreUnavailable
from .keys import under, valid_key
from .nats_bucket import Bucket, is_marker
from .nats_write import Overtaken
from .port import Entry

EXPIRES = "Actorium-Expires"


class NatsState:
    """A `StateStore` in one bucket; reads are answered by its leader.

    Args:
        js: The storage API of a connection.
        bucket: The bucket's name.
        patience: How long a call goes on without an answer.
        now: The wall clock, seconds since 1970, for ends of life.
        forgetful: Leave nothing of a removed value, and bear that it may come back when the server is killed;
            for keys that are used once, whose readers know what is over.
    """

    def __init__(
        self,
        js: JetStream,
        bucket: str,
        *,
        patience: Patience | None = None,
        now: Callable[[], float] = time.time,
        forgetful: bool = False,
    ) -> None:
        self._forgetful = forgetful
        self._bucket = Bucket(js, bucket, patience or Patience())
        self._now = now

    async def ensure(self, replicas: int = 1) -> None:
        """Make the bucket where there is none.

        Raises:
            ConfigError: It exists with other settings.
            UnsupportedServer: The server did not make what was asked.
            StoreUnavailable: No answer in time.
        """
        await self._bucket.ensure(replicas)

    async def get(self, key: str) -> Entry | None:
        """The value, read from the leader; None where there is none or its life ended."""
        past = await self._bucket.get(valid_key(key))
        if past is None or is_marker(past):
            return None
        if self._has_ended(past):
            await self._forget(key, past.seq)
            return None
        return Entry(past.message.payload, past.seq)

    async def put(
        self, key: str, value: bytes, *, revision: int | None = None, ttl: float | None = None
    ) -> int:
        """Write a value. Cancellation: it may be written.

        Args:
            revision: Only if the key is at this revision (0: does not exist). None: whatever is there.
            ttl: Seconds until it is gone; None: for ever.

        Raises:
            Conflict: The key is at another revision. Nothing was written.
            StoreUnavailable: No answer in time; it may be written, and may be replaced by now.
        """
        valid_key(key)
        headers = {EXPIRES: str(int((self._now() + ttl) * 1000))} if ttl is not None else {}
        if revision is None:
            return await self._bucket.overwrite(key, value, headers)
        after = revision
        while True:
            try:
                return await self._bucket.write(key, value, after=after, headers=headers)
            except Overtaken as lost:
                if not lost.sure:
                    text = f"{key}: an attempt had no answer and another value stands now"
                    raise StoreUnavailable(text, key=key) from lost
                stands = lost.standing
                if revision or (stands and not self._is_absent(stands)):
                    raise Conflict(f"{key} is not at revision {revision}: read it again", key=key) from lost
                after = stands.seq if stands else 0

    async def delete(self, key: str) -> None:
        """Remove a value. Idempotent. Cancellation: it may be removed.

        A marker stays where the value was: a server that is killed reads its files again, and finds the value
        in them where nothing newer stands behind it. A forgetful store bears that, and asks once.
        """
        if self._forgetful:
            await self._bucket.purge(valid_key(key))
            return
        past = await self._bucket.get(valid_key(key))
        if past is not None and not is_marker(past):
            await self._bucket.delete(key)

    async def revision(self) -> int:
        """The sequence of the newest message of the bucket; another one after every change."""
        past = await self._bucket.get(">")
        return past.seq if past else 0

    async def keys(self, prefix: str = "") -> list[str]:
        """Live keys that are `prefix` or begin with `prefix.`, in order; all with no prefix."""
        return [key for key, _ in await self.entries(prefix)]

    async def entries(self, prefix: str = "") -> list[tuple[str, Entry]]:
        """Live keys and values that are `prefix` or begin with `prefix.`, in order; all with no prefix.

        Each is read from the leader; together they are no snapshot of one moment.
        """
        pasts = await self._bucket.under(f"{valid_key(prefix)}.>" if prefix else ">")
        exact = await self._bucket.get(prefix) if prefix else None
        live = [past for past in [*pasts, exact] if past is not None and not self._is_absent(past)]
        named = [(self._bucket.key(past), Entry(past.message.payload, past.seq)) for past in live]
        return sorted((pair for pair in named if under(pair[0], prefix)), key=lambda pair: pair[0])

    def _is_absent(self, past: Past) -> bool:
        return is_marker(past) or self._has_ended(past)

    def _has_ended(self, past: Past) -> bool:
        expires = (past.message.headers or {}).get(EXPIRES, "")
        return expires.isdecimal() and int(expires) <= self._now() * 1000

    async def _forget(self, key: str, revision: int) -> None:
        try:
            await self._bucket.forget(key, revision)
        except StorageError:
            return  # only space: it counts as absent, and the next reader tries again
