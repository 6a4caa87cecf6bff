"""What is asked of an agent that is just being brought alive counts, whatever was read of it before."""

import asyncio

from actorium import Actor, App, Context
from actorium.actors.definition import Definition
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.runtime.registry import Registry
from actorium.storage.memory import MemoryState
from eventually import eventually


class Echo(Actor):
    """Answers."""

    async def receive(self, message: str, ctx: Context) -> str:
        return message


class SlowRegistry(Registry):
    """Definitions that were read a while ago."""

    def __init__(self) -> None:
        super().__init__(MemoryState())
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0

    async def find(self, tenant: str, agent: str) -> Definition:
        found = await super().find(tenant, agent)
        self.held += 1
        await self.gate.wait()
        self.held -= 1
        return found


async def marked(registry: Registry) -> bool:
    return [definition.stopped for definition in await registry.all()] == [False]


async def test_an_agent_that_is_started_while_it_rises_as_a_stopped_one_goes_on() -> None:
    """Its waiting task would wait for ever."""
    world = MemoryWorld()
    world.registry = registry = SlowRegistry()
    async with in_memory(App(Echo.named("echo")), world) as client:
        await client.stop("echo")
        registry.gate.clear()
        handle = await client.tell("echo", "hello")
        await eventually(lambda: registry.held, what="it is being brought alive")
        starting = asyncio.create_task(client.restart("echo"))
        await eventually(lambda: marked(registry), what="it is written down")
        registry.gate.set()
        await starting
        assert (await handle.result(timeout=5)).data == "hello"
