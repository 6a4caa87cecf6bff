"""Answering: how a peer is measured in its own process: orders come in on stdin, answers go out on stdout.

An order is a line of JSON: what to run, how often, for how many seconds at most, in how many lanes. The
answer has the seconds each run took, and the seconds of all. Uses the standard library only.
"""

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

Work = Callable[[], Awaitable[object] | object]
LEAST = 3  # runs, however long they take


def answer_orders(known: Mapping[str, Work], packages: list[str], threads: int = 64) -> None:
    """Serve orders until stdin ends.

    Args:
        known: What can be run: a function, or a coroutine function where lanes are tasks of one loop.
        packages: Whose versions are told.
        threads: Where lanes are threads, the most of them.
    """
    with asyncio.Runner() as runner:
        answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # what a peer prints is no answer
        _say(answers, {"versions": {name: version(name) for name in packages}, "knows": sorted(known)})
        for line in sys.stdin:
            order = json.loads(line)
            work = known[order["what"]]
            if inspect.iscoroutinefunction(work):
                _say(answers, runner.run(_tasks(work, order)))
            else:
                _say(answers, _threads(work, order, threads))


def _say(answers: Any, told: object) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


async def _tasks(work: Any, order: dict[str, Any]) -> dict[str, Any]:
    taken: list[float] = []
    begun = time.perf_counter()

    async def lane() -> None:
        for done in range(order["count"]):
            start = time.perf_counter()
            if done >= order["least"] and start - begun > order["seconds"]:
                return
            await work()
            taken.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(order["lanes"]):
            tasks.create_task(lane())
    return {"taken": taken, "wall": time.perf_counter() - begun}


def _threads(work: Work, order: dict[str, Any], threads: int) -> dict[str, Any]:
    taken: list[float] = []
    begun = time.perf_counter()

    def lane() -> None:
        for done in range(order["count"]):
            start = time.perf_counter()
            if done >= order["least"] and start - begun > order["seconds"]:
                return
            work()
            taken.append(time.perf_counter() - start)

    if order["lanes"] == 1:
        lane()
    else:
        with ThreadPoolExecutor(threads) as pool:
            for lane_ in [pool.submit(lane) for _ in range(order["lanes"])]:
                lane_.result()
    return {"taken": taken, "wall": time.perf_counter() - begun}
