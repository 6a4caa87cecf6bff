"""Registry: which agents exist, in the KV bucket `defs`, so that every worker of a namespace agrees.

Not responsible for where an agent runs, nor for its class, which the program has.
"""

from contextlib import suppress

import msgspec

from ..actors.definition import Definition
from ..actors.errors import UnknownAgent, UnknownKind
from ..storage.errors import Conflict
from ..storage.port import StateStore

UNSAID = "its supervisor gave no reason"
_definition = msgspec.json.Decoder(Definition)


class Registry:
    """Definitions of agents, read from the leader each time: what was spawned a moment ago is there.

    Args:
        store: The bucket of definitions.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def find(self, tenant: str, agent: str) -> Definition:
        """The definition of an agent.

        Raises:
            UnknownAgent: There is none.
            UnknownKind: What stands there does not read.
        """
        entry = await self._store.get(f"{tenant}.{agent}")
        if entry is None:
            raise UnknownAgent(
                f"there is no agent {agent!r}; actorium agent ls shows those there are", agent=agent
            )
        return _read(entry.value, agent)

    async def define(self, definition: Definition, *, start: bool = False) -> None:
        """Define an agent, or change it. The same definition again writes nothing.

        What its supervisor gave up is started: a program that comes up may be the mended one, and needs no
        further command.

        Args:
            start: Start it where somebody stopped it; else it stays stopped, over restarts of the program.
        """
        while True:
            entry = await self._store.get(definition.key)
            stopped = False
            if entry is not None and not start:
                with suppress(UnknownKind):  # what does not read is replaced
                    there = _read(entry.value, definition.name)
                    stopped = there.stopped and not there.given_up
            packed = msgspec.json.encode(msgspec.structs.replace(definition, stopped=stopped, given_up=""))
            if entry is not None and entry.value == packed:
                return
            try:
                await self._store.put(definition.key, packed, revision=entry.revision if entry else 0)
            except Conflict:
                continue
            return

    async def set_stopped(self, tenant: str, agent: str, *, stopped: bool, given_up: str = "") -> Definition:
        """Write down that somebody stopped an agent, or started it. Raises UnknownAgent.

        Args:
            given_up: Why, where it was its group that stopped it.
        """
        while True:
            entry = await self._store.get(f"{tenant}.{agent}")
            if entry is None:
                raise UnknownAgent(f"there is no agent {agent!r}", agent=agent)
            changed = msgspec.structs.replace(_read(entry.value, agent), stopped=stopped, given_up=given_up)
            try:
                await self._store.put(changed.key, msgspec.json.encode(changed), revision=entry.revision)
            except Conflict:
                continue
            return changed

    async def revision_of(self, definition: Definition) -> int:
        """The revision of what stands there for an agent now; 0: nothing does."""
        entry = await self._store.get(definition.key)
        return entry.revision if entry else 0

    async def give_up(self, definition: Definition, reason: str, *, since: int) -> None:
        """Write down why an agent is not restarted any more, for every owner to come.

        Args:
            since: The revision of its definition when it failed: whoever starts it after that, or defines it
                anew, is right, and nothing is written.
        """
        entry = await self._store.get(definition.key)
        if entry is None or entry.revision != since:
            return
        with suppress(Conflict, UnknownKind):
            there = _read(entry.value, definition.name)
            given_up = msgspec.structs.replace(there, stopped=True, given_up=reason or UNSAID)
            await self._store.put(definition.key, msgspec.json.encode(given_up), revision=since)

    async def revision(self) -> int:
        """A number that differs from before when any definition changed."""
        return await self._store.revision()

    async def all(self, tenant: str = "") -> list[Definition]:
        """Every definition that reads, by key; of one tenant where it is given."""
        found: list[Definition] = []
        for key, entry in await self._store.entries(tenant):
            with suppress(UnknownKind):  # whoever asks that agent is told
                found.append(_read(entry.value, key))
        return found


def _read(stored: bytes, agent: str) -> Definition:
    try:
        return _definition.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownKind(f"the definition of agent {agent!r} does not read: {error}", agent=agent) from error
