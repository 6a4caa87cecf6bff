"""Dead letters: messages that could not be handled, with the reason, until somebody redrives or drops them.

Not responsible for deciding that a message is dead. Invariant: a dead letter is removed only after its
redrive is stored, so that a crash in between leaves it twice and never nowhere.
"""

from collections.abc import Sequence

import msgspec

from .envelope import CORRELATION_ID, DEADLINE_MS, MSG_ID, REASON, RELAYED, TASK_ID, is_id
from .errors import BadMessage, NoSuchMessage, NotStored
from .port import Bus, Message, Past
from .subjects import DEAD_LETTERS, ORCHESTRATOR, dead_letter, inbox, split_internal

SUBJECT = "Actorium-Subject"  # where a message came from that belongs to no agent
ERROR = "Actorium-Error"
ATTEMPTS = "Actorium-Attempts"
PREVIEW = 400  # characters
CUT = "Actorium-Cut"  # bytes the body had, where it had to be cut
LONG = 1000  # characters of a header that a letter may lose
_OURS = frozenset({REASON, ERROR, ATTEMPTS, SUBJECT, CUT, MSG_ID})


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message that could not be handled.

    Attributes:
        seq: Its number, for `show`, `redrive` and `drop`.
        reason: In a word: bad_message, no_agent, attempts, mailbox_full ...
        error: The same in a sentence.
        attempts: How often it was tried.
        at: Wall clock of the server when it was given up, seconds since 1970.
        preview: The beginning of its body.
        headers: As the message had them.
    """

    seq: int
    part: int
    tenant: str
    agent: str
    reason: str
    error: str = ""
    attempts: int = 0
    at: float = 0.0
    size: int = 0
    preview: str = ""
    headers: dict[str, str] = {}


class DeadLetters:
    """The dead letters of every agent.

    Args:
        bus: Any bus whose server has the stream DLQ.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(
        self,
        part: int,
        tenant: str,
        agent: str,
        message: Message,
        *,
        reason: str,
        error: str = "",
        attempts: int = 0,
        msg_id: str,
        origin: str = "",
    ) -> int:
        """Keep a message that could not be handled.

        Delivery: stored once per `msg_id` within the server's window. Cancellation: it may be stored.

        Args:
            origin: The subject it came from, where it belongs to no agent.

        Returns:
            The number of the dead letter.

        Raises:
            BusLost: Whether it was stored is unknown: put it again with the same id.
            NotStored: The server refused it.
        """
        kept = {name: value for name, value in (message.headers or {}).items() if name in RELAYED}
        told = {
            REASON: reason,
            ERROR: " ".join(error.split())[:1000],
            ATTEMPTS: str(attempts),
            SUBJECT: origin,
        }
        headers = kept | {name: value for name, value in told.items() if value}
        if old := kept.get(TASK_ID) or kept.get(MSG_ID):
            headers[TASK_ID] = old
        subject, body = dead_letter(part, tenant, agent), message.payload
        try:
            stored = await self._bus.store(subject, body, headers, msg_id=msg_id)
        except (BadMessage, NotStored):  # it just fitted without our headers; a stream keeps 64 KiB of them
            headers = {name: value for name, value in headers.items() if len(value) <= LONG}
            headers[CUT] = str(len(body))
            stored = await self._bus.store(subject, body[: len(body) // 2], headers, msg_id=msg_id)
        return stored.seq

    async def list(
        self, *, tenant: str = "*", agent: str = "*", after: int = 0, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Dead letters, oldest first, behind a number; of one tenant or agent where named."""
        found = await self._bus.history(DEAD_LETTERS, f"dlq.*.{tenant}.{agent}", after=after, limit=limit)
        return [_letter(past) for past in found]

    async def show(self, seq: int) -> tuple[DeadLetter, bytes]:
        """One dead letter and its whole body.

        Raises:
            NoSuchMessage: It is not there.
        """
        past = await self._past(seq)
        return _letter(past), past.message.payload

    async def redrive(self, seq: int) -> str:
        """Give a dead letter to its agent again, as a new task, and remove it.

        The new task's id is `<old id>.r<seq>`, or the receiver would know the old one and skip it;
        `Correlation-Id` stays, or becomes the old id. Cancellation: it may be stored and still be here;
        doing it again within two minutes stores nothing twice.

        Returns:
            The id of the new task.

        Raises:
            NoSuchMessage: It is not there.
            NotStored: It belongs to no agent that could get it.
            MailboxFull: The agent has as much as it may hold; the dead letter stays.
            BusLost: Unknown: do it again.
        """
        past = await self._past(seq)
        headers = dict(past.message.headers or {})
        old = headers.get(TASK_ID) or ""
        old = old if is_id(old) else f"dlq{seq}"  # what nobody could read cannot be read again
        kept = {name: value for name, value in headers.items() if name not in _OURS}
        if not is_id(kept.get(CORRELATION_ID, "")):
            kept.pop(CORRELATION_ID, None)
        task_id = kept[TASK_ID] = _suffixed(old, f".r{seq}")
        kept.setdefault(CORRELATION_ID, old)
        kept.pop(DEADLINE_MS, None)  # who waited then does not wait now
        await self._bus.store(_destination(past), past.message.payload, kept, msg_id=task_id)
        await self._bus.remove(DEAD_LETTERS, seq)
        return task_id

    async def drop(self, seq: int) -> None:
        """Remove a dead letter for good.

        Raises:
            NoSuchMessage: It is not there.
        """
        if not await self._bus.remove(DEAD_LETTERS, seq):
            raise _missing(seq)

    async def _past(self, seq: int) -> Past:
        found = await self._bus.history(DEAD_LETTERS, "dlq.*.*.*", after=seq - 1, limit=1)
        if not found or found[0].seq != seq:
            raise _missing(seq)
        return found[0]


def _letter(past: Past) -> DeadLetter:
    part, tenant, agent = split_internal(past.message.subject)
    headers, body = past.message.headers or {}, past.message.payload
    attempts = headers.get(ATTEMPTS, "")
    return DeadLetter(
        seq=past.seq,
        part=part,
        tenant=tenant,
        agent=agent,
        reason=headers.get(REASON, ""),
        error=headers.get(ERROR, ""),
        attempts=int(attempts) if attempts.isdecimal() else 0,
        at=past.at,
        size=len(body),
        preview=body[: 4 * PREVIEW].decode(errors="replace")[:PREVIEW],
        headers={name: value for name, value in headers.items() if name not in _OURS},
    )


def _destination(past: Past) -> str:
    headers = past.message.headers or {}
    origin = headers.get(SUBJECT, "")
    if CUT in headers:
        raise NotStored(f"dead letter {past.seq} was cut to fit: send the whole task again", subject=origin)
    if origin and origin != ORCHESTRATOR:
        raise NotStored(
            f"dead letter {past.seq} from {origin!r} belongs to no agent: drop it", subject=origin
        )
    return origin or inbox(*split_internal(past.message.subject))


def _suffixed(task_id: str, suffix: str) -> str:
    return task_id[: 128 - len(suffix)] + suffix


def _missing(seq: int) -> NoSuchMessage:
    return NoSuchMessage(
        f"there is no dead letter {seq}: `actorium dlq ls` shows those there are", seq=str(seq)
    )
