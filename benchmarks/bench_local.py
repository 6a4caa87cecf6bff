"""What does an ask between two actors of one worker cost beside a bare asyncio actor?"""

import statistics

from metric import Goal, Metric, Run
from node import node

from actorium import Client

SIZE = 256  # characters


async def measure(run: Run) -> list[Metric]:
    order = {"rounds": run.rounds, "calls": run.count(3000, 1000), "size": SIZE}
    async with node() as here, Client(here.url) as client:
        rounds = (await client.ask("neighbour", order, timeout=60)).unwrap()
    ours, bare = ([taken[side] for taken in rounds] for side in (0, 1))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return [
        Metric(
            name="ask in one worker, p50", value=statistics.median(ours) * 1e6, unit="us",
            beside=statistics.median(bare) * 1e6, other="bare asyncio actor",
            ratio=statistics.median(ratios), goal=Goal(limit=6.0, on="ratio"),
            detail={"ratios": [round(min(ratios), 2), round(max(ratios), 2)]},
        )
    ]  # fmt: skip
