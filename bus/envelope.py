"""Envelope: a message with its delivery data, as it stands in the headers of a NATS message.

Not responsible for the body: it stays raw bytes until the receiver decodes it once (`codec.py`).
Invariant: a deadline is local monotonic time; only what *remains* of it crosses the wire, in milliseconds.
"""

import re
from collections.abc import Mapping

import msgspec

from .errors import BadMessage

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
OP = "Actorium-Op"  # on control subjects: what is asked, where it is not the agent itself

WIRE_VERSION = "1"
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
    if headers.get(VERSION, WIRE_VERSION) != WIRE_VERSION:
        raise BadMessage(f"wire version {headers[VERSION]!r} is not spoken here, only {WIRE_VERSION}")
    task_id = headers.get(TASK_ID) or headers.get(MSG_ID, "")
    for name, value in ((TASK_ID, task_id), (CORRELATION_ID, headers.get(CORRELATION_ID, ""))):
        if value and _ID.match(value) is None:
            raise BadMessage(f"header {name} {value[:40]!r} must be 1 to 128 of A-Z a-z 0-9 _ . : / -")
    return Envelope(
        task_id=task_id,
        correlation_id=headers.get(CORRELATION_ID, ""),
        parent_run=headers.get(PARENT_RUN, ""),
        deadline=_deadline(headers.get(DEADLINE_MS), now),
        reply_to=_reply_to(headers.get(REPLY_TO, "")),
        traceparent=headers.get(TRACEPARENT, ""),
        blob=_blob(headers.get(BLOB, "")),
        grant=headers.get(GRANT, ""),
        wakes=_wakes(headers.get(WAKES, "")),
    )


def _deadline(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadMessage(f"header {DEADLINE_MS} {text[:40]!r} must be whole milliseconds that remain")
    return now + min(int(text) / 1000, MAX_DEADLINE)


def may_answer(subject: str) -> bool:
    """Whether a reply subject is the caller's own: we lend nobody our right to publish elsewhere."""
    return _REPLY.match(subject) is not None and subject.split(".", 1)[0] not in _INTERNAL


def _reply_to(text: str) -> str:
    if text and not may_answer(text):
        raise BadMessage(f"header {REPLY_TO} {text[:40]!r} must be a plain subject that is none of ours")
    return text


def _wakes(text: str) -> str:
    if text and _AGENT.match(text) is None:
        raise BadMessage(f"header {WAKES} {text[:40]!r} must be an agent id")
    return text


def _blob(text: str) -> str:
    if text and _DIGEST.match(text) is None:
        raise BadMessage(f"header {BLOB} {text[:40]!r} must be a SHA-256 in hex")
    return text
