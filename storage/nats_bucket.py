"""Bucket: one key-value bucket of NATS, as `nats kv` and every client library read it, over the raw API.

Not responsible for what values mean, nor for their end of life.
Invariant: one message for each key; a deleted key holds a marker until it is forgotten.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from functools import partial

from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.port import Past
from .nats_ask import ask
from .nats_stream import bucket_config, ensure_bucket
from .nats_write import WRITE_ID, Write, settle, settle_blind

OPERATION = "KV-Operation"
MARKER_REASON = "Nats-Marker-Reason"  # markers that newer servers place themselves
WINDOW = 64  # reads in flight; more gains little and fills the server's queue


def is_marker(past: Past) -> bool:
    """Whether a stored message says that its key was deleted."""
    headers = past.message.headers or {}
    return headers.get(OPERATION) in ("DEL", "PURGE") or MARKER_REASON in headers


class Bucket:
    """Reads from the leader and compare-and-set writes of one bucket.

    Args:
        js: The storage API of a connection.
        name: The bucket.
        patience: How long a call goes on without an answer.
        max_age: Seconds after which the server removes what was not written again; 0: never.
    """

    def __init__(self, js: JetStream, name: str, patience: Patience, *, max_age: float = 0) -> None:
        self.name = name
        self.stream = f"KV_{name}"
        self._js = js
        self._patience = patience
        self._max_age = max_age
        self._writer = secrets.token_hex(8)
        self._writes = 0

    async def ensure(self, replicas: int = 1) -> None:
        """Make the bucket where there is none; raises as `ensure_bucket`."""
        config = bucket_config(self.stream, [self.subject(">")], replicas)
        config |= {"max_msgs_per_subject": 1, "deny_delete": True, "max_age": int(self._max_age * 1e9)}
        await ensure_bucket(self._js, config, self._patience)

    def subject(self, key: str) -> str:
        """Where a key is stored; a key with wildcards gives a filter."""
        return f"$KV.{self.name}.{key}"

    def key(self, past: Past) -> str:
        """The key a stored message belongs to."""
        return past.message.subject.removeprefix(f"$KV.{self.name}.")

    async def get(self, key: str) -> Past | None:
        """What stands under a key, markers too; raises StoreUnavailable."""
        read = partial(self._js.get, self.stream, last_by=self.subject(key))
        return await ask(self._patience, read, f"reading {self.subject(key)}")

    async def changes(self, keys: str, after: int) -> AsyncIterator[Past]:
        """What stands under keys (a filter) and was written behind a revision, in order, markers too.

        One request for each and one for the end, so asking without news costs one.
        """
        filter_ = self.subject(keys)
        while True:
            read = partial(self._js.get, self.stream, seq=after + 1, next_by=filter_)
            past = await ask(self._patience, read, f"reading {filter_}")
            if past is None:
                return
            yield past
            after = past.seq

    async def under(self, keys: str) -> list[Past]:
        """What stands under keys (a filter), markers too, in no order; many reads in flight."""
        names = await self._names(self.subject(keys))
        found: list[Past | None] = []

        async def reader(todo: list[str]) -> None:
            while todo:
                read = partial(self._js.get, self.stream, last_by=todo.pop())
                found.append(await ask(self._patience, read, f"reading {self.name}"))

        try:
            async with asyncio.TaskGroup() as readers:
                for _ in range(min(WINDOW, len(names))):
                    readers.create_task(reader(names))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return [past for past in found if past is not None]

    async def write(
        self, key: str, value: bytes, *, after: int, headers: Mapping[str, str] | None = None
    ) -> int:
        """Write if the key is at that revision; raises as `settle`."""
        write = Write(
            stream=self.stream,
            subject=self.subject(key),
            payload=value,
            after=after,
            id=self._write_id(),
            headers=headers or {},
        )
        return await settle(self._js, write, self._patience)

    async def overwrite(self, key: str, value: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Write whatever is there; raises as `settle_blind`."""
        subject = self.subject(key)
        return await settle_blind(
            self._js, subject, value, headers or {}, self._patience, write_id=self._write_id()
        )

    async def delete(self, key: str) -> int:
        """Put a marker, as every client library does; returns its revision."""
        return await self.overwrite(key, b"", {OPERATION: "DEL"})

    async def forget(self, key: str, revision: int) -> None:
        """Free the space of a key whose last revision is that; a newer value stays."""
        body = {"filter": self.subject(key), "seq": revision + 1}
        await ask(self._patience, lambda: self._js.api(f"STREAM.PURGE.{self.stream}", body), f"purging {key}")

    async def purge(self, key: str) -> None:
        """Leave nothing of a key, and no marker: a server that is killed may find it again."""
        body = {"filter": self.subject(key)}
        await ask(self._patience, lambda: self._js.api(f"STREAM.PURGE.{self.stream}", body), f"purging {key}")

    def wrote(self, past: Past) -> bool:
        """Whether this very object wrote it."""
        return (past.message.headers or {}).get(WRITE_ID, "").startswith(f"{self._writer}-")

    def _write_id(self) -> str:
        self._writes += 1
        return f"{self._writer}-{self._writes}"

    async def _names(self, filter_: str) -> list[str]:
        """Subjects of the filter; the server tells at most 100,000 in one answer."""
        await ask(self._patience, partial(self._js.whole, self.stream), f"listing {filter_}")
        names: list[str] = []
        while True:
            body = {"subjects_filter": filter_, "offset": len(names)}
            info = await ask(
                self._patience,
                partial(self._js.api, f"STREAM.INFO.{self.stream}", body),
                f"listing {filter_}",
            )
            page = info["state"].get("subjects") or {}
            names += page
            if not page or len(names) >= info.get("total", 0):
                return names
