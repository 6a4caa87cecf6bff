"""What does an agent that thinks cost in memory and at the start: idle, parked, in a process of its own?

The Go collector of nats-server is told to collect early (GOGC=10), as for the idle actors; below 1,000 agents
or runs its memory is too coarse to be read.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from app_thinking import HERE, LANES
from fresh import import_cpu
from heard import Said, hearing
from metric import Goal, Metric, Run
from nats.aio.msg import Msg
from node import THINKING, Node, node
from peer import PYTHON
from process import Memory, memory, settled_memory

from actorium import Agent, Client

LIMIT = 150.0  # seconds
OURS = "import actorium.actors.runs.thinker, actorium.actors.models.scripted"
THEIRS = "from pydantic_ai import Agent; from pydantic_ai.models.function import FunctionModel"
BARE = "import nats, uvloop, msgspec"
FOREVER = {"idle": 3600.0}  # seconds: none is let go while the others are made
Held = tuple[Memory, Memory]


async def measure(run: Run) -> list[Metric]:
    found = await _imports(run)
    with _early_collection():
        async with node(source=THINKING, first="sayer-0") as here, Client(here.url) as client:
            found += await _idle(run, here, client)
    with _early_collection():
        async with node(source=THINKING, first="sayer-0") as here, Client(here.url) as client:
            found += await _parked(run, here, client)
            found += await _isolated(run, client)
    return found


async def _imports(run: Run) -> list[Metric]:
    """CPU of importing what a thinking agent is made of, in a fresh Python; beside it what any client has."""
    ours, bare, theirs = [], [], []
    import_cpu(OURS), import_cpu(BARE)  # writes the bytecode
    for _ in range(run.count(11, 5)):
        ours.append(import_cpu(OURS))
        bare.append(import_cpu(BARE))
        if run.peers and PYTHON.exists():
            theirs.append(import_cpu(THEIRS, str(PYTHON)))
    detail = {"pydantic_ai_ms": statistics.median(theirs) * 1e3} if theirs else {}
    return [
        Metric(
            name="import of a thinking agent's code (CPU)", value=statistics.median(ours) * 1e3, unit="ms",
            beside=statistics.median(bare) * 1e3, other="nats + uvloop + msgspec",
            ratio=statistics.median(a / b for a, b in zip(ours, bare, strict=True)), detail=detail,
        )
    ]  # fmt: skip


async def _idle(run: Run, here: Node, client: Client) -> list[Metric]:
    count = run.count(10_000, 1_000)

    async def define(number: int) -> None:
        agent = Agent(f"idle-{number}", model=f"scripted:{HERE}:saying", options=FOREVER)
        await client.names.registry.define(agent)

    async def think(number: int) -> None:
        assert (await client.ask(f"idle-{number}", f"task {number}", timeout=60)).unwrap() == "done"

    async def busy(number: int) -> None:
        """As much traffic on agents that are there: garbage and arenas are grown before."""
        await client.ask(f"sayer-{number % LANES}", f"warm {number}", timeout=60)

    await _all(busy, count // 5)
    before = _held(here)
    begun = time.perf_counter()
    await _all(define, count)
    await _all(think, count)
    taken = time.perf_counter() - begun
    after = _held(here)
    assert (await client.status("idle-0"))["in_memory"], "the first agents were let go already"
    worker, server = _grown(before, after, count)
    return [
        Metric(
            name="idle thinking agent that ran once: worker", value=worker, unit="kB",
            detail={"agents": count, "server_kb": server, "worker_uss_mb": after[0].uss / 1e6},
        ),
        Metric(
            name=f"{count} thinking agents defined and each run once", value=taken, unit="s",
            detail={"per_agent_ms": taken / count * 1e3},
        ),
    ]  # fmt: skip


async def _parked(run: Run, here: Node, client: Client) -> list[Metric]:
    """Runs that wait for a person."""
    count = run.count(2_000, 320)

    async def invoice(number: int) -> None:
        await client.tell(f"payer-{number % LANES}", f"invoice {number}")

    async with hearing(here.url, "agents.*.events", _parked_task) as parked:
        await _all(invoice, count)  # as many as are measured: arenas and garbage are grown before
        await parked.wait(count, 60)
        before = _held(here)
        await _all(invoice, count)
        await parked.wait(2 * count, 60)
        after = _held(here)
    worker, server = _grown(before, after, count)
    return [
        Metric(name="parked run: worker", value=worker, unit="kB", detail={"runs": count}),
        Metric(name="parked run: server", value=server, unit="kB", detail={"runs": count}),
    ]


def _parked_task(message: Msg, said: Said) -> str | None:
    return said.task if said.kind == "parked" else None


async def _isolated(run: Run, client: Client) -> list[Metric]:
    started, pids = [], []
    for number in range(run.count(20, 6)):
        begun = time.perf_counter()
        pids.append(int((await client.ask(f"alone-{number}", "where do you run?", timeout=60)).unwrap()))
        started.append(time.perf_counter() - begun)
    await asyncio.sleep(1.0)
    held = [memory(pid) for pid in pids]
    return [
        Metric(
            name="isolated thinking agent: memory of its own (USS)", unit="MB", goal=Goal(limit=8.0),
            value=statistics.median(one.uss for one in held) / 1e6,
            detail={"pss_mb": statistics.median(one.pss for one in held) / 1e6},
        ),
        Metric(
            name="isolated thinking agent: start to first answer, p50", unit="ms",
            value=statistics.median(started) * 1e3,
            detail={"max_ms": max(started) * 1e3, "with": "two model calls and a tool"},
        ),
    ]  # fmt: skip


def _held(here: Node) -> Held:
    return settled_memory(here.workers[0]), settled_memory(here.server)


def _grown(before: Held, after: Held, count: int) -> list[float]:
    """Kilobytes for one, in the worker and in the server."""
    return [(now.uss - then.uss) / count / 1000 for then, now in zip(before, after, strict=True)]


@contextmanager
def _early_collection() -> Iterator[None]:
    """A nats-server that is started in this block collects its garbage early."""
    os.environ["GOGC"] = "10"
    try:
        yield
    finally:
        del os.environ["GOGC"]


async def _all(work: Callable[[int], Awaitable[None]], count: int) -> None:
    async def lane(first: int) -> None:
        for number in range(first, count, LANES):
            await work(number)

    async with asyncio.TaskGroup() as tasks:
        for first in range(LANES):
            tasks.create_task(lane(first))
