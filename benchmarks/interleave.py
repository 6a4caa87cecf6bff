"""Interleave: two sides measured in turns, so that a busy neighbour hits both; only ratios are believed.

One round is one measurement of each side, in alternating order. Invariant: a ratio is the median over the
rounds of the ratio within a round; it never divides numbers of different minutes.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

Once = Callable[[], Awaitable[object]]


class Round(msgspec.Struct, frozen=True):
    """What one side showed in one round: seconds per call (latency), or calls per second (rate)."""

    p50: float
    p99: float
    rate: float


Side = Callable[[], Awaitable[Round]]


class Compared(msgspec.Struct, frozen=True):
    """The rounds of both sides, in order."""

    ours: list[Round]
    theirs: list[Round]

    def median(self, field: str) -> tuple[float, float, float]:
        """Ours, theirs and the ratio, each a median over the rounds."""
        mine = [getattr(found, field) for found in self.ours]
        other = [getattr(found, field) for found in self.theirs]
        ratios = [a / b for a, b in zip(mine, other, strict=True)]
        return statistics.median(mine), statistics.median(other), statistics.median(ratios)

    def spread(self, field: str) -> list[float]:
        """The smallest and the largest ratio of a round."""
        pairs = zip(self.ours, self.theirs, strict=True)
        ratios = [getattr(a, field) / getattr(b, field) for a, b in pairs]
        return [round(min(ratios), 2), round(max(ratios), 2)]


async def interleave(ours: Side, theirs: Side, rounds: int) -> Compared:
    """Measure both sides in turns; a first round of each warms up and is thrown away."""
    await ours()
    await theirs()
    found: Compared = Compared([], [])
    for number in range(rounds):
        if number % 2:
            found.theirs.append(await theirs())
            found.ours.append(await ours())
        else:
            found.ours.append(await ours())
            found.theirs.append(await theirs())
    return found


async def one_by_one(call: Once, count: int) -> Round:
    """So many calls, each after the one before."""
    taken: list[float] = []
    clock = time.perf_counter
    begun = clock()
    for _ in range(count):
        start = clock()
        await call()
        taken.append(clock() - start)
    return summary(taken, count / (clock() - begun))


def summary(taken: Sequence[float], rate: float = 0.0) -> Round:
    """Median and 99th percentile of durations."""
    return Round(quantile(taken, 0.5), quantile(taken, 0.99), rate)


def quantile(taken: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def in_flight(call: Callable[[int], Awaitable[object]], count: int, lanes: int = 64) -> Round:
    """So many calls in so many lanes at once; `call` is told its lane."""

    async def lane(number: int) -> None:
        for _ in range(count // lanes):
            start = clock()
            await call(number)
            taken.append(clock() - start)

    taken: list[float] = []
    clock = time.perf_counter
    begun = clock()
    async with asyncio.TaskGroup() as tasks:
        for number in range(lanes):
            tasks.create_task(lane(number))
    return summary(taken, len(taken) / (clock() - begun))
