"""The chat completions wire of OpenAI, inward: the chunks of a stream put together to one response.

Servers differ more than the wire says: calls come whole or in fragments, with one index for all, without ids;
the end comes without a usage or without its mark. Pure: no network. Invariant: a field that we do not know is
kept.
"""

import msgspec

from .errors import ModelError, ModelUnavailable
from .fragments import Calls, merged, text_of
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
    Usage,
)
from .status import cut, failed

THINKING = ("reasoning_content", "reasoning")  # fields of a message, by server
READ = frozenset({"role", "content", "tool_calls", "refusal"})
STOPS = {
    "stop": StopReason.END_TURN,
    "length": StopReason.MAX_TOKENS,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "content_filter": StopReason.REFUSAL,
    "model_length": StopReason.CONTEXT_OVERFLOW,
}
STATUS = {  # of errors that come inside an answer whose own status was 200
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded_error": 529,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
}


class _Choice(msgspec.Struct):
    index: int = 0
    delta: JsonObject | None = None
    message: JsonObject | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: JsonObject | None = None
    error: Json = None


class Answer:
    """A response while it grows. `take` its events; `response` it is once the stream has ended.

    Args:
        model: `provider:model`.
    """

    def __init__(self, model: str, on_delta: OnDelta | None) -> None:
        self._model = model
        self._tell = on_delta
        self._decoder = msgspec.json.Decoder(_Chunk)
        self._texts: list[str] = []
        self._refusal: list[str] = []
        self._fields: JsonObject = {}
        self._calls = Calls()
        self._usage: JsonObject | None = None
        self._finish = ""
        self._id = ""
        self._served = ""
        self._begun = False
        self._done = False

    def take(self, data: bytes) -> bool:
        """Take one event; True: it was the last.

        Raises:
            ModelError: The event is an error, or no event of this wire.
        """
        if data == b"[DONE]":
            self._done = True
            return True
        chunk = self._read(data)
        self._id = self._id or chunk.id or ""
        self._served = self._served or chunk.model or ""
        self._usage = chunk.usage or self._usage  # some servers tell it with every chunk, all of them totals
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._grow(choice)
        return False

    def _read(self, data: bytes) -> _Chunk:
        try:
            chunk = self._decoder.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise self.spent(cut(self._model, f"an event that cannot be read: {error}")) from error
        if chunk.error:
            raise self.spent(error_of(self._model, 0, chunk.error, begun=self._begun))
        return chunk

    def _grow(self, choice: _Choice) -> None:
        self._finish = choice.finish_reason or self._finish
        self._done = (
            self._done or choice.message is not None
        )  # a whole answer, of a server that does not stream
        delta = choice.delta or choice.message
        if not delta:
            return
        self._begun = True
        if text := text_of(delta.get("content")):
            self._texts.append(text)
            self._say(TextDelta(text))
        if text := text_of(delta.get("refusal")):
            self._refusal.append(text)
            self._say(TextDelta(text))
        for told in self._calls.take(delta.get("tool_calls")):
            self._say(told)
        self._keep(delta)

    def _keep(self, delta: JsonObject) -> None:
        if delta.keys() <= READ:
            return
        for field in THINKING:
            if text := text_of(delta.get(field)):
                self._say(ThinkingDelta(text))
                break
        for field, value in delta.items():
            if field not in READ and value not in (None, "", [], {}):
                self._fields[field] = merged(self._fields.get(field), value)

    def _say(self, delta: TextDelta | ThinkingDelta | CallDelta) -> None:
        if self._tell is not None:
            self._tell(delta)

    def usage(self) -> Usage | None:
        """The tokens so far; None: the server did not tell."""
        if not self._usage:
            return None
        prompt, written = _int(self._usage, "prompt_tokens"), _int(self._usage, "completion_tokens")
        read, completion = (
            self._usage.get("prompt_tokens_details"),
            self._usage.get("completion_tokens_details"),
        )
        return Usage(
            input=prompt,
            # Gemini counts its thinking in the total only.
            output=max(written, _int(self._usage, "total_tokens") - prompt),
            cache_read=_int(read, "cached_tokens"),
            cache_write=_int(read, "cache_write_tokens"),
            reasoning=_int(completion, "reasoning_tokens"),
        )

    def spent(self, error: ModelError) -> ModelError:
        """The error, with the tokens that are spent all the same."""
        error.usage = self.usage()
        return error

    def response(self) -> ModelResponse:
        """The whole response.

        Raises:
            ModelUnavailable: The stream ended before the answer did.
        """
        if not self._finish and not self._done:
            raise self.spent(cut(self._model, "the stream ended before the answer did"))
        if self._finish == "error":
            raise self.spent(ModelUnavailable(f"{self._model}: the provider failed while it answered"))
        provider, _, model = self._model.partition(":")
        calls = self._calls.parts(self._id)
        return ModelResponse(
            parts=(*self._said(), *calls),
            stop=self._stop(called=bool(calls)),
            stop_detail="" if self._finish in STOPS else self._finish,
            provider=provider,
            model=self._served or model,
            usage=self.usage(),
            id=self._id,
        )

    def _said(self) -> list[Part]:
        """What stands before the calls."""
        parts: list[Part] = [Opaque(self._fields)] if self._fields else []
        text = "".join(self._texts) + "".join(self._refusal)
        return [*parts, Text(text)] if text else parts

    def _stop(self, *, called: bool) -> StopReason:
        if self._refusal:
            return StopReason.REFUSAL
        stop = STOPS.get(self._finish, StopReason.END_TURN)
        # Several servers say stop, and mean the calls.
        return StopReason.TOOL_USE if called and stop is StopReason.END_TURN else stop


def error_of(
    model: str,
    status: int,
    body: Json,
    *,
    begun: bool = False,
    retry_after: float | None = None,
    secret: str = "",
) -> ModelError:
    """The error of an error's body.

    Args:
        status: The HTTP status; 0: the answer's own status said success.
        body: What stands under `error`, or the whole body.
    """
    fields = body if isinstance(body, dict) else {}
    kind, code = fields.get("type"), fields.get("code")
    words = fields.get("message")
    if not status:
        status = code if isinstance(code, int) else STATUS.get(str(code), STATUS.get(str(kind), 500))
    return failed(
        model,
        status,
        words if isinstance(words, str) else msgspec.json.encode(body).decode(),
        code=" ".join(word for word in (code, kind) if isinstance(word, str)),
        begun=begun,
        retry_after=retry_after,
        secret=secret,
    )


def _int(fields: Json, name: str) -> int:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, int) else 0
