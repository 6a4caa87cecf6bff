"""AgentConfig: what makes an agent think: model, prompt, tools, limits; and Agent, as users write it.

Python and TOML are read by the same code, `read_agent`. Not responsible for whether models and tools are
there: see `health.py`. Invariant: what could only fail later is refused here, with the agent's name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, Required, TypedDict, TypeVar, Unpack

import msgspec

from ...bus.errors import ConfigError
from ...bus.subjects import agent_id
from ..definition import Definition, Isolation, Options
from ..fields import isolated, misnamed
from ..models.port import Effort, JsonObject
from .agent_tool import PREFIX, agents_in
from .approval import TTL, OnExpiry
from .budget import Budget
from .effect import Risk
from .execution import Execution
from .schema import check_schema
from .signature import schema_of
from .tool import Tool

KIND: Final = "actorium.actors.runs.thinker:Thinker"
ATTEMPTS: Final = 10  # workers may die in a run's long life without it being the run's fault
Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything about an agent that is not where it runs; its hash is what a run is pinned to.

    Attributes:
        model: `provider:model`.
        fallback: Models asked in turn when the one before cannot answer.
        tools: Paths of tools, `module:name`, and agents as tools, `agent:name`: nothing else may be called.
        delegates: Agents it may give tasks to.
        budget: Of one run.
        risk: The highest risk that needs no approval.
        max_tokens: The most the model may write in one turn.
        output: JSON schema the final answer must fit.
        approval_ttl: Seconds a question waits for its answer.
        reminders: Seconds after asking at which it is said again.
        on_expiry: What follows when nobody answers.
        window: Tokens of the model's context; old tool results are cut when it fills.
        execution: When code that it wrote runs.
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
    approval_ttl: Seconds = TTL
    reminders: tuple[Seconds, ...] = (3600.0,)
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: str = ""
    window: Positive = 200_000
    execution: Execution = Execution.TASK

    def __post_init__(self) -> None:
        """Refuse what could only fail later. Raises ConfigError."""
        if self.output is not None:
            check_schema(self.output)
        if self.on_expiry is OnExpiry.ESCALATE and not self.escalate_to:
            raise ConfigError("on_expiry = escalate needs escalate_to: who is asked then")
        for path in self.tools:
            if ":" not in path:
                raise ConfigError(f"tool {path!r} must be module:name, or agent:name for an agent")
        for agent in (*self.delegates, *agents_in(self.tools)):
            agent_id(agent)

    @property
    def hash(self) -> str:
        """What a run is pinned to."""
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    @property
    def models(self) -> tuple[str, ...]:
        """Its model and the fallbacks, in the order in which they are asked."""
        return (self.model, *self.fallback)


class _Written(AgentConfig, frozen=True, kw_only=True):
    """What users write: the config, and what the definition says beside it."""

    prompt_file: str = ""
    description: str = ""
    skills: tuple[str, ...] = ()
    isolation: Isolation | None = None
    options: Options = Options(attempts=ATTEMPTS)


_Config = TypeVar("_Config", bound=AgentConfig)


class AgentFields(TypedDict, total=False):
    """The fields of an agent, as a type checker sees them: see `Agent`."""

    model: Required[str]
    fallback: Sequence[str]
    prompt: str
    prompt_file: str | Path
    tools: Sequence[Tool | Definition | str]
    delegates: Sequence[Definition | str]
    budget: Budget | Mapping[str, object]
    risk: Risk | Literal["low", "medium", "high"]
    max_tokens: int
    output: type | JsonObject | None
    effort: Effort | Literal["none", "low", "medium", "high", "xhigh", "max"] | None
    approval_ttl: float
    reminders: Sequence[float]
    on_expiry: OnExpiry | Literal["deny", "escalate", "halt"]
    escalate_to: str
    window: int
    execution: Execution | Literal["always", "never", "auto", "task"]
    description: str
    skills: Sequence[str]
    isolation: Isolation | Literal["shared", "process"]
    options: Options | Mapping[str, object]


def Agent(name: str, **fields: Unpack[AgentFields]) -> Definition:  # noqa: N802  # it reads as what it makes
    """A definition of a thinking agent.

    Args:
        name: Its id.
        fields: Those of AgentConfig, of which only `model` is needed, and:
            prompt_file: A file with the prompt, beside the working directory.
            tools: Functions made with `@tool` or their paths, and agents, by definition or as `agent:name`.
            output: A type, or a JSON schema, that its answer must fit.
            description: What others read of it; the prompt's first line where left out.
            skills: Actions it takes from `orchestrator.inbox`.
            isolation: "process" gives it a process of its own.
            options: How it is run, whole, or as a dict of what shall differ.

    Raises:
        ConfigError: The name cannot be an agent id, a tool stands where no other process finds it, or a field
            is unknown or does not fit.
    """
    return read_agent(name, fields)


def read_agent(name: str, fields: Mapping[str, object], base: Path = Path()) -> Definition:
    """A definition from what users write of it, in Python or TOML.

    Args:
        base: Where `prompt_file` is looked for.

    Raises:
        ConfigError: As `Agent`.
    """
    agent_id(name)
    with _told_of(name):
        written = _read(_plain(fields), _Written)
        prompt = _prompt(written, base)
        told = {field: getattr(written, field) for field in AgentConfig.__struct_fields__}
        config = AgentConfig(**{**told, "prompt": prompt})
        options = isolated(written.options, written.isolation)
    return Definition(
        name=name,
        kind=KIND,
        config=msgspec.to_builtins(config),
        options=options,
        description=written.description or prompt.strip().split("\n")[0][:120],
        skills=written.skills,
    )


def read_config(agent: str, fields: Mapping[str, object]) -> AgentConfig:
    """The config of a definition.

    Raises:
        ConfigError: A field is unknown or does not fit. A limit that is misspelled would be no limit.
    """
    with _told_of(agent):
        return _read(fields, AgentConfig)


@contextmanager
def _told_of(agent: str) -> Iterator[None]:
    """Errors name the agent."""
    try:
        yield
    except (msgspec.ValidationError, ConfigError) as error:
        raise ConfigError(f"agent {agent}: {error}", agent=agent) from error


def _read(fields: Mapping[str, object], shape: type[_Config]) -> _Config:
    told = misnamed(fields, shape)
    if told:
        raise ConfigError(told)
    return msgspec.convert(fields, shape)


def _plain(fields: Mapping[str, object]) -> JsonObject:
    """The fields as JSON, as a TOML file has them."""
    named = {field: _named(field, value) for field, value in fields.items()}
    try:
        plain: JsonObject = msgspec.to_builtins(named)
    except TypeError as error:
        raise ConfigError(f"a field cannot stand in a definition: {error}") from error
    return plain


def _named(field: str, value: object) -> object:
    """A field's value with names instead of what only Python has."""
    match field, value:
        case "tools", list() | tuple():
            return [_tool(one) for one in value]
        case "delegates", list() | tuple():
            return [one.name if isinstance(one, Definition) else one for one in value]
        case "output", type():
            return _schema(value)
        case "prompt_file", Path():
            return str(value)
        case "options", dict():
            return {"attempts": ATTEMPTS, **value}
        case _:
            return value


def _tool(told: object) -> object:
    if isinstance(told, Definition):
        return f"{PREFIX}{told.name}"
    if not isinstance(told, Tool):
        return told
    if "<locals>" in told.path:
        raise ConfigError(f"tool {told.path} must stand at the top level of a module")
    if told.path.startswith(PREFIX):
        raise ConfigError(f"tool {told.path} would be read as an agent: its module must not be called agent")
    return told.path


def _schema(output: type) -> JsonObject:
    try:
        schema: JsonObject = schema_of(output)
    except TypeError as error:
        raise ConfigError(f"no schema can say its output {output.__name__}: {error}") from error
    return schema


def _prompt(written: _Written, base: Path) -> str:
    if not written.prompt_file:
        return written.prompt
    if written.prompt:
        raise ConfigError("prompt and prompt_file: write one of them")
    path = base / written.prompt_file
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError(f"cannot read prompt_file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompt_file {path} is no text: {error}") from error
