"""Schedules: all of them in a state store, each one value, changed by compare-and-set.

A firing leaves nothing behind but its schedule's own `last_run`, so the store holds as many values as there
are schedules; those that are over are removed after a while (`retire`).
Not responsible for what changes (`progress.py`). Invariant: a change is applied to what really stands.
"""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from ...bus.errors import ConfigError
from ...bus.subjects import token
from ...storage.errors import Conflict, Corrupt
from ...storage.port import Entry, StateStore
from .schedule import Schedule
from .timetable import check

log = logging.getLogger("actorium.schedules")
PREFIX: Final = "schedules"
_decoder = msgspec.json.Decoder(Schedule)


class Seen(msgspec.Struct, frozen=True):
    """A schedule as it was read or written, and the revision it stood at."""

    schedule: Schedule
    revision: int


class Schedules:
    """Schedules by tenant and name, under `schedules.<tenant>.<name>`.

    Args:
        store: The state store.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def add(self, schedule: Schedule) -> Seen:
        """Store a new schedule.

        Raises:
            ConfigError: One of that name is there, or its name or its times cannot be.
            StoreUnavailable: No answer in time; it may stand.
        """
        check(schedule.when)
        key, packed = _key(schedule.tenant, schedule.name), msgspec.json.encode(schedule)
        try:
            _decoder.decode(packed)
            revision = await self._store.put(key, packed, revision=0)
        except msgspec.ValidationError as error:
            raise ConfigError(f"schedule {schedule.name!r}: {error}", schedule=schedule.name) from error
        except Conflict as error:
            text = f"there is a schedule {schedule.name!r} already: remove it first, or choose another name"
            raise ConfigError(text, schedule=schedule.name) from error
        return Seen(schedule, revision)

    async def find(self, tenant: str, name: str) -> Seen | None:
        """A schedule, read from the leader; None where there is none.

        Raises:
            Corrupt: What stands there is no schedule.
        """
        entry = await self._store.get(_key(tenant, name))
        return None if entry is None else _read(entry, name)

    async def all(self, tenant: str = "") -> list[Seen]:
        """Every schedule that reads, by tenant and name; of one tenant where it is given."""
        found = []
        for key, entry in await self._store.entries(f"{PREFIX}.{tenant}" if tenant else PREFIX):
            try:
                found.append(_read(entry, key.rpartition(".")[2]))
            except Corrupt as error:
                log.warning("schedule.unread", extra={"fields": {"key": key, "error": error.message}})
        return found

    async def change(self, seen: Seen, how: Callable[[Schedule], Schedule]) -> Seen | None:
        """Apply a change to a schedule as it stands; None where it was removed meanwhile.

        A change that changes nothing writes nothing. Cancellation: it may be applied.

        Raises:
            StoreUnavailable: No answer in time; it may be applied.
        """
        latest: Seen | None = seen
        while latest is not None:
            after = how(latest.schedule)
            if after == latest.schedule:
                return latest
            try:
                return Seen(after, await self._put(after, latest.revision))
            except Conflict:
                latest = await self.find(seen.schedule.tenant, seen.schedule.name)
        return None

    async def remove(self, tenant: str, name: str) -> None:
        """Remove a schedule, also one that does not read. Idempotent."""
        await self._store.delete(_key(tenant, name))

    async def retire(self, seen: Seen) -> None:
        """Remove a schedule if it still stands as it was seen: a newer one of the same name stays."""
        try:
            await self._put(seen.schedule, seen.revision, ttl=0.0)
        except Conflict:
            return
        await self.find(seen.schedule.tenant, seen.schedule.name)  # a store frees what it finds ended

    async def _put(self, schedule: Schedule, revision: int, ttl: float | None = None) -> int:
        key = _key(schedule.tenant, schedule.name)
        return await self._store.put(key, msgspec.json.encode(schedule), revision=revision, ttl=ttl)


def _key(tenant: str, name: str) -> str:
    return f"{PREFIX}.{token(tenant, 'tenant')}.{token(name, 'schedule')}"


def _read(entry: Entry, name: str) -> Seen:
    try:
        return Seen(_decoder.decode(entry.value), entry.revision)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"schedule {name!r} does not read: {error}", schedule=name) from error
