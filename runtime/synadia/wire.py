"""The words of the Synadia Agent Protocol 0.3: what its subjects, requests, chunks and records say.

Pure functions of values; the edge that speaks them is `synadia.py`. The protocol's agent is our runtime, its
owner a tenant, its session an agent. Source: synadia-agent-sdk-docs, core-protocol.md, and ADR-32 for `$SRV`.
Invariant: bytes from strangers become a value or an ActoriumError, and a stream ends with an empty message.
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Self

import msgspec

from ...actors.definition import Definition
from ...actors.errors import ActorStopped, BadTask, Cancelled, HandlerFailed, Reject, UnknownAgent
from ...actors.outcome import failure
from ...bus import subjects
from ...bus.claim import LIMIT
from ...bus.codec import too_deep
from ...bus.errors import BadMessage, ConfigError, Failure, MailboxFull, NoOwner
from ...bus.task import Result, Status, Task
from .unsaid import unsaid

RUNTIME = "actorium"  # token 3 of every subject
SERVICE = "agents"
QUEUE = "agents"
MAX_PROMPT = 1024 * 1024  # bytes of a request; what "1MB" promises
ERROR_CODE = "Nats-Service-Error-Code"
ERROR = "Nats-Service-Error"
ACK = b'{"type":"status","data":"ack"}'

PIECE = LIMIT // 8  # characters of one chunk: JSON makes at most six bytes of one
TOLD = 200  # characters of an error in a header
EXPLAINED = 4000  # and in its body
CODES = {
    BadMessage.code: 400,
    BadTask.code: 400,
    ConfigError.code: 400,
    Reject.code: 400,
    UnknownAgent.code: 404,
    ActorStopped.code: 409,
    Cancelled.code: 409,
    MailboxFull.code: 429,
}
RETRY_AFTER = {MailboxFull.code: 1, NoOwner.code: 5}  # seconds
_SEPARATOR = "_AT_"  # capitals stand in no token of ours, and every client takes them in an id

Headers = dict[str, str]


class Face(msgspec.Struct, frozen=True, gc=False):
    """An agent as the protocol shows it."""

    tenant: str
    agent: str
    description: str = ""

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """The face of a defined agent."""
        return cls(definition.tenant, definition.name, definition.description)

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and agent."""
        return self.tenant, self.agent


class Attachment(msgspec.Struct, frozen=True):
    """A file that came with a prompt: a name nobody vouches for, and standard base64."""

    filename: str
    content: str


def subject(verb: str, tenant: str, agent: str) -> str:
    """The subject of an agent's verb; `*` stands for every tenant or agent."""
    return f"agents.{verb}.{RUNTIME}.{tenant}.{agent}"


def addressed(subject: str) -> tuple[str, str]:
    """Tenant and agent of a prompt or status subject.

    Raises:
        UnknownAgent: No agent can be called so.
    """
    *_, tenant, agent = subject.split(".")
    try:
        return subjects.token(tenant, "tenant"), subjects.token(agent, "agent id")
    except ConfigError as error:
        raise UnknownAgent(error.message) from error


def instance_id(tenant: str, agent: str) -> str:
    """The service id of an agent: the same on every worker, so that a failover looks like nothing."""
    return f"{agent}{_SEPARATOR}{tenant}"


def read_instance(instance: str) -> tuple[str, str] | None:
    """Tenant and agent of a service id; None where it is none of ours."""
    agent, _, tenant = instance.partition(_SEPARATOR)
    try:
        return subjects.token(tenant), subjects.token(agent)
    except ConfigError:
        return None


def read_call(subject: str) -> tuple[str, str] | None:
    """Verb and instance (empty: all) of a question on `$SRV`; None where we have no answer to it."""
    match subject.split("."):
        case ["$SRV", "PING" | "INFO" | "STATS" as verb] | [
            "$SRV",
            "PING" | "INFO" | "STATS" as verb,
            "agents",
        ]:
            return verb, ""
        case ["$SRV", "PING" | "INFO" | "STATS" as verb, "agents", instance]:
            return verb, instance
    return None


def read_prompt(payload: bytes) -> Task:
    """The task in a request: the prompt is its spec, attachments stand in its inputs.

    Raises:
        BadMessage: Empty, larger than MAX_PROMPT, neither UTF-8 text nor an object with a prompt, or an
            attachment without a name or in another alphabet.
    """
    if len(payload) > MAX_PROMPT:
        raise BadMessage(f"the request has {len(payload)} bytes, and max_payload is {MAX_PROMPT}")
    body = payload.lstrip(b" \t\r\n")
    fields = _object(body) if body.startswith(b"{") else {"prompt": _text(payload)}
    prompt = fields.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise BadMessage('the prompt must be text: {"prompt": "..."}')
    if not prompt or not prompt.strip():
        raise BadMessage('the prompt is empty: send plain text, or {"prompt": "..."}')
    attachments = _attachments(fields.get("attachments"))
    return Task(spec=prompt, inputs={"attachments": attachments} if attachments else None)


def _object(body: bytes) -> dict[str, object]:
    if too_deep(body):
        raise BadMessage("the request nests too deep, or its brackets do not match")
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadMessage(f"the request begins with {{ and is no JSON: {error}") from error


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise BadMessage(f"neither JSON nor UTF-8 text: {error.reason} at byte {error.start}") from error


