"""The Messages wire of Anthropic, inward: the events of a stream put together to one response.

Pure: no network, no SDK. Invariant: a block that we do not read is kept as it came.
Source: anthropic 2.11 `types/raw_message_stream_event.py`, `types/shared/error_type.py`.
"""

import msgspec

from .errors import ModelError
from .partial import arguments_of
from .port import (
    CallDelta,
    Json,
    JsonObject,
    ModelResponse,
    OnDelta,
    Opaque,
    Part,
    StopReason,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    Usage,
)
from .status import cut, failed

STOPS = {reason.value: reason for reason in StopReason} | {
    "model_context_window_exceeded": StopReason.CONTEXT_OVERFLOW
}
STATUS = {  # of errors that come inside an answer whose own status was 200
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class _Error(msgspec.Struct, frozen=True):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: JsonObject = {}
    content_block: JsonObject = {}
    delta: JsonObject = {}
    usage: JsonObject = {}
    error: _Error = _Error()


class Block:
    """A content block while it grows: as it began, and the pieces of its texts."""

    def __init__(self, begun: JsonObject) -> None:
        self.begun = begun
        self.pieces: dict[str, list[str]] = {}

    def add(self, delta: JsonObject) -> None:
        """Take a delta: texts grow, citations are listed, all else is set."""
        for field, value in delta.items():
            if field == "type":
                continue
            if field == "citation":
                listed = self.begun.get("citations")
                self.begun["citations"] = [*(listed if isinstance(listed, list) else []), value]
            elif isinstance(value, str):
                self.pieces.setdefault(field, []).append(value)
            else:
                self.begun[field] = value

    def part(self) -> Part:
        """The whole block as a part."""
        block = dict(self.begun)
        written = "".join(self.pieces.pop("partial_json", ()))
        for field, pieces in self.pieces.items():
            begun = block.get(field)
            block[field] = (begun if isinstance(begun, str) else "") + "".join(pieces)
        given, unparsed = arguments_of(written or block.get("input"))
        match block:
            case {"type": "text", "text": str(text), **rest}:
                return Text(text, rest)
            case {"type": "tool_use", "id": str(name), "name": str(tool), **rest}:
                rest.pop("input", None)
                return ToolCall(id=name, name=tool, arguments=given, unparsed=unparsed, extra=rest)
        if written:
            block["input"] = given
        return Opaque(block)


class Answer:
    """A response while it grows. `take` its events; `response` it is once the last one came."""

    def __init__(self, model: str, on_delta: OnDelta | None) -> None:
        self._model = model
        self._tell = on_delta
        self._blocks: dict[int, Block] = {}
        self._message: JsonObject = {}
        self._usage: JsonObject = {}
        self._decoder = msgspec.json.Decoder(_Event)
        self._ended = False

    def take(self, data: bytes) -> bool:
        """Take one event; True: it was the last.

        Raises:
            ModelError: The event is an error, or no event of this wire.
        """
        try:
            event = self._decoder.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise self.spent(cut(self._model, f"an event that cannot be read: {error}")) from error
        match event.type:
            case "content_block_delta":
                self._grow(event)
            case "content_block_start":
                self._start(event)
            case "message_start":
                self._message = event.message
                self._count(event.message.get("usage"))
            case "message_delta":
                self._message |= event.delta
                self._count(event.usage)
            case "message_stop":
                self._ended = True
            case "error":
                status = STATUS.get(event.error.type, 500)
                kind, words = event.error.type, event.error.message
                raise self.spent(failed(self._model, status, words, code=kind, begun=bool(self._message)))
        return self._ended

    def _start(self, event: _Event) -> None:
        self._blocks[event.index] = Block(event.content_block)
        if self._tell is None:
            return
        match event.content_block:
            case {"type": "tool_use", "id": str(name), "name": str(tool)}:
                self._tell(CallDelta(index=event.index, id=name, name=tool))
            case {"type": "text", "text": str(text)} if text:
                self._tell(TextDelta(text))

    def _grow(self, event: _Event) -> None:
        block = self._blocks.get(event.index)
        if block is None:
            raise self.spent(cut(self._model, f"a piece of block {event.index}, which never began"))
        block.add(event.delta)
        if self._tell is None:
            return
        match event.delta:
            case {"text": str(text)}:
                self._tell(TextDelta(text))
            case {"thinking": str(text)}:
                self._tell(ThinkingDelta(text))
            case {"partial_json": str(text)} if block.begun.get("type") == "tool_use":
                self._tell(CallDelta(index=event.index, fragment=text))

    def _count(self, usage: Json) -> None:
        if isinstance(usage, dict):  # numbers here are totals so far; None: not told again
            self._usage |= {field: value for field, value in usage.items() if value is not None}

    def usage(self) -> Usage | None:
        """The tokens so far; None: the provider did not tell."""
        if not self._usage:
            return None
        count = self._usage.get
        read, write = _int(count("cache_read_input_tokens")), _int(count("cache_creation_input_tokens"))
        details = count("output_tokens_details")
        return Usage(
            input=_int(count("input_tokens")) + read + write,
            output=_int(count("output_tokens")),
            cache_read=read,
            cache_write=write,
            reasoning=_int(details.get("thinking_tokens")) if isinstance(details, dict) else 0,
        )

    def spent(self, error: ModelError) -> ModelError:
        """The error, with the tokens that are spent all the same."""
        error.usage = self.usage()
        return error

    def response(self) -> ModelResponse:
        """The whole response.

        Raises:
            ModelUnavailable: The last event has not come.
        """
        if not self._ended:
            raise self.spent(cut(self._model, "the stream ended before the message did"))
        provider, _, model = self._model.partition(":")
        parts = tuple(self._blocks[index].part() for index in sorted(self._blocks))
        stop, detail = _stop(self._message)
        return ModelResponse(
            parts=parts,
            stop=stop,
            stop_detail=detail,
            provider=provider,
            model=str(self._message.get("model") or model),
            usage=self.usage(),
            id=str(self._message.get("id") or ""),
        )


def _int(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _stop(message: JsonObject) -> tuple[StopReason, str]:
    match message:
        case {"stop_reason": "stop_sequence", "stop_sequence": str(text)}:
            return StopReason.STOP_SEQUENCE, text
        case {"stop_reason": "refusal", "stop_details": {"category": category, **rest}}:
            return StopReason.REFUSAL, f"{category or ''} {rest.get('explanation') or ''}".strip()
        case {"stop_reason": str(reason)}:
            return STOPS.get(reason, StopReason.END_TURN), "" if reason in STOPS else reason
    return StopReason.END_TURN, ""
