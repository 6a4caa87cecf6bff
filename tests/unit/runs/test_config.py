"""What users write of an agent is what runs, and what could only fail later is refused now."""

import msgspec
import pytest

from actorium.actors.runs.budget import Budget
from actorium.actors.runs.config import KIND, Agent, AgentConfig
from actorium.actors.runs.effect import Risk
from actorium.actors.runs.tool import tool
from actorium.bus.errors import ConfigError


@tool(effect="pure")
def look(n: int) -> int:
    """Look."""
    return n


class Report(msgspec.Struct):
    grade: int


def test_a_definition_holds_all_of_it_as_json():
    made = Agent(
        "writer", model="a:b", tools=[look], budget=Budget(usd=0.5), output=Report, prompt="You write.\nWell."
    )
    assert (made.name, made.kind, made.description) == ("writer", KIND, "You write.")
    config = msgspec.convert(msgspec.json.decode(msgspec.json.encode(made)), type(made)).config
    read = msgspec.convert(config, AgentConfig)
    assert read.tools == (look.path,)
    assert (read.budget, read.risk) == (Budget(usd=0.5), Risk.MEDIUM)
    assert read.output["required"] == ["grade"]


def test_the_hash_changes_with_what_it_is_the_hash_of():
    one = AgentConfig(model="a:b", prompt="x")
    assert one.hash == AgentConfig(model="a:b", prompt="x").hash
    assert one.hash != AgentConfig(model="a:b", prompt="y").hash


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"colour": "red"}, "colour"),
        ({"budget": {"dollars": 1}}, "dollars"),
        ({"budget": {"usd": -1}}, "usd"),
        ({"risk": "huge"}, "risk"),
        ({"output": {"not": {}}}, "not checked"),
        ({"on_expiry": "escalate"}, "escalate_to"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Agent("writer", model="a:b", **wrong)


def test_a_tool_that_no_other_process_finds_is_refused():
    @tool(effect="pure")
    def local() -> None: ...

    with pytest.raises(ConfigError, match="top level"):
        Agent("writer", model="a:b", tools=[local])


def test_a_budget_of_a_later_release_is_still_read():
    """Records and grants come from other releases; only what users write is held to the letter."""
    assert msgspec.json.decode(b'{"usd": 1, "joules": 5}', type=Budget) == Budget(usd=1.0)
