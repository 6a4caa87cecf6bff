"""Write: one compare-and-set publish to a stream, carried on until it is known whether it stands.

The rule (docs/architecture.md, "Three servers"): no `Nats-Msg-Id` beside the expected sequence, for what the
server answers to a retry with both differs by version and replicas. On anything but an ack with a sequence
the stream's leader is asked for the message behind the expected one: ours, we are done; another's, we lost;
none, the same is sent again. Measured with leaders killed: none lost, none doubled, none out of order.
Not responsible for what losing means. Invariant: `settle` returns only the sequence of this very write.
"""

from collections.abc import Mapping

import msgspec

from ..bus.jetstream import DUPLICATE_IN_FLIGHT, WRONG_LAST, ApiError, JetStream
from ..bus.patience import SILENCE, Patience, Tries, is_silence
from ..bus.port import Past
from .errors import StorageError, StoreUnavailable

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID = "Nats-Msg-Id"
WRITE_ID = "Actorium-Write"


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, where, and behind which message of its subject.

    Attributes:
        after: The sequence of the subject's last message; 0: it must have none.
        id: Sent along, and compared to know the write again. Empty: the payload is unique and is compared.
    """

    stream: str
    subject: str
    payload: bytes
    after: int
    id: str = ""
    headers: Mapping[str, str] = {}

    def is_mine(self, past: Past) -> bool:
        """Whether a stored message is this write."""
        if self.id:
            return (past.message.headers or {}).get(WRITE_ID) == self.id
        return past.message.payload == self.payload


class Overtaken(Exception):
    """Another message stands where ours should; or, with none standing, the expected one is gone.

    Attributes:
        sure: Ours was never stored. Else an attempt had no answer: in a stream that keeps one message for
            each subject ours may have been stored and replaced.
    """

    def __init__(self, standing: Past | None, *, sure: bool) -> None:
        super().__init__("another message stands there")
        self.standing = standing
        self.sure = sure


async def settle(js: JetStream, write: Write, patience: Patience) -> int:
    """Publish until it is known whether the write stands.

    Cancellation: it may stand.

    Returns:
        Its sequence.

    Raises:
        Overtaken: Another one stands there.
        StoreUnavailable: The server did not answer in time; it may stand.
        StorageError: The server refused it for good; nothing was written.
    """
    headers = {EXPECTED: str(write.after), **write.headers}
    if write.id:
        headers[WRITE_ID] = write.id
    tries: Tries | None = None
    doubt = False
    while True:
        seq, refused = await _send(js, write, headers, doubt=doubt)
        if seq:
            return seq
        doubt = doubt or not refused
        try:
            standing = await _standing(js, write, refused=refused)
        except (*SILENCE, ApiError) as error:
            if not is_silence(error):
                raise StoreUnavailable(f"{write.subject} cannot be read back: {error}") from error
        except Overtaken as lost:
            raise Overtaken(lost.standing, sure=not doubt) from None
        else:
            if standing:
                return standing
        tries = tries or Tries(patience)
        if not await tries.again():
            text = f"{write.subject}: no answer in {patience.seconds:g} s, the write may stand"
            raise StoreUnavailable(text, subject=write.subject)


async def _send(js: JetStream, write: Write, headers: dict[str, str], *, doubt: bool) -> tuple[int, bool]:
    """The sequence, or 0 and whether the server refused it because of the expected one."""
    try:
        return (await js.publish(write.subject, write.payload, headers)).seq, False
    except SILENCE:
        return 0, False
    except ApiError as error:
        if error.err_code in WRONG_LAST:
            return 0, True
        if error.err_code == DUPLICATE_IN_FLIGHT or is_silence(error):
            return 0, False
        kind = StoreUnavailable if doubt else StorageError
        raise kind(f"{write.subject}: the server refused: {error}", subject=write.subject) from error


async def _standing(js: JetStream, write: Write, *, refused: bool) -> int:
    """The sequence of our write where it stands, 0 where nothing does; raises Overtaken."""
    found = await js.get(write.stream, seq=write.after + 1, next_by=write.subject)
    if found is not None:
        if write.is_mine(found):
            return found.seq
        raise Overtaken(found, sure=True)
    if refused and write.after:
        # Refused although nothing follows: another's is on its way (send again), or ours to follow is gone.
        last = await js.get(write.stream, last_by=write.subject)
        if last is None or last.seq < write.after:
            raise Overtaken(last, sure=True)
    return 0


async def settle_blind(
    js: JetStream,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str],
    patience: Patience,
    *,
    write_id: str,
) -> int:
    """Publish over whatever stands there, until it is acknowledged; a repeat within two minutes is none.

    Cancellation: it may stand.

    Raises:
        StoreUnavailable: The server did not answer in time; it may stand.
        StorageError: The server refused it.
    """
    every = {**headers, MESSAGE_ID: write_id, WRITE_ID: write_id}
    tries = Tries(patience)
    while True:
        try:
            # Sequence 0 is no receipt: the first copy is still on its way.
            if seq := (await js.publish(subject, payload, every)).seq:
                return seq
        except (*SILENCE, ApiError) as error:
            if not is_silence(error) and getattr(error, "err_code", 0) != DUPLICATE_IN_FLIGHT:
                raise StorageError(f"{subject}: the server refused: {error}", subject=subject) from error
        if not await tries.again():
            text = f"{subject}: no answer in {patience.seconds:g} s, the write may stand"
            raise StoreUnavailable(text, subject=subject)
