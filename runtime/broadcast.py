"""Broadcast: one message to every agent of a tenant, wherever it lives.

Every worker hears it and hands it to the agents of its own partitions. Not durable: an agent that nobody owns
at that moment does not get it. Invariant: no agent gets it twice, for a partition has one owner.
"""

import secrets
import time
from collections.abc import Mapping

import msgspec

from ..actors.outcome import failure
from ..actors.port import Letter
from ..bus import subjects
from ..bus.claim import check_out
from ..bus.codec import read_task
from ..bus.envelope import AGENT, may_answer, read_envelope
from ..bus.errors import ActoriumError
from ..bus.port import Message, Subscription
from ..bus.task import Result
from .namespace import Namespace
from .partition import PartitionHost
from .post import PostOffice, Reply


class Broadcast:
    """Hands broadcasts to the agents of one worker.

    Args:
        names: The namespace.
        hosts: The partitions this worker owns, by number.
        office: Sends the answers, where the message has a reply subject.
    """

    def __init__(self, names: Namespace, hosts: Mapping[int, PartitionHost], office: PostOffice) -> None:
        self._names = names
        self._hosts = hosts
        self._office = office
        self._open: list[Subscription] = []

    async def open(self) -> None:
        """Listen."""
        for subject in (subjects.BROADCAST, f"tenants.*.{subjects.BROADCAST}"):
            self._open.append(await self._names.bus.subscribe(subject, self._heard))

    async def close(self) -> None:
        """Take no more."""
        for subscription in self._open:
            await subscription.close()
        self._open.clear()

    def _heard(self, message: Message) -> None:
        self._office.spawn(self._hand_out(message))

    async def _hand_out(self, message: Message) -> None:
        head, *rest = message.subject.split(".")
        tenant = rest[0] if head == "tenants" else subjects.DEFAULT_TENANT
        try:
            envelope = read_envelope(message.headers, time.monotonic())
            payload = await check_out(self._names.blobs, message.payload, envelope.blob)
            task = read_task(payload)
        except ActoriumError as error:
            await self._office.replier(message.reply)(failure(error))
            return
        told = msgspec.structs.replace(envelope, blob="", reply_to="")
        task_id = envelope.task_id or f"broadcast-{secrets.token_hex(8)}"
        for definition in await self._names.registry.all(tenant):
            key = (tenant, definition.name)
            host = self._hosts.get(subjects.partition(*key, self._names.partitions))
            if host is not None and not definition.stopped:
                reply = self._replier(message.reply, definition.name)
                host.offer(key, Letter(envelope=told, task_id=task_id, task=task, reply=reply))

    def _replier(self, subject: str, agent: str) -> Reply:
        async def reply(result: Result) -> None:
            if may_answer(subject):
                await self._office.answer(subject, result, {AGENT: agent})

        return reply
