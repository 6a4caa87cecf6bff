"""What does a durable task cost, from being told to its result, and how many does one worker finish?"""

import asyncio
import os
import secrets

import nats
from app import LANES
from interleave import Round, in_flight, interleave, one_by_one, summary
from metric import Goal, Metric, Run
from nats.aio.msg import Msg
from node import node
from process import Meter
from raw import STORED, other_process

from actorium import Client

PAYLOAD = "x" * 256


async def measure(run: Run) -> list[Metric]:
    async with node() as here, Client(here.url) as client, other_process("work", here.url) as worker:
        raw = await nats.connect(here.url)
        stream, inbox = raw.jetstream(), raw.new_inbox()
        waiting: dict[str, asyncio.Future[bytes]] = {}

        async def answered(message: Msg) -> None:
            waiting.pop((message.headers or {})["Task-Id"]).set_result(message.data)

        await raw.subscribe(inbox, cb=answered)
        ours = Meter({"client": os.getpid(), "worker": here.workers[0], "server": here.server})
        theirs = Meter({"client": os.getpid(), "worker": worker, "server": here.server})

        async def task(lane: int = 0) -> None:
            handle = await client.tell(f"echo-{lane}", PAYLOAD)
            result = await handle.result(timeout=30)
            assert result.data == PAYLOAD, result

        async def raw_task() -> None:
            task_id = secrets.token_hex(12)
            waiting[task_id] = answer = asyncio.get_running_loop().create_future()
            headers = {"Nats-Msg-Id": task_id, "Task-Id": task_id, "Reply-To": inbox}
            await stream.publish(STORED, PAYLOAD.encode(), headers=headers)
            await answer

        async def tasks() -> Round:
            with ours.running(count):
                return await one_by_one(task, count)

        async def raw_tasks() -> Round:
            with theirs.running(count):
                return await one_by_one(raw_task, count)

        count, many = run.count(400, 80), run.count(3200, 640)
        single = await interleave(tasks, raw_tasks, run.rounds)
        used = ours.take() | theirs.take("raw_")
        crowd = []
        for _ in range(run.rounds // 2):
            with ours.running(many):
                crowd.append(await in_flight(task, many, LANES))
        await raw.close()
    p50, raw50, ratio50 = single.median("p50")
    p99, raw99, ratio99 = single.median("p99")
    other = "raw publish, pull, reply"
    return [
        Metric(
            name="durable task, told to result, p50", value=p50 * 1e3, unit="ms", beside=raw50 * 1e3,
            other=other, ratio=ratio50, goal=Goal(limit=3.0), detail={"ratios": single.spread("p50")} | used,
        ),
        Metric(
            name="durable task, told to result, p99", value=p99 * 1e3, unit="ms", beside=raw99 * 1e3,
            other=other, ratio=ratio99,
        ),
        Metric(
            name=f"durable tasks, {LANES} in flight, one worker",
            value=summary([found.rate for found in crowd]).p50, unit="/s", detail=ours.take(),
        ),
    ]  # fmt: skip
