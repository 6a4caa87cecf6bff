"""What does delegating cost an actor: five tasks in a row, a hundred at once, and many such actors?"""

from app import FAN_OUT, LANES
from interleave import in_flight, one_by_one
from metric import Goal, Metric, Run
from node import node

from actorium import Client

STEPS = 5


async def measure(run: Run) -> list[Metric]:
    async with node() as here, Client(here.url) as client:

        async def steps(lane: int = 0) -> None:
            handle = await client.tell(f"flow-{lane}", {"steps": STEPS, "lane": lane})
            assert (await handle.result(timeout=60)).unwrap() == STEPS

        async def fan_out() -> None:
            handle = await client.tell("flow-0", {"width": FAN_OUT})
            assert (await handle.result(timeout=60)).unwrap() == FAN_OUT

        await fan_out()
        await in_flight(steps, LANES, LANES)
        line = await one_by_one(steps, run.count(200, 20))
        fan = await one_by_one(fan_out, run.count(20, 3))
        crowd = await in_flight(steps, LANES * run.count(15, 2), LANES)
    return [
        Metric(
            name="five durable delegations, p50", value=line.p50 * 1e3, unit="ms",
            detail={"p99_ms": line.p99 * 1e3},
        ),
        Metric(name=f"{FAN_OUT} durable delegations at once, p50", value=fan.p50 * 1e3, unit="ms"),
        Metric(
            name=f"durable delegations, {LANES} actors at once", value=crowd.rate * STEPS, unit="/s",
            goal=Goal(limit=20000, at_most=False),
        ),
    ]  # fmt: skip
