"""The program that the tests of the command line run; copied to a directory of their own as app.py."""

import asyncio

import msgspec

from actorium import Actor, App, Definition, Options, Task
from actorium.actors.supervision import Policy


class Count(msgspec.Struct):
    total: int = 0


class Add(msgspec.Struct):
    amount: int


class Counter(Actor):
    state: Count = Count()

    async def receive(self, message: Add, ctx) -> int:
        self.state = Count(self.state.total + message.amount)
        return self.state.total


class Echo(Actor):
    async def receive(self, message: Task, ctx) -> object:
        if message.spec == "boom":
            raise ValueError(message.spec)
        if message.action == "wait":
            await asyncio.sleep(message.spec)
        return {"said": message.spec}


FIRM = Options(policy=Policy(intensity=0))  # given up at once
app = App(
    Counter.named("counter"),
    Echo.named("echo"),
    Definition(name="broken", kind="app:Echo", config={"volume": 11}, options=FIRM),
)
