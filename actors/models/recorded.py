"""A conversation with another model kept in a file, and played again without it.

The file is one JSON object, made to be read and reviewed. Invariant: a replay answers a request only if it is
the same as a recorded one, in every field; each record answers once.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...bus.errors import ConfigError, Failure, from_failure
from .errors import ModelError, ReplayMismatch
from .port import Json, Model, ModelRequest, ModelResponse, OnDelta
from .scripted import replay

PROVIDER = "recorded"


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request, and the response or the error it got."""

    request: ModelRequest
    response: ModelResponse | None = None
    failure: Failure | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    version: int = 1
    model: str
    exchanges: tuple[Exchange, ...] = ()


class RecordingModel:
    """A model that is another one, and keeps what was said in a file, written anew after every answer.

    Args:
        path: The file; one that exists is replaced.
    """

    def __init__(self, model: Model, path: Path) -> None:
        self._inner = model
        self._path = path
        self._exchanges: list[Exchange] = []
        self._writing = asyncio.Lock()

    @property
    def name(self) -> str:
        """The name of the model that answers."""
        return self._inner.name

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the other model; see `Model.complete`. Its errors are recorded too."""
        try:
            response = await self._inner.complete(request, on_delta=on_delta, timeout=timeout)
        except ModelError as error:
            await self._keep(Exchange(request=request, failure=error.failure()))
            raise
        await self._keep(Exchange(request=request, response=response))
        return response

    async def _keep(self, exchange: Exchange) -> None:
        self._exchanges.append(exchange)
        async with self._writing:
            whole = Conversation(model=self._inner.name, exchanges=tuple(self._exchanges))
            await asyncio.to_thread(_write, self._path, whole)

    async def check(self) -> None:
        """Whether the other model works."""
        await self._inner.check()

    async def close(self) -> None:
        """Close the other model."""
        await self._inner.close()


def _write(path: Path, conversation: Conversation) -> None:
    text = msgspec.json.format(msgspec.json.encode(conversation), indent=2)
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(text + b"\n")
    beside.replace(path)


class RecordedModel:
    """A model that plays a recorded conversation.

    Requests may come in another order than they were recorded in, as they do from parallel agents.

    Raises:
        ConfigError: The file does not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            recorded = msgspec.json.decode(path.read_bytes(), type=Conversation)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{path}: no recorded conversation: {error}") from error
        self._waiting = list(recorded.exchanges)

    @property
    def name(self) -> str:
        """`recorded:file`."""
        return f"{PROVIDER}:{self._path.name}"

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """The recorded answer to this very request; see `Model.complete`.

        Raises:
            ReplayMismatch: It was not recorded, or not as often.
        """
        del timeout  # a file is not silent
        asked = _key(request)
        found = next((exchange for exchange in self._waiting if _key(exchange.request) == asked), None)
        if found is None:
            raise self._mismatch(request)
        self._waiting.remove(found)
        if found.response is None:
            raise from_failure(
                found.failure or Failure(code=ModelError.code, message="recorded without an answer")
            )
        if on_delta is not None:
            replay(found.response, on_delta)
        return found.response

    def _mismatch(self, request: ModelRequest) -> ReplayMismatch:
        if not self._waiting:
            return ReplayMismatch(f"{self.name}: every record has answered; record the conversation again")
        wanted, asked = (
            msgspec.json.decode(msgspec.json.encode(r)) for r in (self._waiting[0].request, request)
        )
        where, was, came = difference(wanted, asked) or ("", "", "")
        return ReplayMismatch(
            f"{self.name}: this request was not recorded; the next recorded one differs at {where}:"
            f" recorded {_short(was)}, asked {_short(came)}",
            where=where,
        )

    async def check(self) -> None:
        """The file was read when the model was made."""

    async def close(self) -> None:
        """Nothing is open."""


def _key(request: ModelRequest) -> bytes:
    return msgspec.json.encode(request, order="sorted")


def difference(old: Json, new: Json) -> tuple[str, Json, Json] | None:
    """The first place where two values differ, and what stands there; None: they are the same."""
    left, right = dict(_leaves(old, "request")), dict(_leaves(new, "request"))
    places = (place for place in left | right if left.get(place) != right.get(place))
    return next(((place, left.get(place), right.get(place)) for place in places), None)


def _leaves(value: Json, where: str) -> Iterator[tuple[str, Json]]:
    """Every value that holds no others, with its place."""
    inside: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        inside = [(f"{where}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list):
        inside = [(f"{where}[{at}]", item) for at, item in enumerate(value)]
    if not inside:
        yield where, value
    for place, item in inside:
        yield from _leaves(item, place)


def _short(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"
