"""AgentLine: what connects the process of an isolated agent to everybody else, once it says something.

A third of the start of such a process was its connection, and many agents only answer. Not responsible for
the socket to its owner: see `process.py`. Invariant: one connection, however many speak at once.
"""

import asyncio

from ...actors.carrier import Ports
from ...actors.definition import Definition
from ...actors.receipt import Receipt
from ...bus.envelope import Envelope
from ...bus.task import Result, Task
from ...bus.value import JsonObject
from ..config import Settings
from ..courier import BusCourier
from ..namespace import Namespace, connect
from ..ports import ports_of


class AgentLine:
    """A courier that connects when it is first used; a connection that cannot be made is tried again then.

    Args:
        settings: Where NATS is, and what carriers work with.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._line: tuple[Namespace, BusCourier] | None = None

    async def ports(self) -> Ports:
        """What carriers work with, connected."""
        names, courier = await self._connected()
        return ports_of(names, courier, self._settings)

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> bool:
        """As the courier."""
        return await (await self._reach()).tell(agent, task, envelope)

    async def ask(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """As the courier."""
        return await (await self._reach()).ask(agent, task, envelope)

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        """As the courier."""
        return await (await self._reach()).delegate(agent, task, envelope)

    async def nearby(self, agent: str, task: Task, envelope: Envelope) -> Result | None:  # noqa: ARG002  # a port
        """None: this process owns nobody."""
        return None

    async def cancel(self, agent: str, task_id: str, reason: str = "") -> Receipt:
        """As the courier."""
        return await (await self._reach()).cancel(agent, task_id, reason)

    async def spawn(self, definition: Definition) -> None:
        """As the courier."""
        await (await self._reach()).spawn(definition)

    async def command(self, agent: str, verb: str) -> JsonObject:
        """As the courier."""
        return await (await self._reach()).command(agent, verb)

    async def emit(self, agent: str, kind: str, task_id: str, data: JsonObject) -> None:
        """As the courier."""
        await (await self._reach()).emit(agent, kind, task_id, data)

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        line, self._line = self._line, None
        if line is not None:
            await line[0].close()

    async def _reach(self) -> BusCourier:
        return (await self._connected())[1]

    async def _connected(self) -> tuple[Namespace, BusCourier]:
        async with self._opening:
            if self._line is None:
                names = await connect(self._settings, "agent process")
                courier = BusCourier(names.bus, names.blobs, names.registry, partitions=names.partitions)
                self._line = names, courier
            return self._line
