"""An ask within one worker goes without bytes, and means the same as one that travels."""

from typing import Any

from actorium import Actor, App, Context, Task
from actorium.bus.errors import BadMessage
from actorium.runtime.memory import in_memory


class Taker(Actor):
    """Changes what it is given."""

    async def receive(self, message: Task, ctx: Context) -> Any:
        message.spec["seen"].append("taker")
        message.inputs["more"] = True
        return type(message.spec["pair"]).__name__


class Giver(Actor):
    """Asks with what it keeps."""

    async def receive(self, message: Task, ctx: Context) -> Any:
        spec: dict[str, Any] = {"seen": [], "pair": (1, 2)}
        inputs: dict[str, Any] = {}
        kind = (await ctx.ask("taker", Task(action="take", spec=spec, inputs=inputs))).unwrap()
        return [spec["seen"], inputs, kind]


class Careless(Actor):
    """Asks with what cannot be sent."""

    async def receive(self, message: Task, ctx: Context) -> str:
        try:
            await ctx.ask("taker", Task(spec={"it": object()}))
        except BadMessage as error:
            return error.message
        return "it was sent"


async def test_who_is_asked_next_door_gets_a_copy_of_its_own() -> None:
    """Neither sees what the other does to a task afterwards, and a tuple arrives as JSON has it."""
    async with in_memory(App(Taker.named("taker"), Giver.named("giver"))) as client:
        assert (await client.ask("giver", "go")).data == [[], {}, "list"]


async def test_what_cannot_travel_is_refused_next_door_too() -> None:
    """Else a program would work until its agents are moved apart."""
    async with in_memory(App(Taker.named("taker"), Careless.named("careless"))) as client:
        assert "cannot be written as JSON" in (await client.ask("careless", "go")).data
