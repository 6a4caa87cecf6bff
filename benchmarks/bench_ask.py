"""What does an ask cost beside a bare nats-py request between the same two processes?"""

import os

import nats
from app import LANES
from interleave import Round, in_flight, interleave, one_by_one
from metric import Goal, Metric, Run
from node import node
from process import Meter
from raw import SUBJECT, other_process

from actorium import Client

PAYLOAD = "x" * 256


async def measure(run: Run) -> list[Metric]:
    async with node() as here, Client(here.url) as client, other_process("respond", here.url) as responder:
        raw = await nats.connect(here.url)
        sent = PAYLOAD.encode()
        ours = Meter({"client": os.getpid(), "worker": here.workers[0], "server": here.server})
        theirs = Meter({"client": os.getpid(), "worker": responder, "server": here.server})

        async def ask(lane: int = 0) -> None:
            result = await client.ask(f"echo-{lane}", PAYLOAD)
            assert result.data == PAYLOAD, result

        async def request(_: int = 0) -> None:
            reply = await raw.request(SUBJECT, sent, 30)
            assert reply.data == sent

        async def asks() -> Round:
            with ours.running(count):
                return await one_by_one(ask, count)

        async def requests() -> Round:
            with theirs.running(count):
                return await one_by_one(request, count)

        async def many_asks() -> Round:
            with ours.running(many):
                return await in_flight(ask, many, LANES)

        async def many_requests() -> Round:
            with theirs.running(many):
                return await in_flight(request, many, LANES)

        count, many = run.count(2000, 300), run.count(12800, 1920)
        single = await interleave(asks, requests, run.rounds)
        cpu_single = ours.take() | theirs.take("raw_")
        crowd = await interleave(many_asks, many_requests, run.rounds)
        cpu_crowd = ours.take() | theirs.take("raw_")
        await raw.close()
    p50, raw50, ratio50 = single.median("p50")
    p99, raw99, ratio99 = single.median("p99")
    rate, raw_rate, ratio_rate = crowd.median("rate")
    other = "raw nats-py"
    return [
        Metric(
            name="ask, p50", value=p50 * 1e6, unit="us", beside=raw50 * 1e6, other=other, ratio=ratio50,
            goal=Goal(limit=1.3, on="ratio", later=0.75),
            detail={"ratios": single.spread("p50"), "payload_bytes": len(PAYLOAD)} | cpu_single,
        ),
        Metric(name="ask, p99", value=p99 * 1e6, unit="us", beside=raw99 * 1e6, other=other, ratio=ratio99),
        Metric(
            name=f"asks, {LANES} in flight, one worker", value=rate, unit="/s", beside=raw_rate, other=other,
            ratio=ratio_rate, goal=Goal(limit=2.0, on="ratio", at_most=False),
            detail={"ratios": crowd.spread("rate")} | cpu_crowd,
        ),
    ]  # fmt: skip