def _attachments(told: object) -> list[dict[str, str]]:
    try:
        attachments = msgspec.convert([] if told is None else told, list[Attachment])
        for attachment in attachments:
            base64.b64decode(attachment.content, validate=True)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadMessage(f'each attachment needs "filename" and "content" in base64: {error}') from error
    return [msgspec.structs.asdict(attachment) for attachment in attachments]


def closing(result: Result, said: str = "") -> Iterator[tuple[bytes, Headers | None]]:
    """The messages that end a stream: what was not `said` yet, in pieces, why it failed, the empty one."""
    try:
        text = _said(result.data)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError) as error:
        result, text = failure(HandlerFailed(f"the agent answered what JSON cannot hold: {error}")), ""
    for payload in responses(unsaid(said, text)):
        yield payload, None
    if result.status is not Status.SUCCESS:
        message = result.error or "the task did not succeed"
        yield error_frame(result.failure or Failure(code=str(result.status), message=message))
    yield b"", None


def responses(text: str) -> Iterator[bytes]:
    """A text as chunks."""
    for start in range(0, len(text), PIECE):
        yield msgspec.json.encode({"type": "response", "data": _clean(text[start : start + PIECE])})


def query(about: str, reply_subject: str, prompt: str) -> bytes:
    """A question to the caller, who publishes one message on the subject."""
    data = {"id": about, "reply_subject": reply_subject, "prompt": _clean(prompt)}
    return msgspec.json.encode({"type": "query", "data": data})


def _said(data: object) -> str:
    """An answer as text: as it is, or as JSON; an agent that returned nothing says nothing."""
    if data is None or isinstance(data, str):
        return _clean(data or "")
    return msgspec.json.encode(data).decode()


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()  # half a surrogate pair is no UTF-8


def error_frame(told: Failure) -> tuple[bytes, Headers]:
    """The message that reports an error: for people in headers, for programs in the body."""
    line = " ".join(told.message.split())[:TOLD].encode("ascii", "replace").decode()
    body: dict[str, object] = {"error": _clean(told.code), "message": _clean(told.message[:EXPLAINED])}
    if told.code in RETRY_AFTER:
        body["retry_after_s"] = RETRY_AFTER[told.code]
    headers = {ERROR_CODE: str(CODES.get(told.code, 500)), ERROR: line or "the task failed"}
    return msgspec.json.encode(body), headers


def heartbeat(key: tuple[str, str], now: float, interval: float, told: Mapping[str, object]) -> bytes:
    """A heartbeat, which is also the answer to `status`.

    Args:
        now: Wall clock, seconds since 1970.
        interval: Seconds between two of them.
        told: What else is known of the agent.
    """
    tenant, agent = key
    beat = {
        "agent": RUNTIME,
        "owner": tenant,
        "session": agent,
        "instance_id": instance_id(tenant, agent),
        "ts": timestamp(now),
        "interval_s": max(1, round(interval)),
    }
    return msgspec.json.encode({**told, **beat})


def timestamp(now: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ping_record(face: Face, version: str) -> dict[str, object]:
    """The answer to `$SRV.PING` for one agent; the version is that of the runtime."""
    return {
        "type": "io.nats.micro.v1.ping_response",
        "name": SERVICE,
        "id": instance_id(face.tenant, face.agent),
        "version": version,
        "metadata": {
            "agent": RUNTIME,
            "owner": face.tenant,
            "session": face.agent,
            "protocol_version": "0.3",
        },
    }


def info_record(face: Face, version: str) -> dict[str, object]:
    """The answer to `$SRV.INFO` for one agent."""
    limits = {"max_payload": f"{MAX_PROMPT // 1024**2}MB", "attachments_ok": "true"}
    return ping_record(face, version) | {
        "type": "io.nats.micro.v1.info_response",
        "description": face.description,
        "endpoints": [
            _endpoint("prompt", face) | {"metadata": limits},
            _endpoint("status", face) | {"metadata": {}},
        ],
    }


def stats_record(face: Face, version: str, started: str, tally: Mapping[str, int]) -> dict[str, object]:
    """The answer to `$SRV.STATS` for one agent.

    Args:
        started: Since when this worker serves, ISO 8601.
        tally: What the agent did since it came alive; all its tasks count as prompts, whoever asked.
    """
    return ping_record(face, version) | {
        "type": "io.nats.micro.v1.stats_response",
        "started": started,
        "endpoints": [
            _endpoint("prompt", face) | _counted(tally),
            _endpoint("status", face) | _counted({}),
        ],
    }


def _counted(tally: Mapping[str, int]) -> dict[str, object]:
    count, busy = tally.get("total_tasks", 0), tally.get("busy_ms", 0) * 1_000_000  # nanoseconds
    return {
        "num_requests": count,
        "num_errors": tally.get("failed_tasks", 0),
        "last_error": "",
        "processing_time": busy,
        "average_processing_time": busy // max(1, count),
    }


def _endpoint(verb: str, face: Face) -> dict[str, object]:
    return {"name": verb, "subject": subject(verb, face.tenant, face.agent), "queue_group": QUEUE}
