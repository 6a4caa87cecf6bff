"""How many stored messages can one process take and acknowledge, beside nats-py's own pull?"""

import itertools
import os
import time

import nats
from interleave import Round, interleave
from metric import Goal, Metric, Run
from nats.js.client import JetStreamContext
from node import nats_server
from process import Meter
from raw import STORED, STREAM

from actorium.bus import subjects
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import connect_bus, prepare

PAYLOAD = b"x" * 256
PART = 0
BATCH = 256
AGENTS = 64  # a mailbox holds 1000 tasks, so they are spread over some


async def measure(run: Run) -> list[Metric]:
    count = run.count(20000, 3000)
    async with nats_server() as server:
        settings = Settings(nats=NatsSettings(url=server.url))
        bus = await connect_bus(settings.nats, "bench")
        await prepare(settings, bus)
        raw = await nats.connect(server.url)
        stream = raw.jetstream()
        await stream.add_stream(name=STREAM, subjects=["rawq.>"], retention="workqueue")
        pull = await stream.pull_subscribe(STORED, "worker", STREAM)
        roles = {"process": os.getpid(), "server": server.at.pid}
        ours, theirs = Meter(roles), Meter(roles)
        epochs = itertools.count(1)

        async def feed() -> Round:
            await _fill(stream, [subjects.inbox(PART, "default", f"a{n}") for n in range(AGENTS)], count)
            found = await bus.feed(PART, next(epochs))
            left = count
            with ours.running(count):
                begun = time.perf_counter()
                async for delivered in found:
                    await found.ack(delivered.token)
                    left -= 1
                    if not left:
                        break
                await bus.client.flush()
                taken = time.perf_counter() - begun
            await found.close()
            return Round(0.0, 0.0, count / taken)

        async def fetch() -> Round:
            await _fill(stream, [STORED], count)
            left = count
            with theirs.running(count):
                begun = time.perf_counter()
                while left:
                    for message in await pull.fetch(min(BATCH, left), timeout=5):
                        await message.ack()
                        left -= 1
                await raw.flush()
                taken = time.perf_counter() - begun
            return Round(0.0, 0.0, count / taken)

        compared = await interleave(feed, fetch, 5)
        await raw.close()
        await bus.close()
    rate, raw_rate, ratio = compared.median("rate")
    return [
        Metric(
            name="stored messages taken and acked", value=rate, unit="/s", beside=raw_rate,
            other="nats-py pull", ratio=ratio, goal=Goal(limit=40000, at_most=False),
            detail={"ratios": compared.spread("rate"), "batch": BATCH} | ours.take() | theirs.take("raw_"),
        )
    ]  # fmt: skip


async def _fill(stream: JetStreamContext, names: list[str], count: int) -> None:
    """Store so many messages, 500 on their way at once."""
    for start in range(0, count, 500):
        sent = [
            await stream.publish_async(names[n % len(names)], PAYLOAD)
            for n in range(start, min(count, start + 500))
        ]
        for ack in sent:
            await ack
