"""AgentConfig: what makes an agent think: model, prompt, tools, limits; and Agent, as users write it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from ...bus.errors import ConfigError
from ...bus.subjects import agent_id
from ..definition import Definition, Options
from ..models.port import Effort, JsonObject
from .approval import TTL, OnExpiry
from .budget import Budget
from .effect import Risk
from .schema import check_schema
from .signature import schema_of
from .tool import Tool

KIND = "actorium.actors.runs.thinker:Thinker"
Positive = Annotated[int, msgspec.Meta(gt=0)]


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything about an agent that is not where it runs; its hash is what a run is pinned to.

    Attributes:
        model: `provider:model`.
        fallback: Models asked in turn when the one before cannot answer.
        tools: Paths of tools, `module:name`: nothing else may be called.
        delegates: Agents it may give tasks to.
        budget: Of one run.
        risk: The highest risk that needs no approval.
        max_tokens: The most the model may write in one turn.
        output: JSON schema the final answer must fit.
        approval_ttl: Seconds a question waits for its answer.
        reminders: Seconds after asking at which it is said again.
        on_expiry: What follows when nobody answers.
        window: Tokens of the model's context; old tool results are cut when it fills.
    """

    model: str
    fallback: tuple[str, ...] = ()
    prompt: str = ""
    tools: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    budget: Budget = Budget()
    risk: Risk = Risk.MEDIUM
    max_tokens: Positive = 8192
    output: JsonObject | None = None
    effort: Effort | None = None
    approval_ttl: float = TTL
    reminders: tuple[float, ...] = (3600.0,)
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: str = ""
    window: Positive = 200_000

    def __post_init__(self) -> None:
        """Refuse what could only fail later. Raises ConfigError."""
        if self.output is not None:
            check_schema(self.output)
        if self.on_expiry is OnExpiry.ESCALATE and not self.escalate_to:
            raise ConfigError("on_expiry = escalate needs escalate_to: who is asked then")

    @property
    def hash(self) -> str:
        """What a run is pinned to."""
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


def read_config(agent: str, fields: Mapping[str, object]) -> AgentConfig:
    """A config as users write it, in Python or TOML.

    Raises:
        ConfigError: A field is unknown or does not fit. A limit that is misspelled would be no limit.
    """
    budget = fields.get("budget")
    unknown = set(budget if isinstance(budget, dict) else ()) - set(Budget.__struct_fields__)
    if unknown:
        raise ConfigError(f"agent {agent}: a budget has no {', '.join(sorted(unknown))}", agent=agent)
    try:
        return msgspec.convert(fields, AgentConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"agent {agent}: {error}", agent=agent) from error


def Agent(  # noqa: N802  # users write it as the thing it makes
    name: str,
    *,
    model: str,
    tools: Sequence[Tool | str] = (),
    output: type | JsonObject | None = None,
    options: Options | None = None,
    description: str = "",
    **more: object,
) -> Definition:
    """A definition of a thinking agent.

    Args:
        name: Its id.
        model: `provider:model`.
        tools: Functions made with `@tool`, or their paths.
        output: A type, or a JSON schema, that its answer must fit.
        more: The other fields of AgentConfig.

    Raises:
        ConfigError: The name cannot be an agent id, a tool stands where no other process finds it, or a field
            is unknown or does not fit.
    """
    paths = [told if isinstance(told, str) else told.path for told in tools]
    hidden = next((path for path in paths if "<locals>" in path), None)
    if hidden:
        raise ConfigError(f"agent {name}: tool {hidden} must stand at the top level of a module", agent=name)
    schema = schema_of(output) if isinstance(output, type) else output
    fields = {"model": model, "tools": paths, "output": schema, **msgspec.to_builtins(more)}
    config = read_config(name, fields)
    return Definition(
        name=agent_id(name),
        kind=KIND,
        config=msgspec.to_builtins(config),
        options=options or Options(attempts=10),
        description=description or config.prompt.strip().split("\n")[0][:120],
    )
