"""How long after kill -9 of a worker do its tasks go on, and its agents answer?"""

import asyncio
import time
from contextlib import suppress

from app import ISOLATED
from interleave import quantile
from metric import Goal, Metric, Run
from node import Node, node
from process import kill

from actorium import ActoriumError, Client, Handle


async def measure(run: Run) -> list[Metric]:
    kills = run.count(5, 2)
    resumed, answered = [], []
    async with node(workers=2) as here, Client(here.url) as client:
        for number in range(kills):
            task, agent = await _once(here, client, number)
            resumed.append(task)
            answered.append(agent)
    return [
        Metric(
            name="kill -9 of a worker: its task has a result, worst", value=max(resumed), unit="s",
            goal=Goal(limit=8.0), detail={"p50_s": quantile(resumed, 0.5), "kills": kills},
        ),
        Metric(
            name="kill -9 of a worker: its agent answers, p50", value=quantile(answered, 0.5), unit="s",
            detail={"max_s": max(answered)},
        ),
    ]  # fmt: skip


async def _once(here: Node, client: Client, number: int) -> tuple[float, float]:
    """Kill the worker that has a task in hand; seconds until its result, and until an agent of it answers."""
    await _steady(here, client)
    slow = f"slow-{number}"
    pid = await _where(client, slow)
    beside = await _on(client, pid)
    handle = await client.tell(slow, "begin")
    async for event in handle.events():
        if event.kind == "started":
            break
    begun = time.perf_counter()
    kill(pid)
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(_result(handle, begun))
        back = tasks.create_task(_answers(client, beside, pid, begun))
    return ended.result(), back.result()


async def _on(client: Client, pid: int) -> str:
    """Another agent of that worker."""
    for number in range(ISOLATED):
        if await _where(client, f"shared-{number}") == pid:
            return f"shared-{number}"
    raise AssertionError(f"none of {ISOLATED} agents is on worker {pid}")


async def _steady(here: Node, client: Client) -> None:
    """Return when both workers hold partitions and none has moved for a second."""
    names = [f"shared-{n}" for n in range(ISOLATED)]
    before: list[int] = []
    while True:
        now = [await _where(client, name) for name in names]
        if now == before and len(set(now)) == 2 == len(here.workers):
            return
        before = now
        await asyncio.sleep(1.0)


async def _where(client: Client, agent: str) -> int:
    while True:
        with suppress(ActoriumError):
            return int((await client.ask(agent, "where")).unwrap())
        await asyncio.sleep(0.05)


async def _result(handle: Handle, begun: float) -> float:
    (await handle.result(timeout=60)).unwrap()
    return time.perf_counter() - begun


async def _answers(client: Client, agent: str, dead: int, begun: float) -> float:
    """Short asks, because one that is on its way to the dying process gets no answer at all."""
    while True:
        with suppress(ActoriumError):
            if (await client.ask(agent, "where", timeout=0.025)).data != dead:
                return time.perf_counter() - begun
