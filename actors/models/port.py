"""What is said to a language model and what it answers, as values, and the one protocol that says it.

Every request and every response becomes a record of a run, so all of it is frozen and JSON. Not responsible
for any provider's wire: each adapter translates. Invariant: what a provider wants to see again (signed
thinking, thought signatures, unknown fields) goes back to that provider unchanged, and to no other.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from ...bus.errors import Failure

if TYPE_CHECKING:
    Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
else:
    Json = Any  # msgspec cannot resolve an alias that contains itself
JsonObject: TypeAlias = dict[str, Json]


class Text(msgspec.Struct, frozen=True, omit_defaults=True, tag="text"):
    """Words. `extra` holds what else the provider sent with them, for itself."""

    text: str
    extra: JsonObject = {}


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool_call", kw_only=True):
    """The model wants a tool to be run.

    Attributes:
        id: Names the call in its conversation; the result carries it back.
        unparsed: The arguments as the model wrote them, where they are no JSON object; else empty.
        extra: Fields of the provider's call that we do not know, for itself.
    """

    id: str
    name: str
    arguments: JsonObject = {}
    unparsed: str = ""
    extra: JsonObject = {}


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool_result", kw_only=True):
    """What a tool answered, or why it did not."""

    id: str
    content: str
    is_error: bool = False


class Opaque(msgspec.Struct, frozen=True, omit_defaults=True, tag="opaque"):
    """Something of a provider's own, such as signed thinking: echoed to it unchanged, read by nobody else."""

    block: JsonObject


Part: TypeAlias = Text | ToolCall | ToolResult | Opaque


class Role(StrEnum):
    """Who says a turn."""

    USER = "user"
    ASSISTANT = "assistant"


class Turn(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One side's say. The results of all tool calls of a turn belong into the one turn that follows it.

    Attributes:
        provider: Who made it: opaque parts and extra fields go back to it only. Empty: no provider.
    """

    role: Role
    parts: tuple[Part, ...]
    provider: str = ""


def user(*parts: Part | str) -> Turn:
    """A turn of the user's: texts and tool results."""
    return Turn(role=Role.USER, parts=tuple(Text(part) if isinstance(part, str) else part for part in parts))


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A tool as a model sees it. The schema is a JSON schema of type object."""

    name: str
    description: str
    schema: JsonObject


class ToolChoice(StrEnum):
    """Whether the model may call tools."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


class Effort(StrEnum):
    """How much a model thinks before it answers; a provider with fewer grades takes its nearest."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class OutputSchema(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON schema that the answer's text must fit. Validate it all the same: servers differ."""

    schema: JsonObject
    name: str = "answer"


class ModelRequest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything a model needs for one turn.

    There are no sampling knobs: some providers refuse them. Those that want them take them by their settings.

    Attributes:
        model: Another model of the same provider than the adapter's own; empty: its own.
        max_tokens: The most it may write, thinking included; with the prompt it bounds what a call can cost.
        effort: None leaves it to the provider.
        stop: Texts at which the model stops.
        cache: Whether the prompt shall be cached where a provider has to be asked for it.
    """

    turns: tuple[Turn, ...]
    model: str = ""
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice.AUTO
    max_tokens: int = 8192
    output: OutputSchema | None = None
    effort: Effort | None = None
    stop: tuple[str, ...] = ()
    cache: bool = True


class StopReason(StrEnum):
    """Why the model stopped.

    After `pause_turn` the same conversation is sent again with this answer at its end; after `refusal` and
    `context_overflow` the same request would end the same way.
    """

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    TOOL_USE = "tool_use"
    STOP_SEQUENCE = "stop_sequence"
    REFUSAL = "refusal"
    PAUSE_TURN = "pause_turn"
    CONTEXT_OVERFLOW = "context_overflow"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Tokens of one or more calls.

    Attributes:
        input: The whole prompt, with what was read from and written to a cache.
        output: All that was written, thinking included.
        reasoning: The part of the output that was thinking, where the provider tells.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            reasoning=self.reasoning + other.reasoning,
        )


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A call that failed before the one that answered; unless its effect is `no`, it may have cost."""

    model: str
    failure: Failure
    usage: Usage | None = None


class ModelResponse(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One turn of the model.

    Attributes:
        provider: Who answered, as in `provider:model`.
        model: The model that answered, as the provider names it.
        usage: None: the provider did not tell, so the worst case is to be assumed.
        id: The provider's name for this response.
        stop_detail: The stop sequence, the reason of a refusal, or a stop reason that we do not know.
        attempts: Calls that failed on the way to this answer, in order.
    """

    parts: tuple[Part, ...]
    stop: StopReason
    provider: str
    model: str
    usage: Usage | None = None
    id: str = ""
    stop_detail: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def text(self) -> str:
        """All its words."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls it wants, in order; they may run at the same time."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    def turn(self) -> Turn:
        """The response as a turn of the next request."""
        return Turn(role=Role.ASSISTANT, parts=self.parts, provider=self.provider)


class TextDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="text"):
    """More words of the answer."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="thinking"):
    """More words of the model's thinking, where it shows them."""

    text: str


class CallDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="call", kw_only=True):
    """More of a tool call. The first of an index names it; fragments make its arguments, as JSON text."""

    index: int
    id: str = ""
    name: str = ""
    fragment: str = ""


class Restarted(msgspec.Struct, frozen=True, omit_defaults=True, tag="restarted"):
    """A new attempt begins: forget the deltas up to here."""

    model: str
    reason: str


Delta: TypeAlias = TextDelta | ThinkingDelta | CallDelta | Restarted
OnDelta: TypeAlias = Callable[[Delta], None]


class Model(Protocol):
    """A language model at one address. May be called by many tasks of one event loop at the same time."""

    @property
    def name(self) -> str:
        """`provider:model`, as in records and prices."""

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the model, returned whole and, on the way, told piece by piece.

        Cancellation: the connection is closed at once and nothing of the answer is kept; tokens up to there
        may be billed. A call has no other effect, so it may always be made again.

        Args:
            on_delta: Called in order with every piece; must not block. What it raises ends the call.
            timeout: Seconds that the model may be silent, before the first piece and between two. How long a
                whole answer may take is bounded by `max_tokens`, or by the caller's `asyncio.timeout`.

        Raises:
            ModelUnreachable, ModelOverloaded, ModelRateLimited: It did not run; later it may.
            ModelUnavailable: It may have run and been billed; `usage` says how much, where that is known.
            AuthFailed, BadRequest, ContextOverflow, Refused, Unsupported: It did not run, nor would it.
        """

    async def check(self) -> None:
        """Whether calls can work: the library, the key, the address. Costs no tokens.

        Raises:
            ModelError: What `complete` would raise; a missing key is named with the variable to set.
        """

    async def close(self) -> None:
        """Close the connections. Calls on their way fail. Idempotent."""
