"""Codec: bytes from strangers become a Task or a Result, or a BadMessage that says why.

Not responsible for headers (`envelope.py`) nor for bodies too large to travel (`claim.py`).
Invariant: size and depth are checked before anything is decoded, in time linear in the size.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from .errors import BadMessage
from .task import Event, Result, Task
from .value import JsonObject

MAX_BODY = 8 * 1024 * 1024  # bytes, after the claim check
MAX_DEPTH = 32

T = TypeVar("T")

_STRING = re.compile(
    rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL
)  # the unterminated too, else it is quadratic
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")

_REST = frozenset({"inputs", "constraints"})  # fields of a Task that has neither action nor spec
_QUEUED = frozenset({"task", "payload"})

_encoder = msgspec.json.Encoder()
_object = msgspec.json.Decoder(JsonObject)
_task = msgspec.json.Decoder(Task)
_result = msgspec.json.Decoder(Result)
_event = msgspec.json.Decoder(Event)


def read_task(payload: bytes) -> Task:
    """The task in a message body.

    A JSON object with `action` or `spec`, or of nothing but fields of a Task, is a Task, and so is the seeds'
    `{"task", "payload"}`; any other JSON object is the spec of one. Everything that does not begin with `{`
    is plain text: a task whose spec is that text.

    Raises:
        BadMessage: Empty, too large, too deep, broken JSON, a field of the wrong type, or no UTF-8.
    """
    check_size(payload)
    body = payload.lstrip()
    if not body:
        raise BadMessage("empty message: send plain text, or a JSON object with `action` or `spec`")
    if not body.startswith(b"{"):
        return Task(spec=_text(payload))
    task = _plain(payload)
    if task is not None:
        return task
    fields = _decode(_object, payload, "task")
    if fields.keys() == _QUEUED:
        fields = _from_queue(fields)
    if "action" not in fields and "spec" not in fields and not (fields and fields.keys() <= _REST):
        return Task(spec=fields)
    try:
        return msgspec.convert(fields, Task)
    except msgspec.ValidationError as error:
        raise BadMessage(f"no task: {error}") from error


def _plain(payload: bytes) -> Task | None:
    """The task that our own programs send, in half the time; None: it has to be looked at closer."""
    if too_deep(payload):
        return None
    try:
        task = _task.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return task if task.action or task.spec is not None else None


def _from_queue(fields: JsonObject) -> JsonObject:
    """`{"task": name, "payload": {..., "input_data": ...}}`, as the fields of a Task."""
    payload = fields["payload"]
    if not isinstance(payload, dict):
        return {"action": fields["task"], "spec": payload}
    spec = {name: value for name, value in payload.items() if name != "input_data"}
    return {"action": fields["task"], "spec": spec, "inputs": payload.get("input_data")}


def read_result(payload: bytes) -> Result:
    """The result in a message body.

    Raises:
        BadMessage: It holds none.
    """
    check_size(payload)
    return _decode(_result, payload, "result")


def read_event(payload: bytes) -> Event:
    """The event in a message body.

    Raises:
        BadMessage: It holds none.
    """
    check_size(payload)
    return _decode(_event, payload, "event")


def encode(value: msgspec.Struct) -> bytes:
    """A wire type as JSON.

    Raises:
        BadMessage: A field holds what JSON cannot say, or the whole is too large.
    """
    try:
        payload = _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError) as error:
        raise BadMessage(f"{type(value).__name__} cannot be written as JSON: {error}") from error
    check_size(payload)
    return payload


def check_size(payload: bytes) -> None:
    """Refuse what nobody should hold in memory.

    Raises:
        BadMessage: More than MAX_BODY bytes.
    """
    if len(payload) > MAX_BODY:
        raise BadMessage(
            f"{len(payload)} bytes, and a body may have {MAX_BODY}: pass a path or a blob's hash instead",
            size=str(len(payload)),
        )


def check_frame(subject: str, payload: bytes, headers: Mapping[str, str] | None, limit: int) -> None:
    """Refuse what the server would answer by closing the connection; it counts headers too.

    Raises:
        BadMessage: More than `limit` bytes.
    """
    size = len(payload)
    if headers:
        size += 16 + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())
    if size > limit:
        raise BadMessage(
            f"{size} bytes to {subject}, and the server takes {limit}: pass the body as a blob, "
            "or raise max_payload of the server",
            size=str(size),
        )


def too_deep(payload: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON nests deeper than the limit; of text that is no JSON any answer is right."""
    if payload.count(b"[") + payload.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", payload).translate(_ONE_KIND, _NO_BRACKET)
    for _ in range(limit):  # each pass peels the innermost level off, at the speed of C
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _decode(decoder: msgspec.json.Decoder[T], payload: bytes, what: str) -> T:
    if too_deep(payload):
        raise BadMessage(f"no {what}: nests deeper than {MAX_DEPTH}, or its brackets do not match")
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadMessage(f"no {what}: {error}") from error


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise BadMessage(f"neither JSON nor UTF-8 text: {error.reason} at byte {error.start}") from error
