"""What do ten thousand idle agents cost in time and memory?

The Go collector of nats-server lets garbage grow to as much as is alive, which would drown what agents cost:
here it is told to collect early (GOGC=10). Below 10,000 agents that is still too coarse to be judged.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import msgspec
from app import Echo
from metric import Goal, Metric, Run
from node import node
from process import settled_memory

from actorium import Client, Definition

LANES = 64


async def measure(run: Run) -> list[Metric]:
    count = run.count(10000, 1500)
    os.environ["GOGC"] = "10"
    async with node() as here, Client(here.url) as client:
        del os.environ["GOGC"]
        worker = here.workers[0]

        async def define(number: int) -> None:
            await client.names.registry.define(Echo.named(f"idle-{number}"))

        async def wake(number: int) -> None:
            result = await client.ask(f"idle-{number}", "hello")
            assert result.data == "hello", result

        async def busy(number: int) -> None:
            """As much traffic as the rest, on agents that are there: garbage and arenas are grown before."""
            await client.names.registry.define(changed(number))
            await client.ask(f"echo-{number % LANES}", "hello")

        await _all(busy, count)
        before = settled_memory(worker), settled_memory(here.server)
        begun = time.perf_counter()
        await _all(define, count)
        defined = time.perf_counter()
        await _all(wake, count)
        awake = time.perf_counter()
        after = settled_memory(worker), settled_memory(here.server)
        assert (await client.status("idle-0"))["in_memory"], "the first agents were let go already"
    grown = [(now.uss - then.uss) / count / 1000 for then, now in zip(before, after, strict=True)]
    per_ms = 1e3 / count
    return [
        Metric(
            name="idle agent in a shared worker: worker", value=grown[0], unit="kB", goal=Goal(limit=4.0),
            detail={"agents": count, "worker_uss_mb": after[0].uss / 1e6},
        ),
        Metric(
            name="idle agent in a shared worker: server", value=grown[1], unit="kB",
            goal=None if run.quick else Goal(limit=1.5),
            detail={"agents": count, "server_uss_mb": after[1].uss / 1e6},
        ),
        Metric(
            name=f"{count} agents defined and each answered once", value=awake - begun, unit="s",
            detail={"define_ms": (defined - begun) * per_ms, "wake_ms": (awake - defined) * per_ms},
        ),
    ]  # fmt: skip


async def _all(work: Callable[[int], Awaitable[None]], count: int) -> None:
    async def lane(first: int) -> None:
        for number in range(first, count, LANES):
            await work(number)

    async with asyncio.TaskGroup() as tasks:
        for first in range(LANES):
            tasks.create_task(lane(first))


def changed(number: int) -> Definition:
    """A definition that is another one each time, of one of a few agents."""
    return msgspec.structs.replace(Echo.named(f"warm-{number % LANES}"), description=str(number))
