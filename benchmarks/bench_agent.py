"""What does a task of an agent that thinks cost, at zero model latency, with its whole ledger?

Beside it stands one stored publish of nats-py, so that the ratio says how many of those a run is worth. The
peer does the same turns with the same kind of model; what it does not do is said in `detail`.
"""

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import nats
from app_thinking import LANES
from interleave import Compared, Round, in_flight, interleave, one_by_one, summary
from metric import Goal, Metric, Run
from node import THINKING, Node, node
from peer import NoPeer, Peer, peer
from process import Meter
from raw import STREAM

from actorium import Client

LIMIT = 180.0  # seconds
Once = Callable[[int], Awaitable[None]]
SAID = {"sayer": "done", "looker": "It is sunny in Bern."}
MEMORY = "in its own process: nothing is stored, sent, recorded or recovered"
DURABLE = "DBOS on SQLite: keeps both answers of the model and the run, not the tool's; no process in between"


async def measure(run: Run) -> list[Metric]:
    async with node(source=THINKING, first="sayer-0") as here, Client(here.url) as client:
        calls = _calls(client)
        for call in calls.values():
            await in_flight(call, LANES, LANES)
        found = await _alone(run, here, calls)
        found += await _crowd(run, here, calls)
        if run.peers:
            for how, note in (("memory", MEMORY), ("durable", DURABLE)):
                found += await _beside(run, here, calls["look"], how, note)
    return found


def _calls(client: Client) -> Mapping[str, Once]:
    """What is measured, by name; each run has a task of its own, so none is told what another one left."""
    numbers = itertools.count()

    async def tell(kind: str, lane: int) -> None:
        handle = await client.tell(f"{kind}-{lane}", f"task {next(numbers)}")
        assert (await handle.result(timeout=60)).unwrap() == SAID[kind]

    async def ask(lane: int) -> None:
        assert (await client.ask(f"sayer-{lane}", f"task {next(numbers)}")).unwrap() == SAID["sayer"]

    return {"tell": partial(tell, "sayer"), "ask": ask, "look": partial(tell, "looker")}


def _meter(here: Node) -> Meter:
    return Meter({"client": os.getpid(), "worker": here.workers[0], "server": here.server})


async def _alone(run: Run, here: Node, calls: Mapping[str, Once]) -> list[Metric]:
    """One run after the other."""
    raw = await nats.connect(here.url)
    stream = raw.jetstream()
    await stream.add_stream(name=STREAM, subjects=["rawq.>"])
    meter = _meter(here)
    count = run.count(80, 30)

    async def stored() -> None:
        await stream.publish("rawq.alone", b"x" * 256)

    async def acks() -> Round:
        return await one_by_one(stored, count * 2)

    async def runs(call: Once) -> Round:
        with meter.running(count):
            return await one_by_one(lambda: call(0), count)

    names = {
        "tell": "agent task, one model call, told to result",
        "ask": "agent task, one model call, asked",
        "look": "agent task, two model calls and a tool",
    }
    found = []
    for kind, name in names.items():
        compared = await interleave(partial(runs, calls[kind]), acks, run.rounds)
        found += _metrics(name, compared, Goal(limit=5.0) if kind == "tell" else None, meter.take())
    await raw.close()
    return found


def _metrics(name: str, compared: Compared, goal: Goal | None, detail: dict[str, float]) -> list[Metric]:
    p50, other50, ratio50 = compared.median("p50")
    p99, other99, ratio99 = compared.median("p99")
    other = "one stored publish"
    return [
        Metric(
            name=f"{name}, p50", value=p50 * 1e3, unit="ms", beside=other50 * 1e3, other=other, ratio=ratio50,
            goal=goal, detail={"ratios": compared.spread("p50")} | detail,
        ),
        Metric(
            name=f"{name}, p99", value=p99 * 1e3, unit="ms", beside=other99 * 1e3, other=other, ratio=ratio99
        ),
    ]  # fmt: skip


async def _crowd(run: Run, here: Node, calls: Mapping[str, Once]) -> list[Metric]:
    """Many at once, on one worker."""
    meter, count = _meter(here), run.count(640, 320)
    found = []
    for kind, name in (("tell", "one model call"), ("look", "two model calls and a tool")):
        rounds = []
        for _ in range(run.rounds // 2):
            with meter.running(count):
                rounds.append(await in_flight(calls[kind], count, LANES))
        rate = summary([one.rate for one in rounds]).p50
        title = f"agent runs, {name}, {LANES} in flight, one worker"
        found.append(Metric(name=title, value=rate, unit="/s", detail=meter.take()))
    return found


async def _beside(run: Run, here: Node, look: Once, how: str, note: str) -> list[Metric]:
    """Two turns and a tool, in turns with a peer that does the same."""
    title = f"pydantic-ai ({how})"
    place = "memory" if how == "memory" else f"sqlite:///{here.home}/pydantic.db"
    try:
        async with peer("peer_pydantic", place) as other:
            single, crowd = await _in_turns(run, look, other)
            versions = other.versions
    except NoPeer as error:
        run.absent[title] = str(error)
        return []
    p50, other50, ratio50 = single.median("p50")
    rate, other_rate, ratio_rate = crowd.median("rate")
    detail = {"versions": versions, "the_other_side": note}
    return [
        Metric(
            name=f"two model calls and a tool, p50, beside {title}", value=p50 * 1e3, unit="ms",
            beside=other50 * 1e3, other=title, ratio=ratio50,
            detail={"ratios": single.spread("p50")} | detail,
        ),
        Metric(
            name=f"the same, {LANES} in flight", value=rate, unit="/s", beside=other_rate, other=title,
            ratio=ratio_rate, detail={"ratios": crowd.spread("rate")} | detail,
        ),
    ]  # fmt: skip


async def _in_turns(run: Run, look: Once, other: Peer) -> tuple[Compared, Compared]:
    count, seconds = run.count(40, 20), 1.0
    single = await interleave(
        lambda: one_by_one(lambda: look(0), count), lambda: other.run("look", count=count, seconds=seconds), 5
    )
    crowd = await interleave(
        lambda: in_flight(look, LANES * 3, LANES),
        lambda: other.run("look", count=3, seconds=seconds, lanes=LANES),
        5,
    )
    return single, crowd
