"""Anthropic's models through its SDK.

The SDK opens the stream and says what failed; our own parser reads the events, which costs less CPU and keeps
every block as it came. Its retries and its tracing are off. Not responsible for retries.
Invariant: the key is in no error, no repr and no record.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from .anthropic_answer import Answer
from .anthropic_request import request_body
from .errors import ModelError
from .lazy import Lazy
from .port import JsonObject, ModelRequest, ModelResponse, OnDelta
from .sse import EventTooLong, consume
from .status import cut, failed, no_key, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import RawMessageStreamEvent

PROVIDER = "anthropic"
BASE_URL = "https://api.anthropic.com"
URL_VARIABLE = "ANTHROPIC_BASE_URL"
KEY_VARIABLES = ("ANTHROPIC_API_KEY",)


def preload() -> None:
    """Load the SDK: 1.3 s of CPU that no request should wait for."""
    for module in ("anthropic.resources.messages", "anthropic.resources.models", f"{__package__}.transport"):
        import_module(module)


class AnthropicModel:
    """One of Anthropic's models.

    Args:
        model: As Anthropic names it.
        key: Empty: calls fail and say which variable to set.
        provider: Its name where this is not Anthropic, but speaks as they do.
        extra: Fields for the body of every call, such as `service_tier`; they win over ours.
    """

    def __init__(
        self,
        model: str,
        *,
        key: str = "",
        base_url: str = "",
        extra: JsonObject | None = None,
        provider: str = PROVIDER,
        key_variables: tuple[str, ...] = KEY_VARIABLES,
    ) -> None:
        self._model = model
        self._key = key
        self._url = (base_url or BASE_URL).rstrip("/")
        self._extra = extra or {}
        self._variables = key_variables
        self._provider = provider
        self._client = Lazy(self._open, extra="anthropic")

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self._provider}:{self._model}"

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the model; see `Model.complete`."""
        body = request_body(request, self._model, self._provider)
        name = f"{self._provider}:{body['model']}"
        self._need_key()
        client = await self._client.get()
        answer = Answer(name, on_delta)
        from anthropic import AnthropicError
        from httpx2 import HTTPError

        from .transport import limits

        # The body was made for the wire; the SDK's types for it are a union of hundreds.
        create = cast("Callable[..., Awaitable[AsyncStream[RawMessageStreamEvent]]]", client.messages.create)
        try:
            async with await create(
                **body, extra_body=self._extra, stream=True, timeout=limits(timeout)
            ) as stream:
                await consume(stream.response.aiter_bytes(), answer.take)
        except (AnthropicError, HTTPError, EventTooLong) as error:
            raise answer.spent(self._error(name, error, timeout)) from error
        return answer.response()

    def _error(self, name: str, error: Exception, timeout: float) -> ModelError:
        from anthropic import APIConnectionError, APIStatusError

        from .transport import lost

        if isinstance(error, APIStatusError):
            return failed(
                name,
                error.status_code,
                error.api_message or error.response.text or error.message,
                code=" ".join(code for code in (error.error_code, error.type) if code),
                retry_after=retry_after(error.response.headers),
                secret=self._key,
            )
        if isinstance(error, EventTooLong):
            return cut(name, str(error))
        cause = error.__cause__ if isinstance(error, APIConnectionError) else None
        reason = cause if isinstance(cause, Exception) else error
        return lost(name, reason, where=self._url, timeout=timeout)

    async def check(self) -> None:
        """Whether calls can work: asks for the model's description; see `Model.check`."""
        self._need_key()
        client = await self._client.get()
        from anthropic import AnthropicError, NotFoundError

        from .transport import limits

        try:
            await client.models.retrieve(self._model, timeout=limits(10.0))
        except NotFoundError as error:
            if self._url == BASE_URL:  # elsewhere it may be the description that is missing
                raise self._error(self.name, error, 10.0) from error
        except AnthropicError as error:
            raise self._error(self.name, error, 10.0) from error

    def _need_key(self) -> None:
        if not self._key:
            raise no_key(self.name, self._variables)

    def _open(self) -> "AsyncAnthropic":
        preload()
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(api_key=self._key, base_url=self._url, max_retries=0, open_telemetry=False)

    async def close(self) -> None:
        """Close the connections; see `Model.close`."""
        if client := self._client.take():
            await client.close()
