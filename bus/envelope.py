"""Envelope: a message with its delivery data, as it stands in the headers of a NATS message.

Not responsible for the body: it stays raw bytes until the receiver decodes it once (`codec.py`).
Invariant: a deadline is local monotonic time; only what *remains* of it crosses the wire, in milliseconds.
"""

import re
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from .errors import BadMessage
from .value import JsonObject

MSG_ID = "Nats-Msg-Id"
EXPECTED_STREAM = "Nats-Expected-Stream"
TASK_ID = "Task-Id"
CORRELATION_ID = "Correlation-Id"
PARENT_RUN = "Parent-Run"
DEADLINE_MS = "Deadline-Ms"
REPLY_TO = "Reply-To"
TENANT = "Tenant"
TRACEPARENT = "traceparent"
VERSION = "Actorium-Version"
BLOB = "Actorium-Blob"
REASON = "Actorium-Reason"
GRANT = "Actorium-Grant"  # what a delegated run may spend and do, JSON
WAKES = "Actorium-Wakes"  # the agent whose run PARENT_RUN rests while the task is parked
STATE = "Actorium-State"  # of an answer that is no result: `parked`
AGENT = "Actorium-Agent"  # of an answer to a broadcast: whose it is
ONCE = "Actorium-Once"  # of a task: it is tried once
OP = "Actorium-Op"  # on control subjects: what is asked, where it is not the agent itself

WIRE_VERSION = "1"
NAMES = frozenset(
    {
        MSG_ID, EXPECTED_STREAM, TASK_ID, CORRELATION_ID, PARENT_RUN, DEADLINE_MS, REPLY_TO, TENANT,
        TRACEPARENT, VERSION, BLOB, REASON, GRANT, WAKES, STATE, AGENT, ONCE, OP,
    }
)  # fmt: skip
RELAYED = (MSG_ID, TASK_ID, CORRELATION_ID, PARENT_RUN, DEADLINE_MS, REPLY_TO, TRACEPARENT, VERSION, BLOB)
MAX_DEADLINE = 366 * 86400.0  # seconds
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_REPLY = re.compile(r"[^\s*>$.][^\s*>]{0,255}\Z")  # `$JS.API...` would make us somebody else's hand
_INTERNAL = frozenset({"inp", "led", "ctl", "dlq"})
_AGENT = re.compile(r"[a-z0-9_-]{1,63}\Z")
_ID = re.compile(r"[A-Za-z0-9_.:/-]{1,128}\Z")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery data of one message.

    Attributes:
        task_id: The logical id of the task; the same id twice is the same task. Empty: none was given.
        deadline: Local monotonic seconds when the sender stops waiting; None: never.
        reply_to: A core subject that also gets the result of a durable task.
        blob: Content hash of the real body, where it was too large to travel (claim check).
        grant: What a delegated run may spend and do, as its giver wrote it (JSON); it only ever narrows.
        wakes: The agent whose run `parent_run` gave this task: it rests while the task waits for people, and
            is woken at its end. Empty: whoever gave it keeps waiting.
        once: A plain actor tries it once: what may have happened must not happen again.
    """

    task_id: str = ""
    correlation_id: str = ""
    parent_run: str = ""
    deadline: float | None = None
    reply_to: str = ""
    traceparent: str = ""
    blob: str = ""
    grant: str = ""
    wakes: str = ""
    once: bool = False

    def headers(self, now: float) -> dict[str, str]:
        """Headers for the wire; `now` is local monotonic seconds, what remains of the deadline travels."""
        named = (
            (TASK_ID, self.task_id),
            (CORRELATION_ID, self.correlation_id),
            (PARENT_RUN, self.parent_run),
            (REPLY_TO, self.reply_to),
            (TRACEPARENT, self.traceparent),
            (BLOB, self.blob),
            (GRANT, self.grant),
            (WAKES, self.wakes),
            (ONCE, "1" if self.once else ""),
        )
        found = {name: value for name, value in named if value}
        if self.deadline is not None:
            found[DEADLINE_MS] = str(max(0, int((self.deadline - now) * 1000)))
        return found


def read_envelope(headers: Mapping[str, str] | None, now: float) -> Envelope:
    """The envelope of a received message.

    Args:
        headers: Headers as they came; None where the message had none.
        now: Local monotonic seconds at arrival.

    Raises:
        BadMessage: A version we do not speak, an id that could break a subject, a deadline that is no number.
    """
    if not headers:
        return Envelope()
    version = headers.get(VERSION, WIRE_VERSION)
    if version != WIRE_VERSION:
        raise BadMessage(f"wire version {version!r} is not spoken here, only {WIRE_VERSION}")
    found: JsonObject = {}
    for name, text in headers.items():
        if text and name in _FIELDS:  # an empty one is none
            field, read = _FIELDS[name]
            found[field] = read(name, text)
    if "task_id" not in found and is_id(headers.get(MSG_ID, "")):
        found["task_id"] = headers[MSG_ID]  # any other is the server's business alone
    if headers.get(DEADLINE_MS):
        found["deadline"] = _deadline(headers[DEADLINE_MS], now)
    return Envelope(**found)


def salvaged(headers: Mapping[str, str] | None, now: float) -> Envelope:
    """Who is told of a message that cannot be read: its id and its reply subject, where they are good."""
    good: dict[str, str] = {}
    for name in (TASK_ID, MSG_ID, REPLY_TO):
        with suppress(BadMessage):
            read_envelope(told := {name: (headers or {}).get(name, "")}, now)
            good |= told
    return read_envelope(good, now)


def _deadline(text: str, now: float) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadMessage(f"header {DEADLINE_MS} {text[:40]!r} must be whole milliseconds that remain")
    return now + min(int(text) / 1000, MAX_DEADLINE)


def may_answer(subject: str) -> bool:
    """Whether a reply subject is the caller's own: we lend nobody our right to publish elsewhere."""
    return _REPLY.match(subject) is not None and subject.split(".", 1)[0] not in _INTERNAL


def is_id(text: str) -> bool:
    """Whether a task can be called so."""
    return _ID.match(text) is not None


def _id(name: str, text: str) -> str:
    if _ID.match(text) is None:
        raise BadMessage(f"header {name} {text[:40]!r} must be 1 to 128 of A-Z a-z 0-9 _ . : / -")
    return text


def _reply_to(name: str, text: str) -> str:
    if not may_answer(text):
        raise BadMessage(f"header {name} {text[:40]!r} must be a plain subject that is none of ours")
    return text


def _agent(name: str, text: str) -> str:
    if _AGENT.match(text) is None:
        raise BadMessage(f"header {name} {text[:40]!r} must be an agent id")
    return text


def _blob(name: str, text: str) -> str:
    if _DIGEST.match(text) is None:
        raise BadMessage(f"header {name} {text[:40]!r} must be a SHA-256 in hex")
    return text


def _any(_: str, text: str) -> str:
    return text


def _flag(_: str, text: str) -> bool:
    return text == "1"


_FIELDS = {
    TASK_ID: ("task_id", _id),
    CORRELATION_ID: ("correlation_id", _id),
    PARENT_RUN: ("parent_run", _any),
    REPLY_TO: ("reply_to", _reply_to),
    TRACEPARENT: ("traceparent", _any),
    BLOB: ("blob", _blob),
    GRANT: ("grant", _any),
    WAKES: ("wakes", _agent),
    ONCE: ("once", _flag),
}
