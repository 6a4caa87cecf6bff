"""ApprovalWindow: approvals for any NATS client: a request on `agents.<id>.approvals`, a reply in JSON.

An empty request gets the open questions of that agent's runs; `{"id", "verdict", "hash"?, "arguments"?,
"text"?, "by"?}` answers one of them; what is wrong comes back as `{"failure": {...}}`. Who may ask is decided
by the permissions of the subject. Invariant: questions of other agents and tenants are neither shown nor
answered.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ..actors.runs.approval import Pending, Verdict
from ..bus import subjects
from ..bus.codec import too_deep
from ..bus.errors import ActoriumError, BadMessage, ConfigError
from ..bus.port import Message
from ..bus.value import Json, JsonObject
from ..storage.errors import NotFound
from .approval_desk import ApprovalDesk, described
from .courier import BusCourier
from .namespace import Namespace

ROOM = 512 * 1024  # bytes of a reply; what does not fit shows when older questions are answered


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says to a question."""

    id: str
    verdict: Verdict
    hash: str = ""
    arguments: JsonObject | None = None
    text: str = ""
    by: str = ""


_replies = msgspec.json.Decoder(Reply)


class ApprovalWindow:
    """Serves the approvals subject of every agent.

    Args:
        names: The namespace.
        courier: Reaches the owners of runs.
        wall: The wall clock, seconds since 1970.
    """

    def __init__(
        self, names: Namespace, courier: BusCourier, *, wall: Callable[[], float] = time.time
    ) -> None:
        self._names = names
        self._courier = courier
        self._wall = wall

    async def serve(self, message: Message) -> None:
        """Answer a request, whatever is wrong with it."""
        try:
            told = await self._told(message)
        except ActoriumError as error:
            told = {"failure": msgspec.to_builtins(error.failure())}
        await self._names.bus.publish(message.reply, msgspec.json.encode(told))

    async def _told(self, message: Message) -> Json:
        named = subjects.parse_public(message.subject)
        if named is None:
            raise ConfigError(f"{message.subject} names no agent: a-z, 0-9, '_' and '-' only")
        tenant, agent, _ = named
        desk = ApprovalDesk(self._names, self._courier, tenant=tenant, wall=self._wall)
        found = await desk.of_agent(agent)
        if not found:
            await self._names.registry.find(tenant, agent)  # who asks a name that nobody has is told so
        if not message.payload:
            return _fitting([described(pending, self._wall()) for pending in found])
        reply = read_reply(message.payload)
        pending = await desk.answer(
            (await _meant(desk, found, reply, agent)).question,
            reply.verdict,
            seen=reply.hash,
            arguments=reply.arguments,
            text=reply.text,
            by=reply.by,
        )
        return described(pending, self._wall())


def read_reply(payload: bytes) -> Reply:
    """What somebody says to a question. Raises BadMessage."""
    if too_deep(payload):
        raise BadMessage("the answer nests too deep, or its brackets do not match")
    try:
        return _replies.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(
            f'the answer must be {{"id", "verdict", "hash"?, "arguments"?, "text"?, "by"?}}: {error}'
        ) from error


async def _meant(desk: ApprovalDesk, found: list[Pending], reply: Reply, agent: str) -> Pending:
    """The question that a reply is about; one that was answered is found too, and refused by the desk."""
    for pending in found:
        if pending.question.id == reply.id:
            return pending
    with suppress(NotFound):
        pending = await desk.show(reply.id)
        if pending.question.agent == agent:
            return pending
    told = f"agent {agent!r} has no question {reply.id!r}: an empty request lists those that are open"
    raise NotFound(told, id=reply.id)


def _fitting(told: list[JsonObject]) -> list[JsonObject]:
    """The oldest, so many as fit in a reply."""
    room, kept = ROOM, list[JsonObject]()
    for each in told:
        room -= len(msgspec.json.encode(each))
        if room < 0 and kept:
            break
        kept.append(each)
    return kept
