"""Registry: which agents exist, in the KV bucket `defs`, so that every worker of a namespace agrees.

Not responsible for where an agent runs, nor for its class, which the program has.
"""

import msgspec

from ..actors.definition import Definition
from ..actors.errors import UnknownAgent
from ..storage.errors import Conflict
from ..storage.port import StateStore

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
        """
        entry = await self._store.get(f"{tenant}.{agent}")
        if entry is None:
            raise UnknownAgent(
                f"there is no agent {agent!r}; actorium agent ls shows those there are", agent=agent
            )
        return _definition.decode(entry.value)

    async def define(self, definition: Definition) -> None:
        """Define an agent, or change it. The same definition again writes nothing."""
        packed = msgspec.json.encode(definition)
        entry = await self._store.get(definition.key)
        if entry is None or entry.value != packed:
            await self._store.put(definition.key, packed)

    async def set_stopped(self, tenant: str, agent: str, *, stopped: bool) -> Definition:
        """Write down that an agent is stopped, or is not any more. Raises UnknownAgent."""
        while True:
            entry = await self._store.get(f"{tenant}.{agent}")
            if entry is None:
                raise UnknownAgent(f"there is no agent {agent!r}", agent=agent)
            changed = msgspec.structs.replace(_definition.decode(entry.value), stopped=stopped)
            try:
                await self._store.put(changed.key, msgspec.json.encode(changed), revision=entry.revision)
            except Conflict:
                continue
            return changed

    async def all(self, tenant: str = "") -> list[Definition]:
        """Every definition, by key; of one tenant where it is given."""
        return [_definition.decode(entry.value) for _, entry in await self._store.entries(tenant)]
