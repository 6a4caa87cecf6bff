"""Tap: what an agent gets and says, as it happens, without its secrets.

Not responsible for what was before: `actorium ledger` has that. Invariant: it only listens. That is why asks
over the agent's partition are not tapped: a listener there would hide from callers that nobody owns it.
"""

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .answer import Answer
from .connection import agent_argument, common, connected, must_exist

if TYPE_CHECKING:
    from ...bus.port import Message
    from ..client import Client

LENGTH = 300  # characters of a body
WAITING = 1000  # messages that wait to be printed; beyond it the newest are left out


@click.command(short_help="Watch an agent's messages, live.")
@common
@agent_argument
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@click.option("--length", type=click.IntRange(1), default=LENGTH, show_default=True, help="Of a body.")
@click.option(
    "--asks", is_flag=True, help="Also agents.AGENT.ask; then callers notice late that no worker is up."
)
def tap(answer: Answer, *, agent: str, count: int | None, length: int, asks: bool) -> None:
    """Show tasks, events and results of AGENT as they come, until Ctrl-C; secrets are masked.

    Delivery: at most once. Asks of this library's own clients go to the owner directly and are not seen.
    """
    try:
        connected(answer, lambda client: _tapped(client, answer, agent, count, length, asks=asks))
    except KeyboardInterrupt:
        if count is not None:
            raise


async def _tapped(
    client: "Client", answer: Answer, agent: str, count: int | None, length: int, *, asks: bool
) -> None:
    import asyncio

    queue: asyncio.Queue[tuple[str, Message]] = asyncio.Queue(WAITING)

    def arrived(message: "Message", leaf: str) -> None:
        if queue.full():
            answer.note("messages come faster than they can be shown; some are left out")
        else:
            queue.put_nowait((leaf, message))

    for leaf, subject in _subjects(agent, client.names.partitions, asks=asks).items():
        await client.names.bus.subscribe(subject, partial(arrived, leaf=leaf))
    await must_exist(client, agent)  # behind the subscriptions: they stand when it is answered
    answer.note(f"tapping {agent}; Ctrl-C ends it")
    seen = 0
    while count is None or seen < count:
        value = _value(agent, *await queue.get(), length)
        answer.data(value, _line(value))
        seen += 1


def _subjects(agent: str, partitions: int, *, asks: bool) -> dict[str, str]:
    """What is listened to: the partitioned inbox, as both the server's mapping and the relay end there."""
    from ...bus.subjects import DEFAULT_TENANT, inbox, partition, public

    tapped = {leaf: public(DEFAULT_TENANT, agent, leaf) for leaf in ("events", "outbox")}
    tapped["inbox"] = inbox(partition(DEFAULT_TENANT, agent, partitions), DEFAULT_TENANT, agent)
    return tapped | ({"ask": public(DEFAULT_TENANT, agent, "ask")} if asks else {})


def _value(agent: str, leaf: str, message: "Message", length: int) -> JsonObject:
    from ...bus.envelope import BLOB, MSG_ID, TASK_ID
    from ..views.redaction import shown

    headers = message.headers or {}
    task = headers.get(TASK_ID) or headers.get(MSG_ID) or ""
    body = shown(message.payload, length)
    if digest := headers.get(BLOB):
        body = f"(in the object store: {digest})"
    return {"at": time.time(), "agent": agent, "leaf": leaf, "task": shown(task.encode(), 128), "body": body}


def _line(value: JsonObject) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(value["at"]))
    return f"{at} {value['leaf']:<6} {value['task']} {value['body']}".replace("  ", " ")
