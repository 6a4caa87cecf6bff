"""Choice: who does the task of a one-shot, and what it may spend, from the words of a command line.

Not responsible for whether it can (`lodging.py`). Invariant: limits of the command line never widen those of
an agent that was not made for the task.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..bus.value import JsonObject
from .cli_program import _load as load_program

if TYPE_CHECKING:
    from ..actors.definition import Definition
    from ..actors.runs.delegation import Grant

MODEL = "anthropic:claude-opus-5-5"
PROMPT = "Carry out the task that you are given, with the tools you have, and answer with its result."
MANY = 100  # levels of delegation: more than any agent has by itself


def chosen(
    source: str, agent: str, model: str, tools: str, limits: JsonObject
) -> "tuple[Sequence[Definition], str, str]":
    """The agents that must be there, the one that does it, and the program to load. Raises UsageError."""
    if (source or agent) and (model or tools):
        raise click.UsageError("--model and --tools make an agent for this task: leave out APP and --agent")
    if source:
        app = load_program(source)
        return app.definitions, _first(app.definitions, agent, source), source
    if agent:
        return (), agent, ""
    made = _made(model or MODEL, tools, limits)
    return (made,), made.name, ""


def _first(definitions: "Sequence[Definition]", agent: str, source: str) -> str:
    """The agent that was named, or the first thinking one that no other one gives tasks to."""
    from ..actors.fields import nearest
    from ..actors.runs.config import KIND

    names = [definition.name for definition in definitions]
    if not names:
        raise click.UsageError(f"{source} has no agents")
    if agent and agent not in names:
        raise click.UsageError(f"{source} has no agent {agent!r}{nearest(agent, names)}")
    thinking = [one for one in definitions if one.kind == KIND]
    called = {name for one in thinking for name in _called(one)}
    free = [one.name for one in thinking if one.name not in called]
    return agent or [*free, *names][0]


def _called(definition: "Definition") -> "Iterator[str]":
    """Whom a thinking agent gives tasks to."""
    from ..actors.runs.agent_tool import agents_in

    yield from definition.config.get("delegates", ())
    yield from agents_in(tuple(definition.config.get("tools", ())))


def _made(model: str, tools: str, limits: JsonObject) -> "Definition":
    """An agent for this task, called by its config: the same words make the same agent."""
    from pathlib import Path

    import msgspec

    from ..actors.problem import refuse
    from ..actors.runs.config import Agent, read_config
    from ..actors.runs.health import check_agents
    from ..bus.errors import ConfigError

    sys.path.insert(0, str(Path.cwd()))  # tools are looked up where the user stands
    paths = [path for path in tools.split(",") if path]
    try:
        made = Agent("assistant", model=model, tools=paths, prompt=PROMPT, budget=limits)
        refuse(check_agents([made]))
    except ConfigError as error:
        raise click.UsageError(error.message.removeprefix("agent assistant: ")) from error
    return msgspec.structs.replace(made, name=f"assistant-{read_config(made.name, made.config).hash[:8]}")


def read_budget(text: str) -> JsonObject:
    """Limits as a command line says them. Raises UsageError."""
    import msgspec

    from ..actors.fields import nearest
    from ..actors.runs.budget import Budget

    told = dict(part.partition("=")[::2] for part in text.replace(" ", "").split(",") if part)
    for name in told:
        if name not in Budget.__struct_fields__:
            raise click.UsageError(
                f"--budget: there is no limit {name!r}{nearest(name, Budget.__struct_fields__)}"
            )
    try:
        read = msgspec.convert(told, Budget, strict=False)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--budget {text}: {error}") from error
    return {name: getattr(read, name) for name in told}


def granted(limits: JsonObject) -> "Grant | None":
    """What a run of an agent of somebody's may spend: less than it would by itself, never more."""
    import msgspec

    from ..actors.runs.budget import LIMITS, Budget
    from ..actors.runs.delegation import Grant
    from ..actors.runs.effect import Risk

    if not limits:
        return None
    budget = msgspec.convert({**dict.fromkeys(LIMITS), "depth": MANY, **limits}, Budget)
    return Grant(budget=budget, risk=Risk.HIGH)
