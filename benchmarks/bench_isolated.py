"""What does an agent with a process of its own cost: memory, start, and getting over a kill -9?"""

import asyncio
import statistics
import time

from interleave import quantile
from metric import Goal, Metric, Run
from node import node
from process import kill, memory
from raw import other_process

from actorium import ActoriumError, Client


async def measure(run: Run) -> list[Metric]:
    count = run.count(20, 6)
    async with node() as here, Client(here.url) as client:
        forked, spawned, shared, pids = [], [], [], []
        for number in range(count):
            begun = time.perf_counter()
            pids.append((await client.ask(f"alone-{number}", "where")).unwrap())
            forked.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            async with other_process("respond", here.url):
                spawned.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            await client.ask(f"shared-{number}", "where")
            shared.append(time.perf_counter() - begun)
        await asyncio.sleep(1.0)
        held = [memory(pid) for pid in pids]
        revived = [await _revive(client, f"alone-{n}", pid) for n, pid in enumerate(pids)]
    start = statistics.median(forked)
    beside = statistics.median(spawned)
    return [
        Metric(
            name="idle isolated agent: memory of its own (USS)", unit="MB", goal=Goal(limit=8.0),
            value=statistics.median(found.uss for found in held) / 1e6,
            detail={
                "pss_mb": statistics.median(found.pss for found in held) / 1e6,
                "rss_mb": statistics.median(found.rss for found in held) / 1e6,
            },
        ),
        Metric(
            name="isolated agent: start to first answer, p50", value=start * 1e3, unit="ms",
            beside=beside * 1e3, other="spawned Python with nats-py",
            ratio=statistics.median(a / b for a, b in zip(forked, spawned, strict=True)),
            goal=Goal(limit=15.0),
            detail={
                "max_ms": max(forked) * 1e3,
                "shared_agent_first_answer_ms": statistics.median(shared) * 1e3,
            },
        ),
        Metric(
            name="kill -9 of an isolated agent: answers again, p50", unit="ms", goal=Goal(limit=25.0),
            value=quantile(revived, 0.5) * 1e3, detail={"max_ms": max(revived) * 1e3, "kills": count},
        ),
    ]  # fmt: skip


async def _revive(client: Client, agent: str, pid: int) -> float:
    """Seconds from the kill until another process answers."""
    begun = time.perf_counter()
    kill(pid)
    while True:
        try:
            result = await client.ask(agent, "where", timeout=2.0)
        except ActoriumError:
            continue
        if result.data is not None and result.data != pid:
            return time.perf_counter() - begun
        await asyncio.sleep(0.0005)
