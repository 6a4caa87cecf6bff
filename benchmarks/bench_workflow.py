"""What does a durable workflow cost, beside runtimes that keep theirs in a database, or nowhere?

The same shapes everywhere, of steps that do nothing: five in a row, a diamond of a hundred, a thousand side
by side. Ours is client, server and worker in three processes; the steps are pure, so that agents of the same
worker do them at once, and "stored" where they do not say so: then every step is a durable task of its own.
Peers run the steps in the process that asked. Each peer stands beside runs of ours from the same rounds.
"""

import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from app_flows import LANES, STEPS, WIDE, WIDTH
from interleave import Compared, Round, in_flight, interleave, one_by_one
from metric import Goal, Metric, Run
from node import FLOWS, Node, node
from peer import NoPeer, Peer, peer
from postgres import NoPostgres, postgres
from process import Meter

from actorium import Client, Task

LIMIT = 400.0  # seconds
ROUNDS, FEW = 5, 3
KILL = "survives kill -9"
POWER = "survives loss of power"
NOTES = {
    "LangGraph in memory": "nothing is kept",
    "LangGraph, SQLite off": KILL,
    "LangGraph, SQLite full": POWER,
    "DBOS, SQLite": POWER,
    "DBOS, PostgreSQL fsync=off": KILL,
    "DBOS, PostgreSQL": POWER,
}
RIVAL = "LangGraph, SQLite off"  # what the goal is held against: it promises what we do
WIDE_TOO = ("LangGraph in memory", RIVAL)  # of others a fan-out of a thousand takes seconds
Once = Callable[[], Awaitable[None]]


async def measure(run: Run) -> list[Metric]:
    async with node(source=FLOWS, first="work-0") as here, Client(here.url) as client:
        flows = Flows(client)
        await in_flight(flows.line, LANES, LANES)
        found = await _ours(run, here, flows)
        for title in NOTES if run.peers else ():
            try:
                async with _peer(title, here) as other:
                    found += await _beside(run, flows, title, other)
            except (NoPeer, NoPostgres) as error:
                run.absent[title] = str(error)
    return found


class Flows:
    """What is measured of ours, each from being told to its result."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def line(self, lane: int = 0) -> None:
        """Five steps in a row."""
        await self._run(f"line-{lane}", {})

    async def stored(self) -> None:
        """Five steps in a row, each of which goes through its agent's inbox and outbox."""
        await self._run("stored-0", {})

    async def diamond(self) -> None:
        """A hundred steps, of which 98 side by side."""
        await self._run("diamond", {})

    async def fan(self) -> None:
        """A thousand steps side by side."""
        await self._run("fan", {"numbers": list(range(WIDE))})

    async def stored_fan(self) -> None:
        """The same, each of them stored."""
        await self._run("stored-fan", {"numbers": list(range(WIDE))})

    async def _run(self, name: str, inputs: dict[str, object]) -> None:
        handle = await self._client.tell(name, Task(inputs=inputs))
        (await handle.result(timeout=120)).unwrap()


