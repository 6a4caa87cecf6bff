"""A model that is a Python function: for tests, and for use without a key.

Invariant: it goes through the same port as a real one, with deltas, usage and the same errors.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import TypeAlias

import msgspec

from .errors import BadRequest, ModelError
from .port import (
    CallDelta,
    Json,
    ModelRequest,
    ModelResponse,
    OnDelta,
    Opaque,
    Role,
    StopReason,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from .status import silent
from .tokens import tokens_of, tokens_of_request

PROVIDER = "scripted"

Script: TypeAlias = Callable[[ModelRequest], ModelResponse | Awaitable[ModelResponse]]


class ScriptedModel:
    """A model that answers what a function returns.

    A function that depends on nothing but the request answers the same after a crash.

    Args:
        script: From request to response, sync (and quick) or async; it may raise any `ModelError`, which
            costs what such an error of a real model may cost. What else it raises is a mistake in it, which
            costs nothing and is not tried again.
        model: Its name in records.
    """

    def __init__(self, script: Script, *, model: str = "script") -> None:
        self._script = script
        self._model = model

    @property
    def name(self) -> str:
        """`scripted:model`."""
        return f"{PROVIDER}:{self._model}"

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the function; see `Model.complete`. Where it tells no usage, it is estimated."""
        try:
            async with asyncio.timeout(timeout):
                answer = self._script(request)
                response = answer if isinstance(answer, ModelResponse) else await answer
        except TimeoutError as error:
            raise silent(self.name, timeout) from error
        except ModelError:
            raise
        except Exception as error:
            told = f"{self.name}: the script raised {type(error).__name__}: {error}"
            raise ModelError(told, model=self.name) from error
        if on_delta is not None:
            replay(response, on_delta)
        usage = response.usage or Usage(
            input=tokens_of_request(request), output=sum(tokens_of(part) for part in response.parts)
        )
        return msgspec.structs.replace(response, usage=usage, model=response.model or self._model)

    async def check(self) -> None:
        """Nothing can be missing."""

    async def close(self) -> None:
        """Nothing is open."""


def say(text: str) -> ModelResponse:
    """A response in words."""
    return ModelResponse(parts=(Text(text),), stop=StopReason.END_TURN, provider=PROVIDER, model="")


def call(*calls: tuple[str, Mapping[str, Json]], text: str = "", prefix: str = "call") -> ModelResponse:
    """A response that wants tools to be run.

    Args:
        calls: Names of tools and their arguments.
        text: What is said before.
        prefix: Of the ids, which must differ within a conversation.
    """
    numbers = count()
    parts = tuple(
        ToolCall(id=f"{prefix}-{next(numbers)}", name=name, arguments=dict(given)) for name, given in calls
    )
    said = (Text(text),) if text else ()
    return ModelResponse(parts=(*said, *parts), stop=StopReason.TOOL_USE, provider=PROVIDER, model="")


def in_order(*responses: ModelResponse) -> Script:
    """A script that answers by the number of answers that the conversation holds: the same after a crash."""

    def script(request: ModelRequest) -> ModelResponse:
        at = sum(turn.role is Role.ASSISTANT for turn in request.turns)
        if at >= len(responses):
            raise BadRequest(f"scripted: asked for answer {at + 1} of {len(responses)}")
        return responses[at]

    return script


def replay(response: ModelResponse, on_delta: OnDelta) -> None:
    """Tell a whole response piece by piece, as a stream would have."""
    for index, part in enumerate(response.parts):
        match part:
            case Text():
                on_delta(TextDelta(part.text))
            case ToolCall():
                on_delta(CallDelta(index=index, id=part.id, name=part.name))
                arguments = part.unparsed or msgspec.json.encode(part.arguments).decode()
                on_delta(CallDelta(index=index, fragment=arguments))
            case Opaque():
                pass  # read by nobody
