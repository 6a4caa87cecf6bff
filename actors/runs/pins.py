"""Pins: definitions by their hash, so that a run goes on with the one it began with.

Invariant: a run's first record stands only after its definition can be found by everybody.
"""

import msgspec

from ...bus.errors import ConfigError
from ...storage.port import StateStore
from .config import AgentConfig


class Pins:
    """Definitions in a state store, under `definition.<hash>`."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._known: dict[str, AgentConfig] = {}

    async def pin(self, config: AgentConfig) -> None:
        """Keep a definition; once in a process."""
        if config.hash not in self._known:
            await self._store.put(f"definition.{config.hash}", msgspec.json.encode(config))
            self._known[config.hash] = config

    async def find(self, digest: str) -> AgentConfig:
        """The definition of that hash.

        Raises:
            ConfigError: Nobody kept it, or this version cannot read it.
        """
        if digest not in self._known:
            entry = await self._store.get(f"definition.{digest}")
            if entry is None:
                raise ConfigError(f"definition {digest} is nowhere to be found", definition=digest)
            try:
                self._known[digest] = msgspec.json.decode(entry.value, type=AgentConfig)
            except msgspec.ValidationError as error:
                told = f"definition {digest} does not read in this version: {error}"
                raise ConfigError(told, definition=digest) from error
        return self._known[digest]
