"""JetStream: the server's storage API, spoken raw over a nats-py connection.

Raw because the answers differ between servers (docs/architecture.md, "Three servers") and the whole answer is
needed to tell them apart. Not responsible for retries: callers know which of theirs are safe.
Invariant: reads go to the stream's leader (`STREAM.MSG.GET`), never to a replica that may be behind.
"""

from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from nats import errors as nats_errors
from nats.aio.client import Client

from .errors import BusClosed, BusError, BusLost, ConfigError, DeadlineExceeded, NoOwner
from .port import Message, Past

WRONG_LAST = frozenset({10071, 10164})
MAILBOX_FULL = 10077
DUPLICATE_IN_FLIGHT = 10158
NO_STREAM = 10059
NO_CONSUMER = 10014
NO_MESSAGE = 10037
NOT_DELETED = 10057
NOT_FOUND = 404
UNMADE = "0001-01-01T"  # when a stream was made that the server has only begun to make
Json = dict[str, Any]  # of the storage API: too wide and too varied for types of ours


class ApiError(Exception):
    """The server's own refusal. `code` is HTTP-like, `err_code` the JetStream number."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{description} ({code}/{err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


class Refusal(msgspec.Struct):
    """Why the server refused, as it says it."""

    code: int = 500
    err_code: int = 0
    description: str = "unknown"


class PubAck(msgspec.Struct):
    """The answer to a stored publish. `seq` 0 is *not* an acknowledgement."""

    seq: int = 0
    duplicate: bool = False
    stream: str = ""
    error: Refusal | None = None


class _Raw(msgspec.Struct):
    subject: str
    seq: int
    data: str = ""
    hdrs: str = ""
    time: str = ""


class _Got(msgspec.Struct):
    message: _Raw | None = None
    error: Refusal | None = None


class _Failed(msgspec.Struct):
    error: Refusal | None = None


_ack = msgspec.json.Decoder(PubAck)
_got = msgspec.json.Decoder(_Got)
_failed = msgspec.json.Decoder(_Failed)


async def request(
    client: Client, subject: str, payload: bytes, headers: Mapping[str, str] | None, timeout: float
) -> Message:
    """A core request whose three failures are told apart.

    Raises:
        NoOwner: Nobody listens there.
        DeadlineExceeded: No reply in time.
        BusLost: The connection is closed or away: nats-py would send it later, to nobody's knowledge.
    """
    if not (client.is_connected or client.is_closed):
        raise BusLost(f"not connected, nothing was asked of {subject}", subject=subject)
    try:
        reply = await client.request(subject, payload, timeout, headers=dict(headers) if headers else None)
    except nats_errors.NoRespondersError as error:
        raise NoOwner(f"nobody listens on {subject}", subject=subject) from error
    except nats_errors.TimeoutError as error:
        raise DeadlineExceeded(f"no reply from {subject} in {timeout:g} s", subject=subject) from error
    except (nats_errors.Error, OSError) as error:
        raise explained(error, subject) from error
    return Message(reply.subject, reply.data, reply.headers, reply.reply)


class JetStream:
    """The storage API of one connection.

    Args:
        client: A connected nats-py client.
        timeout: Seconds to wait for one answer; 3 or less, callers try again.
    """

    def __init__(self, client: Client, timeout: float = 3.0) -> None:
        self._client = client
        self._timeout = timeout
        self._whole: set[str] = set()

    async def api(self, verb: str, body: Json | None = None) -> Json:
        """Call `$JS.API.<verb>` and return the whole answer.

        Raises:
            ApiError: The server refused.
            NoOwner: JetStream is not enabled.
            DeadlineExceeded: No answer; it may have happened.
            BusLost: The connection went away; it may have happened.
        """
        payload = msgspec.json.encode(body) if body is not None else b""
        reply = await request(self._client, f"$JS.API.{verb}", payload, None, self._timeout)
        _refuse(_failed.decode(reply.payload).error)
        answer: Json = msgspec.json.decode(reply.payload)
        return answer

    async def publish(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> PubAck:
        """Publish once and return the server's answer, whatever it says; raises as `api`.

        Args:
            timeout: Seconds, where less than the connection's own.
        """
        patience = self._timeout if timeout is None else max(0.001, min(timeout, self._timeout))
        reply = await request(self._client, subject, payload, headers, patience)
        try:
            ack = _ack.decode(reply.payload)
        except msgspec.DecodeError as error:
            raise ApiError(500, 0, f"somebody else than a stream answers on {subject}") from error
        _refuse(ack.error)
        return ack

    async def whole(self, stream: str) -> None:
        """Make sure, once for each stream, that it may be read.

        A read of a stream that is just being made ends the whole server: 2.9.10 within three streams, read in
        a loop while they were made. Asking for its state without subjects did not, in 60, and tells.

        Raises:
            ApiError: There is no such stream.
            BusLost: It is being made right now; ask again. Else as `api`.
        """
        if stream in self._whole:
            return
        if (await self.api(f"STREAM.INFO.{stream}"))["created"].startswith(UNMADE):
            raise BusLost(f"stream {stream} is being made: ask again", stream=stream)
        self._whole.add(stream)

    async def get(
        self, stream: str, *, seq: int | None = None, next_by: str | None = None, last_by: str | None = None
    ) -> Past | None:
        """One stored message from the leader: by sequence, the next on a subject from `seq`, or the last.

        None where there is none; raises as `whole`.
        """
        await self.whole(stream)
        query: Json = {"last_by_subj": last_by} if last_by else {"seq": seq or 0}
        if next_by:
            query = {**query, "next_by_subj": next_by}
        subject = f"$JS.API.STREAM.MSG.GET.{stream}"
        reply = await request(self._client, subject, msgspec.json.encode(query), None, self._timeout)
        got = _got.decode(reply.payload)
        if got.error is not None and got.error.code == NOT_FOUND and got.error.err_code == NO_MESSAGE:
            return None
        _refuse(got.error)
        return _past(got.message) if got.message else None


def explained(error: Exception, subject: str) -> BusLost | ConfigError:
    """Our error for one of nats-py."""
    if isinstance(error, nats_errors.BadSubjectError):
        return ConfigError(f"subject {subject!r} is none", subject=subject)
    if isinstance(error, nats_errors.ConnectionClosedError):
        return BusClosed(f"the bus is closed, nothing goes to {subject}", subject=subject)
    return BusLost(f"connection lost at {subject}: {error}", subject=subject)


def refused(error: ApiError, stream: str) -> BusError | ConfigError:
    """The error for a user of a refusal that no retry cures."""
    if error.err_code == NO_STREAM:
        return ConfigError(f"stream {stream} does not exist: `actorium up` makes it", stream=stream)
    return BusError(f"stream {stream}: {error}", stream=stream)


def _refuse(error: Refusal | None) -> None:
    if error is not None:
        raise ApiError(error.code, error.err_code, error.description)


def _past(raw: _Raw) -> Past:
    headers = _headers(b64decode(raw.hdrs)) if raw.hdrs else None
    message = Message(raw.subject, b64decode(raw.data), headers)
    return Past(raw.seq, _seconds(raw.time), message)


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _seconds(text: str) -> float:
    """RFC 3339 with up to nine decimals, which `fromisoformat` of 3.11 does not read."""
    if not text:
        return 0.0
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z")
    zone = "+00:00"
    for sign in "+-":
        if sign in digits:
            digits, _, offset = digits.partition(sign)
            zone = sign + offset
    return datetime.fromisoformat(whole.rstrip("Z") + zone).timestamp() + float(f"0.{digits or 0}")
