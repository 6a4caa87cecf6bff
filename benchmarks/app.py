"""The agents that the benchmarks talk to. Workers load this file as any program."""

import asyncio
import os
import time
from typing import Any

from profiled import Profiled

from actorium import Actor, App, Context, Isolation, Options

LANES = 64
FAN_OUT = 100
ISOLATED = 40


class Echo(Actor):
    """Returns what it is sent."""

    async def receive(self, message: object, ctx: Context) -> object:
        return message.spec  # type: ignore[attr-defined]  # object: the task itself


class Where(Actor):
    """Returns the id of its process."""

    async def receive(self, message: object, ctx: Context) -> int:
        return os.getpid()


class Slow(Actor):
    """Says where it runs; a durable task takes it a minute, unless its process was ended under it."""

    async def receive(self, message: str, ctx: Context) -> int:
        if message == "begin" and ctx.attempt == 1:
            await asyncio.sleep(60)
        return os.getpid()


class Flow(Actor):
    """Delegates steps, one after the other or all at once."""

    async def receive(self, message: dict[str, Any], ctx: Context) -> int:
        if width := message.get("width"):
            results = await asyncio.gather(*(ctx.delegate(f"step-{n}", n) for n in range(width)))
            return len(results)
        lane = message["lane"]
        for step in range(message["steps"]):
            await ctx.delegate(f"step-{(lane + step) % FAN_OUT}", step)
        return int(message["steps"])


class Neighbour(Actor):
    """Asks an actor of its own worker many times, and beside it a bare asyncio actor."""

    async def receive(self, message: dict[str, int], ctx: Context) -> list[list[float]]:
        text = "x" * message["size"]
        bare = Bare()
        rounds = []
        for number in range(message["rounds"] + 1):
            taken = [0.0, 0.0]
            for side in (0, 1) if number % 2 else (1, 0):
                clock, found = time.perf_counter, []
                for _ in range(message["calls"]):
                    start = clock()
                    if side:
                        await bare.ask(text)
                    else:
                        await ctx.ask("echo", text)
                    found.append(clock() - start)
                taken[side] = sorted(found)[len(found) // 2]
            rounds.append(taken)
        await bare.stop()
        return rounds[1:]  # the first one warmed up


class Bare:
    """The least an asyncio actor can be: a queue, a task, a future for each ask."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[tuple[object, asyncio.Future[object]]] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def ask(self, message: object) -> object:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait((message, answer))
        return await answer

    async def _run(self) -> None:
        while True:
            message, answer = await self._inbox.get()
            answer.set_result(message)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


ALONE = Options(isolation=Isolation.PROCESS)

app = App(
    Echo.named("echo"),
    [Echo.named(f"echo-{n}") for n in range(LANES)],
    [Echo.named(f"step-{n}") for n in range(FAN_OUT)],
    [Flow.named(f"flow-{n}") for n in range(LANES)],
    [Where.named(f"alone-{n}", options=ALONE) for n in range(ISOLATED)],
    [Where.named(f"shared-{n}") for n in range(ISOLATED)],
    [Slow.named(f"slow-{n}") for n in range(ISOLATED)],
    Where.named("where"),
    Neighbour.named("neighbour"),
    Profiled.named("profiled"),
)
