"""Costs: where the time of an ask or a durable task goes: `python benchmarks/costs.py ask|task|flow`.

cProfile in the worker and in the client, which makes small functions look dearer than they are: what it says
is an order, not a sum.
"""

import asyncio
import cProfile
import os
import pstats
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent))

from app import LANES
from interleave import in_flight
from node import node

from actorium import Client


async def main(what: str) -> None:
    os.environ["BENCH_PROFILE"] = "1"  # the workers inherit it
    async with node() as here, Client(here.url) as client:

        async def ask(lane: int) -> None:
            (await client.ask(f"echo-{lane}", "x" * 256)).unwrap()

        async def task(lane: int) -> None:
            handle = await client.tell(f"echo-{lane}", "x" * 256)
            (await handle.result(timeout=30)).unwrap()

        async def flow(lane: int) -> None:
            handle = await client.tell(f"flow-{lane}", {"steps": 5, "lane": lane})
            (await handle.result(timeout=30)).unwrap()

        call, count = {"ask": (ask, 12800), "task": (task, 3200), "flow": (flow, 320)}[what]
        await in_flight(call, LANES * 5, LANES)
        plain = await in_flight(call, count, LANES)
        print(f"{what}: {plain.rate:,.0f} /s, {LANES} in flight, without a profiler", flush=True)
        await client.ask("profiled", "start")
        found = await in_flight(call, count, LANES)
        told = (await client.ask("profiled", "stop")).unwrap()
        print(f"worker, while profiled ({found.rate:,.0f} /s, {count} calls):\n{told}")
        profiler = cProfile.Profile()
        profiler.enable()
        await in_flight(call, count, LANES)
        profiler.disable()
        print("client:")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    uvloop.run(asyncio.wait_for(main(sys.argv[1]), 120))
