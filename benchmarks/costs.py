"""Costs: where the time of a call goes: `python benchmarks/costs.py ask|task|flow|agent|tool|line|fan`.

First what one call makes pass through the server, then cProfile in the worker and in the client, which makes
small functions look dearer than they are: what it says is an order, not a sum. Calls of a coroutine are
counted at each of its resumptions, and the lease thread's waiting stands in the worker's list as `poll`.
"""

import asyncio
import cProfile
import itertools
import os
import pstats
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent))

from app import LANES
from interleave import in_flight
from node import APP, FLOWS, THINKING, node
from traffic import count_messages

from actorium import Client, Task

Call = Callable[[Client, int], Awaitable[None]]
numbers = itertools.count()


async def ask(client: Client, lane: int) -> None:
    (await client.ask(f"echo-{lane}", "x" * 256)).unwrap()


async def told(agent: str, message: Callable[[int], object], client: Client, lane: int) -> None:
    handle = await client.tell(agent.format(lane=lane), message(lane))
    (await handle.result(timeout=60)).unwrap()


def new(lane: int) -> str:
    """A task that no run had before."""
    return f"task {next(numbers)}"


WHAT: dict[str, tuple[Path, str, Call, int]] = {
    "ask": (APP, "echo", ask, 12800),
    "task": (APP, "echo", partial(told, "echo-{lane}", lambda _: "x" * 256), 3200),
    "flow": (APP, "echo", partial(told, "flow-{lane}", lambda lane: {"steps": 5, "lane": lane}), 320),
    "agent": (THINKING, "sayer-0", partial(told, "sayer-{lane}", new), 1920),
    "tool": (THINKING, "sayer-0", partial(told, "looker-{lane}", new), 1280),
    "line": (FLOWS, "work-0", partial(told, "line-{lane}", lambda _: Task(inputs={})), 320),
    "fan": (FLOWS, "work-0", partial(told, "fan", lambda _: Task(inputs={"numbers": list(range(100))})), 64),
}


async def main(what: str) -> None:
    source, first, call, count = WHAT[what]
    os.environ["BENCH_PROFILE"] = "1"  # the workers inherit it
    async with node(source=source, first=first) as here, Client(here.url) as client:
        once = partial(call, client)
        await in_flight(once, LANES * 2, LANES)
        print(f"messages through the server for one {what}:")
        for name, times in (await count_messages(here.url, lambda: once(0), 50)).items():
            print(f"{times:8.2f}  {name}")
        plain = await in_flight(once, count, LANES)
        print(f"{what}: {plain.rate:,.0f} /s, {LANES} in flight, without a profiler", flush=True)
        await client.ask("profiled", "start")
        found = await in_flight(once, count, LANES)
        print(f"worker, while profiled ({found.rate:,.0f} /s, {count} calls):")
        print((await client.ask("profiled", "stop")).unwrap())
        profiler = cProfile.Profile()
        profiler.enable()
        await in_flight(once, count, LANES)
        profiler.disable()
        print("client:")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in WHAT:
        sys.exit(f"one of: {' '.join(WHAT)}")
    uvloop.run(asyncio.wait_for(main(sys.argv[1]), 120))
