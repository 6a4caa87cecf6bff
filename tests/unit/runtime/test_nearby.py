"""Pure steps that are done at once: what happens to them when their agent is stopped, moves, or is full."""

import asyncio
from typing import Any, ClassVar

from actorium import Actor, App, Context, Options, Status, Task, Workflow, workflow
from actorium.bus.subjects import OUTBOX, public
from actorium.runtime.memory import in_memory
from eventually import eventually


class Slow(Actor):
    """Waits until it is let go on, and tells what it was asked."""

    begun: ClassVar[list[str]] = []
    go: ClassVar[asyncio.Event]

    async def receive(self, message: Task, ctx: Context) -> Any:
        self.begun.append(ctx.task_id)
        if message.action == "wait":
            await self.go.wait()
        return message.spec


def waiting() -> Workflow:
    draft = workflow("waiting")
    draft.step("only", agent="slow", action="wait", spec=1, effect="pure")
    return draft.build()


def wide() -> Workflow:
    draft = workflow("wide", max_parallel=100)
    draft.step("each", agent="narrow", action="", for_each=list(range(50)), spec=draft.item, effect="pure")
    return draft.build()


APP = App(Slow.named("slow"), Slow.named("narrow", options=Options(mailbox=5)), waiting(), wide())


async def test_a_step_whose_agent_is_restarted_in_the_middle_is_given_again_and_stored():
    Slow.begun, Slow.go = [], asyncio.Event()
    async with in_memory(APP) as client:
        await client.ask("slow", 0)
        handle = await client.start("waiting")
        await eventually(lambda: len(Slow.begun) == 2)
        await client.restart("slow")
        Slow.go.set()
        result = await handle.result(timeout=10)
        assert (result.status, result.data) == (Status.SUCCESS, {"only": 1})
        assert Slow.begun[1] == Slow.begun[2]
        stored = await client.names.bus.newest(OUTBOX, public("default", "slow", "outbox"))
        assert stored is not None


async def test_more_steps_than_a_mailbox_holds_are_all_done():
    Slow.begun, Slow.go = [], asyncio.Event()
    async with in_memory(APP) as client:
        await client.ask("narrow", 0)
        result = await (await client.start("wide")).result(timeout=20)
        assert (result.status, result.data) == (Status.SUCCESS, {"each": list(range(50))})
