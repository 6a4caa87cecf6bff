"""Choice: who does the task of a one-shot, and what it may spend, from the words of a command line.

Not responsible for whether it can (`lodging.py`). Invariant: limits of the command line never widen those of
an agent that was not made for the task.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .program import load_program

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ...actors.runs.delegation import Grant

MODEL = "anthropic:claude-opus-5-5"
PROMPT = "Carry out the task that you are given, with the tools you have, and answer with its result."
HELP = (
    " Parts of it that do not depend on each other you may give to your helper with delegate_task, several"
    " in one turn: they are done side by side. The helper has the same tools, and knows only what you write."
)
MANY = 100  # levels of delegation: more than any agent has by itself


def chosen(
    source: str, agent: str, model: str, tools: "Sequence[str] | None", limits: JsonObject
) -> "tuple[Sequence[Definition], str, str]":
    """The agents that must be there, the one that does it, and the program to load.

    Args:
        tools: Paths, of an agent that is made; names, of one that is there: no others may be called.

    Raises:
        UsageError: The words do not go together, or name what is not there.
    """
    if (source or agent) and model:
        raise click.UsageError("--model makes an agent for this task: leave out APP and --agent")
    if source:
        app = load_program(source)
        name = _first(app.definitions, agent, source)
        _must_have(next(one for one in app.definitions if one.name == name), tools or ())
        return app.definitions, name, source
    if agent:
        return (), agent, ""
    helper, assistant = _made(model or MODEL, tools or (), limits)
    return (helper, assistant), assistant.name, ""


def read_tools(text: str | None) -> tuple[str, ...] | None:
    """Tools as a command line names them; None: it does not speak of them."""
    return None if text is None else tuple(part for part in text.replace(" ", "").split(",") if part)


def _must_have(definition: "Definition", tools: "Sequence[str]") -> None:
    """Refuse the name of a tool that an agent does not have: to leave it out would be the opposite."""
    if not tools:
        return
    from ...actors.fields import nearest
    from ...actors.runs.health import tools_of

    known = tools_of(definition)
    for tool in tools:
        if tool not in known:
            told = f"--tools: agent {definition.name} has no tool {tool!r}{nearest(tool, known)}"
            raise click.UsageError(told)


def _first(definitions: "Sequence[Definition]", agent: str, source: str) -> str:
    """The agent that was named, or the first thinking one that no other one gives tasks to."""
    from ...actors.fields import nearest
    from ...actors.runs.config import KIND

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
    from ...actors.runs.agent_tool import agents_in

    yield from definition.config.get("delegates", ())
    yield from agents_in(tuple(definition.config.get("tools", ())))


def _made(model: str, tools: "Sequence[str]", limits: JsonObject) -> "tuple[Definition, Definition]":
    """A helper and an agent for this task, called by their configs: the same words make the same agents."""
    from pathlib import Path

    from ...actors.problem import refuse
    from ...actors.runs.config import Agent
    from ...actors.runs.health import check_agents
    from ...bus.errors import ConfigError

    sys.path.insert(0, str(Path.cwd()))  # tools are looked up where the user stands
    try:
        helper = _named(Agent("helper", model=model, tools=tools, prompt=PROMPT))
        assistant = _named(
            Agent(
                "assistant",
                model=model,
                tools=tools,
                prompt=PROMPT + HELP,
                delegates=[helper],
                budget=limits,
                description="Made for a task of the command line.",
            )
        )
        refuse(check_agents([assistant, helper]))
    except ConfigError as error:
        raise click.UsageError(error.message.partition(": ")[2].partition("\n")[0]) from error
    return helper, assistant


def _named(made: "Definition") -> "Definition":
    """The same agent, called by its config."""
    import msgspec

    from ...actors.runs.config import read_config

    return msgspec.structs.replace(made, name=f"{made.name}-{read_config(made.name, made.config).hash[:8]}")


def read_budget(text: str) -> JsonObject:
    """Limits as a command line says them. Raises UsageError."""
    import msgspec

    from ...actors.fields import nearest
    from ...actors.runs.budget import Budget

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


def granted(limits: JsonObject, tools: tuple[str, ...] | None = None) -> "Grant | None":
    """What a run of an agent of somebody's may spend and call: less than it would by itself, never more.

    Args:
        tools: By name; None: all that the agent has.
    """
    import msgspec

    from ...actors.runs.budget import LIMITS, Budget
    from ...actors.runs.delegation import Grant
    from ...actors.runs.effect import Risk

    if not limits and tools is None:
        return None
    budget = msgspec.convert({**dict.fromkeys(LIMITS), "depth": MANY, **limits}, Budget)
    return Grant(budget=budget, risk=Risk.HIGH, tools=tools)