async def _ours(run: Run, here: Node, flows: Flows) -> list[Metric]:
    meter = Meter({"client": os.getpid(), "worker": here.workers[0], "server": here.server})
    rounds, wide, crowds = [], [], []
    count, many = run.count(40, 10), LANES * run.count(4, 1)
    for _ in range(ROUNDS):
        with meter.running(count):
            rounds.append(await one_by_one(flows.line, count))
    used = meter.take()
    for _ in range(ROUNDS):
        with meter.running(many * STEPS):
            crowds.append(await in_flight(flows.line, many, LANES))
    crowd_used = meter.take()
    diamonds = await one_by_one(flows.diamond, run.count(15, 5))
    wide = await one_by_one(flows.fan, run.count(5, 1))
    stored = await one_by_one(flows.stored, 2 * count)
    stored_wide = await one_by_one(flows.stored_fan, run.count(3, 1))
    rate = statistics.median(one.rate for one in crowds) * STEPS
    return [
        Metric(
            name=f"workflow of {STEPS} steps, p50", value=statistics.median(one.p50 for one in rounds) * 1e3,
            unit="ms", goal=Goal(limit=12.0), detail=used,
        ),
        Metric(
            name=f"workflow of {STEPS} steps, p99", value=max(one.p99 for one in rounds) * 1e3, unit="ms",
            detail={"of": "the worst round"},
        ),
        Metric(
            name=f"steps, {LANES} workflows at once, one worker", value=rate, unit="/s",
            goal=Goal(limit=20_000, at_most=False), detail=crowd_used,
        ),
        Metric(name=f"diamond of {WIDTH + 2} steps, p50", value=diamonds.p50 * 1e3, unit="ms"),
        Metric(name=f"fan-out of {WIDE:,}, p50", value=wide.p50 * 1e3, unit="ms"),
        Metric(name=f"workflow of {STEPS} stored steps, p50", value=stored.p50 * 1e3, unit="ms"),
        Metric(name=f"fan-out of {WIDE:,}, stored, p50", value=stored_wide.p50 * 1e3, unit="ms"),
    ]  # fmt: skip


@asynccontextmanager
async def _peer(title: str, here: Node) -> AsyncIterator[Peer]:
    """A peer by its title, with a database of its own. Raises NoPeer, NoPostgres."""
    home = here.home
    match title.split(", "):
        case ["LangGraph in memory"]:
            async with peer("peer_langgraph", "memory", str(home)) as other:
                yield other
        case ["LangGraph", synchronous]:
            async with peer("peer_langgraph", synchronous.split()[1], str(home)) as other:
                yield other
        case ["DBOS", "SQLite"]:
            async with peer("peer_dbos", f"sqlite:///{home}/dbos.db") as other:
                yield other
        case _:
            off = title.endswith("fsync=off")
            async with postgres(fsync=not off) as url, peer("peer_dbos", url) as other:
                yield other


async def _beside(run: Run, flows: Flows, title: str, other: Peer) -> list[Metric]:
    seconds = 0.4
    lines = await _compared(
        flows.line, run.count(15, 10), partial(other.run, "line", count=200, seconds=seconds)
    )
    crowds = await interleave(
        partial(in_flight, flows.line, LANES, LANES),
        partial(other.run, "line", count=20, seconds=seconds, lanes=LANES),
        FEW if run.quick or title.startswith("DBOS") else ROUNDS,  # 64 of its workflows take seconds
    )
    diamonds = await _compared(
        flows.diamond, 3, partial(other.run, "diamond", count=20, seconds=seconds), FEW
    )
    goal = Goal(limit=1 / 3, on="ratio") if title == RIVAL else None
    note = {"versions": other.versions, "the_other_side": NOTES[title]}
    found = [
        _metric(f"{STEPS} steps, p50", lines, title, note, goal=goal),
        _metric(f"steps, {LANES} workflows at once", crowds, title, note, field="rate"),
        _metric(f"diamond of {WIDTH + 2}, p50", diamonds, title, note),
    ]
    if title in WIDE_TOO:
        wide = await _compared(flows.fan, 1, partial(other.run, "fan", count=3, seconds=0.1), 2)
        found.append(_metric(f"fan-out of {WIDE:,}, p50", wide, title, note))
    return found


async def _compared(
    ours: Once, count: int, theirs: Callable[[], Awaitable[Round]], rounds: int = ROUNDS
) -> Compared:
    return await interleave(lambda: one_by_one(ours, count), theirs, rounds)


def _metric(
    name: str,
    found: Compared,
    title: str,
    note: dict[str, object],
    *,
    goal: Goal | None = None,
    field: str = "p50",
) -> Metric:
    ours, theirs, ratio = found.median(field)
    scale, unit = (STEPS, "/s") if field == "rate" else (1e3, "ms")
    return Metric(
        name=name, value=ours * scale, unit=unit, beside=theirs * scale, other=title, ratio=ratio, goal=goal,
        detail={"ratios": found.spread(field)} | note,
    )  # fmt: skip
