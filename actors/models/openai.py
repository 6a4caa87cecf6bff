"""Any provider that speaks OpenAI's chat completions over HTTP: Gemini, Ollama, vLLM, OpenRouter, Groq too.

Own code on httpx2 and msgspec, because the SDK costs a reader 30 times the CPU per piece. Not responsible for
retries. Invariant: the key is in no error, no repr and no record.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

from .errors import ModelError
from .lazy import Lazy
from .openai_answer import Answer, error_of
from .openai_request import request_body
from .port import Json, JsonObject, ModelRequest, ModelResponse, OnDelta
from .profile import Profile
from .sse import EventTooLong, consume
from .status import cut, no_key, retry_after

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response


def preload() -> None:
    """Load the HTTP library, for instance before a worker takes its first task: 0.1 s of CPU."""
    import_module(f"{__package__}.transport")


class OpenAIModel:
    """A model behind an OpenAI-compatible address.

    Args:
        model: As the provider names it.
        base_url: Instead of the profile's.
        key: Sent as a bearer token; empty: none.
        extra: Fields for the body of every call, such as `temperature`; they win over ours.
    """

    def __init__(
        self,
        model: str,
        profile: Profile,
        *,
        base_url: str = "",
        key: str = "",
        extra: JsonObject | None = None,
    ) -> None:
        self._model = model
        self._profile = profile
        self._url = (base_url or profile.base_url).rstrip("/")
        self._key = key
        self._extra = extra or {}
        self._client = Lazy(_open, extra="http")

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self._profile.name}:{self._model}"

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the model; see `Model.complete`."""
        body = request_body(request, self._model, self._profile, self._extra)
        name = f"{self._profile.name}:{body['model']}"
        self._need_key()
        client = await self._client.get()
        answer = Answer(name, on_delta)
        from httpx2 import HTTPError, InvalidURL

        from .transport import limits, lost

        try:
            async with client.stream(
                "POST",
                f"{self._url}/chat/completions",
                content=msgspec.json.encode(body),
                headers={**self._headers(), "content-type": "application/json"},
                timeout=limits(timeout),
            ) as response:
                await self._read(response, answer, name)
        except (HTTPError, InvalidURL) as error:
            raise answer.spent(lost(name, error, where=self._url, timeout=timeout)) from error
        except EventTooLong as error:
            raise answer.spent(cut(name, str(error))) from error
        return answer.response()

    async def _read(self, response: "Response", answer: Answer, name: str) -> None:
        if response.status_code != 200:
            await response.aread()
            raise self._refusal(response, name)
        if response.headers.get("content-type", "").startswith("application/json"):
            answer.take(await response.aread())  # a server that does not stream
            return
        await consume(response.aiter_bytes(), answer.take)

    def _refusal(self, response: "Response", name: str) -> ModelError:
        try:
            body: Json = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, ValueError, RecursionError):
            body = {"message": response.content.decode("utf-8", "replace")}
        if isinstance(body, list) and body:  # Gemini's
            body = body[0]
        if isinstance(body, dict):
            body = body.get("error", body)
        return error_of(
            name,
            response.status_code,
            body,
            retry_after=retry_after(response.headers),
            secret=self._key,
        )

    async def check(self) -> None:
        """Whether calls can work: asks for the list of models; see `Model.check`."""
        self._need_key()
        client = await self._client.get()
        from httpx2 import HTTPError, InvalidURL

        from .transport import limits, lost

        try:
            response = await client.get(f"{self._url}/models", headers=self._headers(), timeout=limits(10.0))
        except (HTTPError, InvalidURL) as error:
            raise lost(self.name, error, where=self._url, timeout=10.0) from error
        if response.status_code >= 400 and response.status_code not in {404, 405}:  # some have no list
            raise self._refusal(response, self.name)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    def _need_key(self) -> None:
        if self._profile.needs_key and not self._key:
            raise no_key(self.name, self._profile.key_variables)

    async def close(self) -> None:
        """Close the connections; see `Model.close`."""
        if client := self._client.take():
            await client.aclose()


def _open() -> "AsyncClient":
    import httpx2

    connections = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
    return httpx2.AsyncClient(limits=connections)
