"""Storing: publish to a stream until the server's answer can be trusted.

The rule per answer was measured on three servers (docs/architecture.md, "Three servers"): no answer, or one
without a sequence, says nothing, and only the same id may be sent again without storing it twice.
Invariant: a `Stored` is returned for an acknowledgement with a sequence, and for nothing else.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from .envelope import MSG_ID, TASK_ID
from .errors import BusClosed, BusError, BusLost, DeadlineExceeded, MailboxFull, NoOwner, NotStored
from .jetstream import DUPLICATE_IN_FLIGHT, MAILBOX_FULL, ApiError, PubAck
from .patience import TRANSIENT, pause
from .port import Stored
from .subjects import stream_of

Send = Callable[[Mapping[str, str], float], Awaitable[PubAck]]
HELD_FOR = 2.0  # seconds until an id that is neither stored nor free counts as burnt (nats-server 2.10, R3)


class Verdict(Enum):
    """What an answer to a publish means."""

    STORED = auto()
    FULL = auto()
    HELD = auto()  # the id is in flight, or was refused and remembered: unknown
    AGAIN = auto()  # no answer: unknown
    REFUSED = auto()


def judge(answer: PubAck | BusError | ApiError) -> Verdict:
    """The meaning of one answer, or of none."""
    match answer:
        case PubAck(seq=seq):
            return Verdict.STORED if seq > 0 else Verdict.HELD
        case ApiError(err_code=code) if code == MAILBOX_FULL and "per subject" in answer.description:
            return Verdict.FULL
        case ApiError(err_code=code) if code == DUPLICATE_IN_FLIGHT:
            return Verdict.HELD
        case ApiError(err_code=code) if code in TRANSIENT:
            return Verdict.AGAIN
        case ApiError():
            return Verdict.REFUSED
        case _:
            return Verdict.AGAIN


async def store(
    send: Send, subject: str, headers: Mapping[str, str], *, msg_id: str, timeout: float
) -> Stored:
    """Publish until it is known to be stored or refused; see `Bus.store`.

    Args:
        send: Publishes once with these headers, and waits no longer than so many seconds.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + timeout
    named, held_since, fresh, attempt = {**headers, MSG_ID: msg_id}, 0.0, 0, 0
    while True:
        answer = await _once(send, named, end - clock())
        match judge(answer):
            case Verdict.STORED if isinstance(answer, PubAck):
                return Stored(answer.seq, answer.duplicate)
            case Verdict.FULL:
                raise MailboxFull(f"{subject} holds as much as it may: try again later", subject=subject)
            case Verdict.REFUSED:
                raise NotStored(f"{subject} was not stored: {answer}", subject=subject)
            case Verdict.HELD:
                held_since = held_since or clock()
                if clock() - held_since >= HELD_FOR:
                    fresh, held_since = fresh + 1, 0.0
                    named.setdefault(TASK_ID, msg_id)  # the receiver drops the second one by it
                    named[MSG_ID] = f"{msg_id}.again{fresh}"
            case _:
                held_since = 0.0
        wait = pause(attempt, random.random())
        if clock() + wait >= end:
            raise _unknown(subject, timeout, answer)
        await asyncio.sleep(wait)
        attempt += 1


async def _once(send: Send, headers: Mapping[str, str], left: float) -> PubAck | BusError | ApiError:
    try:
        return await send(headers, left)
    except BusClosed:
        raise
    except (ApiError, NoOwner, DeadlineExceeded, BusLost) as error:
        return error


def _unknown(subject: str, timeout: float, answer: PubAck | BusError | ApiError) -> BusLost:
    if not isinstance(answer, NoOwner):
        return BusLost(
            f"whether {subject} was stored is unknown after {timeout:g} s: {answer}", subject=subject
        )
    stream = stream_of(subject) or "its stream"
    return BusLost(
        f"nothing stores {subject}: the server starts, or {stream} is missing (`actorium up` makes it)",
        subject=subject,
    )
