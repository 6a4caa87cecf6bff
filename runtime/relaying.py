"""Relaying: the ingress relay, run by whoever owns partition 0.

Needed where the server does not map raw publishes itself, and always for `orchestrator.inbox`, whose tasks
go to an agent that declares their action as a skill. Invariant: the relay's epoch grows with that of
partition 0, so a former owner's relay is fenced like the rest of him.
"""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress

from ..bus.errors import BusError, Interrupted
from ..bus.ingress import Relay
from ..bus.subjects import DEFAULT_TENANT
from ..bus.task import Task
from ..storage.errors import StorageError
from .namespace import Namespace
from .partition import PartitionHost

PART = 0
GENERATIONS = 4096  # relays that one owner may begin in one epoch of the partition
LOOK = 0.25  # seconds between two looks at who owns the partition
REFRESH = 2.0  # seconds that a list of skills is good for


class Relaying:
    """Keeps the relay of a namespace running, while we own its partition.

    Args:
        names: The namespace.
        hosts: The partitions this worker owns, by number.
    """

    def __init__(self, names: Namespace, hosts: Mapping[int, PartitionHost]) -> None:
        self._names = names
        self._hosts = hosts
        self._skills: dict[str, list[str]] = {}
        self._turn = itertools.count()
        self._relay = Relay(names.bus, self._route, blobs=names.blobs, partitions=names.partitions)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            host = self._hosts.get(PART)
            if host is not None:
                await self._learn()
                with suppress(BusError, StorageError):
                    await self._own(host)
            await asyncio.sleep(LOOK)

    async def _own(self, host: PartitionHost) -> None:
        epoch = host.epoch
        for generation in range(GENERATIONS):
            if self._hosts.get(PART) is not host or host.epoch != epoch:
                return
            feed = await self._names.bus.ingress(epoch * GENERATIONS + generation)
            with suppress(Interrupted):
                await self._relay.run(feed)
                return

    async def learn(self) -> None:
        """Know which agents declare which skill, until cancelled."""
        while True:
            if PART in self._hosts:
                await self._learn()
            await asyncio.sleep(REFRESH)

    async def _learn(self) -> None:
        with suppress(BusError, StorageError):
            skills: dict[str, list[str]] = {}
            for definition in await self._names.registry.all(DEFAULT_TENANT):
                for skill in () if definition.stopped else definition.skills:
                    skills.setdefault(skill, []).append(definition.name)
            self._skills = skills

    def _route(self, task: Task) -> str | None:
        """An agent with the task's action among its skills, each in its turn."""
        able = self._skills.get(task.action)
        return able[next(self._turn) % len(able)] if able else None
