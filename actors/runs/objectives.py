"""Objectives: what the previous run of the same objective left, for the next one.

Not responsible for what is made of it: it is injected as data that nobody obeys. Invariant: the same agent
with the same task finds it; any other does not.
"""

from hashlib import sha256

import msgspec

from ...bus.task import Task
from ...storage.port import StateStore
from ..card import Card

KEPT = 30 * 86_400.0  # seconds


class Objectives:
    """Summaries of runs that ended, in a state store under `before.<tenant>.<agent>.<objective>`."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def before(self, card: Card, task: Task) -> str:
        """What the previous run of this objective left; empty: there was none."""
        entry = await self._store.get(_key(card, task))
        return entry.value.decode(errors="replace") if entry else ""

    async def keep(self, card: Card, task: Task, summary: str) -> None:
        """What the next run of this objective is told."""
        await self._store.put(_key(card, task), summary.encode(), ttl=KEPT)


def _key(card: Card, task: Task) -> str:
    objective = sha256(msgspec.json.encode(task, order="sorted")).hexdigest()[:24]
    return f"before.{card.tenant}.{card.agent}.{objective}"
