"""An app in one process without a server: for tests and tutorials, never a fallback of anything.

    async with in_memory(app) as actorium:
        result = await actorium.ask("counter", Add(amount=1))

The same worker code runs over the in-process twins of bus and storage. Agents that ask for a process of their
own run beside the others here.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from ..actors.definition import Definition, Isolation
from ..bus.memory import MemoryBus
from ..bus.memory_hub import MemoryHub
from ..storage.memory import MemoryBlobs, MemoryLeases, MemoryLedger, MemoryState
from ..storage.port import Session
from .app import App, know_script
from .client import Client
from .config import Settings
from .namespace import Namespace
from .registry import Registry
from .reports import Reporter
from .spec import WorkerSpec
from .worker import hosting

LEASE = 3600.0  # seconds: nobody else judges


class MemoryWorld:
    """What survives the workers of an in-process namespace: messages, records, leases, blobs, definitions."""

    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.ledger = MemoryLedger()
        self.leases = MemoryLeases()
        self.blobs = MemoryBlobs()
        self.state = MemoryState()
        self.live = MemoryState()
        self.registry = Registry(MemoryState())

    def connect(self) -> Namespace:
        """A connection of its own to this world."""
        return Namespace(
            MemoryBus(self.hub),
            self.ledger,
            self.leases,
            self.blobs,
            self.state,
            self.live,
            self.registry,
        )


@asynccontextmanager
async def in_memory(app: App, world: MemoryWorld | None = None) -> AsyncIterator[Client]:
    """Run an app in this process.

    What is raised inside comes out as it is, in no group, after the worker has ended.

    Args:
        world: What earlier runs left; a new one where left out.
    """
    know_script()
    world = world or MemoryWorld()
    names = world.connect()
    await asyncio.gather(*(names.registry.define(_here(definition)) for definition in app.definitions))
    session = Session(id=f"memory-{secrets.token_hex(4)}", node="memory")
    await world.leases.put_session(session, revision=0)
    spec = WorkerSpec(session=session.id, node=session.node, settings=Settings(), lease=LEASE)
    failed: BaseException | None = None
    try:
        async with hosting(spec, names, lambda: True, Reporter("", session.id)) as worker:
            await worker.holder.settled.wait()
            async with Client.over(world.connect()) as client:
                try:
                    yield client
                except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                    raise  # these end a task group as they are
                except BaseException as error:  # noqa: BLE001  # the caller's: raised below, in no group
                    failed = error
            await worker.drain(5.0)
    finally:
        await world.leases.end_session(session.id)
        await names.close()
    if failed is not None:
        raise failed


def _here(definition: Definition) -> Definition:
    options = msgspec.structs.replace(definition.options, isolation=Isolation.SHARED)
    return msgspec.structs.replace(definition, options=options)
