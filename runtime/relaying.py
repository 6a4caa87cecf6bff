"""Relaying: the ingress relay, run by whoever owns partition 0.

Needed where the server does not map raw publishes itself, and always for `orchestrator.inbox`: a task there
goes to the workflow that it names, else to an agent that declares its action as a skill. Invariant: the
relay's epoch grows with that of partition 0, so a former owner's relay is fenced like the rest of him.
"""

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress

from ..actors.definition import Definition
from ..bus.errors import BadMessage, BusError, ConfigError, Interrupted
from ..bus.ingress import Relay
from ..bus.subjects import DEFAULT_TENANT, agent_id, public
from ..bus.task import Task
from ..bus.value import Json
from ..storage.errors import StorageError
from .namespace import Namespace
from .partition import PartitionHost
from .workflow_parts import EXECUTE, is_workflow

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
        self._routes = Routes()
        self._known = -1  # the registry's revision when its agents were learned
        self._relay = Relay(names.bus, self._routes.route, blobs=names.blobs, partitions=names.partitions)

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
            revision = await self._names.registry.revision()
            if revision != self._known:
                self._routes.learn(await self._names.registry.all())
                self._known = revision


class Routes:
    """Which agent of the default tenant gets a task that names none."""

    def __init__(self) -> None:
        self._skills: dict[str, list[str]] = {}
        self._workflows: dict[tuple[str, str], bool] = {}
        self._turn = itertools.count()

    def learn(self, definitions: Iterable[Definition]) -> None:
        """Know these agents of all tenants, and no others."""
        skills: dict[str, list[str]] = {}
        self._workflows = {}
        for one in definitions:
            self._workflows[one.tenant, one.name] = is_workflow(one)
            for skill in () if one.stopped or one.tenant != DEFAULT_TENANT else one.skills:
                skills.setdefault(skill, []).append(one.name)
        self._skills = skills

    def route(self, task: Task) -> str | None:
        """The agent that gets a task; None: there is none that can do it.

        A workflow's name leads to it alone, so a repetition meets its first run; those of a skill take turns.

        Raises:
            BadMessage: It is to execute a workflow that is none, or another tenant's.
        """
        if task.action == EXECUTE:
            return self._workflow(task.spec)
        able = self._skills.get(task.action)
        return able[next(self._turn) % len(able)] if able else None

    def _workflow(self, spec: Json) -> str:
        """A name that nobody knows yet goes on: its owner knows it, or makes it a dead letter."""
        told = spec if isinstance(spec, dict) else {}
        name, tenant = told.get("workflow_id"), str(told.get("tenant_id") or DEFAULT_TENANT)
        if not isinstance(name, str) or not name:
            raise BadMessage(f"{EXECUTE} names no workflow: say which as workflow_id")
        if tenant != DEFAULT_TENANT and (tenant, name) in self._workflows:
            own = public(tenant, name, "inbox")
            raise BadMessage(f"workflow {name!r} of tenant {tenant!r} is not started from here: use {own}")
        if self._workflows.get((DEFAULT_TENANT, name)) is False:
            raise BadMessage(f"agent {name!r} is no workflow; actorium workflow ls shows those there are")
        try:
            return agent_id(name)
        except ConfigError as error:
            raise BadMessage(f"no workflow can be called so: {error.message}") from error
