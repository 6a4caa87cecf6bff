"""Raw: the same work with nats-py and nothing else, in a process of its own, on uvloop.

`respond` answers requests; `work` takes stored messages one by one, answers them and acknowledges them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats
import uvloop
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig

SUBJECT = "raw.echo"
STREAM = "RAW"
STORED = "rawq.work"


@asynccontextmanager
async def other_process(role: str, url: str) -> AsyncIterator[int]:
    """The pid of a process that does the raw work, ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, role, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        await process.wait()


async def _respond(url: str) -> None:
    client = await nats.connect(url)

    async def answer(message: Msg) -> None:
        await client.publish(message.reply, message.data)

    await client.subscribe(SUBJECT, cb=answer)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _work(url: str) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=["rawq.>"], retention="workqueue")
    pull = await stream.pull_subscribe(STORED, "worker", STREAM, config=ConsumerConfig(ack_wait=60))
    print("ready", flush=True)
    while True:
        with suppress(NatsTimeoutError):
            for message in await pull.fetch(1, timeout=30):
                headers = message.headers or {}
                await client.publish(
                    headers["Reply-To"], message.data, headers={"Task-Id": headers["Task-Id"]}
                )
                await message.ack()


if __name__ == "__main__":
    uvloop.run({"respond": _respond, "work": _work}[sys.argv[1]](sys.argv[2]))
