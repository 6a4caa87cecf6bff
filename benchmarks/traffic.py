"""Traffic: which messages one call makes pass through the server, counted by a subscription to everything.

A stored publish, a read and a request to the storage API are each one round trip of whoever sent it; what is
in an inbox is an answer. Background (leases, pulls) is counted along: it is small where calls are many.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable

import nats
from nats.aio.msg import Msg

SHAPES = (
    (r"_INBOX\..*|.*\.reply\..*", "answers, in inboxes"),
    (r"\$JS\.ACK\..*", "acknowledgements, not waited for"),
    (r"\$JS\.API\.STREAM\.MSG\.GET\.(\S+)", r"read of \1"),
    (r"\$JS\.API\.CONSUMER\.MSG\.NEXT\..*", "pull"),
    (r"\$JS\.API\.(\w+\.\w+(?:\.\w+)?)\..*", r"storage API \1"),
    (r"\$KV\.([^.]+)\..*", r"write to bucket \1"),
    (r"(led|inp|ctl)\..*", r"\1"),
    (r"agents\.hb\..*", "heartbeats"),
    (r".*\.(events|stream|outbox|inbox|ask)", r"\1"),
)


QUIET = 1.0  # seconds: what is done behind a result is done by then
ADVISORY = "$JS.EVENT.ADVISORY."  # is only told because somebody listens


async def count_messages(url: str, call: Callable[[], Awaitable[None]], calls: int) -> dict[str, float]:
    """Messages for one call, by what they are, the most frequent first."""
    seen = Counter[str]()

    async def heard(message: Msg) -> None:
        if not message.subject.startswith(ADVISORY):
            seen[_shape(message.subject)] += 1

    await asyncio.sleep(QUIET)
    connection = await nats.connect(url)
    await connection.subscribe(">", cb=heard)
    await connection.flush()
    for _ in range(calls):
        await call()
    await asyncio.sleep(QUIET)
    await connection.close()
    return {what: round(times / calls, 2) for what, times in seen.most_common()}


def _shape(subject: str) -> str:
    """What a message is, by its subject."""
    for pattern, name in SHAPES:
        if found := re.fullmatch(pattern, subject):
            return found.expand(name)
    return subject
