"""Actors of the reliability tests; every node of a test runs them. What they do is what a test counts."""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.actors.definition import Definition, Isolation, Options
from actorium.actors.errors import Reject
from actorium.actors.supervision import Policy, Strategy
from actorium.actors.supervisor import Supervisor
from actorium.bus.task import Task
from actorium.runtime.app import App


class Add(msgspec.Struct, frozen=True):
    """Add `amount`, after `pause` seconds of work."""

    n: int = 0
    amount: int = 1
    pause: float = 0.0


class Total(msgspec.Struct):
    """What a Counter keeps: how much, and in which order it came."""

    total: int = 0
    seen: int = 0


class Counter(Actor):
    """Adds durably; the answer is [n of the message, total, how many before and with it]."""

    state: Total = Total()

    async def receive(self, message: Add, ctx: Context) -> list[int]:
        if message.pause:
            await asyncio.sleep(message.pause)
        self.state.total += message.amount
        self.state.seen += bool(message.amount)
        return [message.n, self.state.total, self.state.seen]


class Witness(Actor):
    """Says in its durable events that it runs, so that a test can count runs, not only results."""

    async def receive(self, message: Add, ctx: Context) -> int:
        await ctx.emit("ran", n=message.n, pid=os.getpid())
        if message.pause:
            await asyncio.sleep(message.pause)
        return os.getpid()


class Blocker(Actor):
    """Blocks the event loop of its worker for `pause` seconds."""

    async def receive(self, message: Add, ctx: Context) -> int:
        time.sleep(message.pause)  # noqa: ASYNC251  # the fault
        return os.getpid()


class Hazard(Actor):
    """Does what its task says, most of it bad."""

    async def receive(self, message: Task, ctx: Context) -> object:
        match message.action:
            case "raise":
                raise ValueError("as told")
            case "raise-odd":
                raise ValueError("\udcff" + "x" * int(message.spec))
            case "reject-odd":
                raise Reject("\udcff" + "x" * int(message.spec))
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "return-huge":
                return "x" * int(message.spec)
            case "return-odd":
                return "\udcff"
            case "return-object":
                return object()
            case "sleep":
                await asyncio.sleep(float(message.spec))
        return "fine"


class Echo(Actor):
    """Answers with what it got."""

    async def receive(self, message: Task, ctx: Context) -> object:
        return message.spec


class Errand(msgspec.Struct, frozen=True):
    """Delegate `message` to agents, all at once."""

    to: list[str]
    n: int = 0
    pause: float = 0.0


class Delegator(Actor):
    """Delegates, and answers with the data of every delegate."""

    async def receive(self, message: Errand, ctx: Context) -> list[object]:
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(ctx.delegate(name, Add(n=message.n, pause=message.pause)))
                for name in message.to
            ]
        return [call.result().unwrap() for call in calls]


class Life(Actor):
    """Says when it is born; fails when it is told to, and cannot start while a file is there."""

    def __init__(self, sick: str = "") -> None:
        self.sick = sick

    async def on_start(self, ctx: Context) -> None:
        await ctx.emit("born", pid=os.getpid(), at=time.monotonic())
        if self.sick and Path(self.sick).exists():  # noqa: ASYNC240  # one look at a local file
            raise ValueError("born sick")

    async def receive(self, message: Task, ctx: Context) -> str:
        if message.action == "fail":
            raise ValueError("as told")
        return ctx.agent


class Stubborn(Actor):
    """Adds durably; with a pause it blocks its event loop, so that no cancellation reaches it."""

    state: Total = Total()

    async def receive(self, message: Add, ctx: Context) -> list[int]:
        await ctx.emit("ran", n=message.n, pid=os.getpid())
        for _ in range(50):  # the event leaves; and at once afterwards no cancellation arrives any more
            await asyncio.sleep(0)
        if message.pause:
            time.sleep(message.pause)  # noqa: ASYNC251  # the fault
        self.state.total += message.amount
        return [message.n, self.state.total, os.getpid()]


class Threaded(Actor):
    """A plain function; adds after a pause, in a thread."""

    state: Total = Total()

    def receive(self, message: Add, ctx: Context) -> list[int]:
        self.state.seen += 1
        seen = self.state.seen
        time.sleep(message.pause)
        self.state.total += message.amount
        return [message.n, self.state.total, seen]


QUICK = Policy(intensity=1000, period=1.0, backoff=0.01, backoff_max=0.05)
MANY = 20  # attempts: tests kill from outside more often than a task may end its process by itself
ALONE = Options(policy=QUICK, attempts=MANY)
OWN = Options(isolation=Isolation.PROCESS, policy=QUICK, attempts=MANY)
THREE = Options(policy=QUICK)
ONCE = Options(policy=QUICK, attempts=1)


FAMILY = 5  # children: enough that two workers have some of them


def family(name: str, strategy: Strategy, intensity: int = 100) -> list[Definition]:
    """A supervisor `<name>` and its children `<name>-0` and so on."""
    policy = Policy(strategy=strategy, intensity=intensity, period=60.0, backoff=0.01, backoff_max=0.01)
    children = [Life.named(f"{name}-{n}", Options(attempts=1)) for n in range(FAMILY)]
    return Supervisor.of(name, *children, policy=policy)


app = App(
    *[Counter.named(f"counter-{n}", ALONE) for n in range(16)],
    *[Counter.named(f"own-{n}", OWN) for n in range(4)],
    *[Witness.named(f"witness-{n}", ALONE) for n in range(16)],
    *[Counter.named(f"neighbour-{n}", THREE) for n in range(16)],
    *[Hazard.named(f"hazard-{n}", THREE) for n in range(8)],
    *[Delegator.named(f"delegator-{n}", ALONE) for n in range(8)],
    *[Blocker.named(f"blocker-{n}", ALONE) for n in range(4)],
    *[Threaded.named(f"threaded-{n}", ALONE) for n in range(2)],
    Echo.named("echo"),
    Counter.named("strict"),
    *[Counter.named(f"single-{n}", ONCE) for n in range(8)],
    Hazard.named("hazard-once", ONCE),
    Blocker.named("blocker-once", ONCE),
    Witness.named("own-witness", OWN),
    Stubborn.named("own-stubborn", OWN),
    Counter.named("small", Options(mailbox=5)),
    Counter.named("idler", Options(idle=0.5)),
    Life.named("fragile", Options(attempts=1, policy=Policy(intensity=2, period=60.0, backoff=0.01))),
    family("one", Strategy.ONE_FOR_ONE),
    family("all", Strategy.ONE_FOR_ALL),
    family("rest", Strategy.REST_FOR_ONE),
    family("weak", Strategy.ONE_FOR_ALL, intensity=1),
    family("torn", Strategy.ONE_FOR_ALL),
    Supervisor.of("clan", family("low", Strategy.ONE_FOR_ALL, intensity=1), policy=Policy(intensity=1)),
)
