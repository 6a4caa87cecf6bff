"""What users write of an agent is what runs, and what could only fail later is refused now."""

from pathlib import Path

import msgspec
import pytest

from actorium.actors.definition import Isolation, Options
from actorium.actors.runs.budget import Budget
from actorium.actors.runs.config import KIND, Agent, AgentConfig, read_agent, read_config
from actorium.actors.runs.effect import Risk
from actorium.actors.runs.tool import tool
from actorium.bus.errors import ConfigError


@tool(effect="pure")
def look(n: int) -> int:
    """Look."""
    return n


class Report(msgspec.Struct):
    grade: int


class Unsayable(msgspec.Struct):
    made_of: object
    by: complex


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
        ({"colour": "red"}, "unknown key 'colour'; known are "),
        ({"tols": ["a:b"]}, r"unknown key 'tols', did you mean 'tools'\?"),
        ({"isolaton": "process"}, "did you mean 'isolation'"),
        ({"budget": {"dollars": 1}}, r"unknown key 'budget\.dollars'; known are depth"),
        ({"budget": {"step": 1}}, "unknown key 'budget.step', did you mean 'steps'"),
        ({"options": {"policy": {"intensty": 1}}}, "unknown key 'options.policy.intensty', did you mean"),
        ({"budget": {"usd": -1}}, "usd"),
        ({"budget": object()}, "cannot stand in a definition"),
        ({"fallback": "a:b"}, "fallback"),
        ({"tools": "a:b"}, "tools"),
        ({"tools": ["look"]}, "tool 'look' must be module:name, or agent:name"),
        ({"tools": ["agent:No One"]}, "agent id 'No One'"),
        ({"delegates": ["No One"]}, "agent id 'No One'"),
        ({"isolation": "cellar"}, "isolation"),
        ({"isolation": "shared", "options": {"isolation": "process"}}, "write one of them"),
        ({"execution": "sometimes"}, "execution"),
        ({"prompt": "x", "prompt_file": "y"}, "prompt and prompt_file"),
        ({"prompt_file": "gone.md"}, "cannot read prompt_file gone.md: No such file"),
        ({"output": Unsayable}, "no schema can say its output Unsayable"),
        ({"risk": "huge"}, "risk"),
        ({"output": {"not": {}}}, "not checked"),
        ({"on_expiry": "escalate"}, "escalate_to"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(wrong, told):
    with pytest.raises(ConfigError, match=told) as refused:
        Agent("writer", model="a:b", **wrong)
    assert refused.value.message.startswith("agent writer: ")
    assert refused.value.fields["agent"] == "writer"


def test_a_stored_config_is_held_to_the_letter_too():
    with pytest.raises(ConfigError, match=r"agent writer: unknown key 'budget\.step', did you mean 'steps'"):
        read_config("writer", {"model": "a:b", "budget": {"step": 1}})


def test_an_agent_without_a_model_is_refused():
    with pytest.raises(ConfigError, match=r"agent writer: .*`model`"):
        read_agent("writer", {"prompt": "x"})


def test_agents_stand_among_the_tools_by_definition_or_by_name():
    clerk = Agent("clerk", model="a:b")
    made = Agent("writer", model="a:b", tools=[look, clerk, "agent:other"], delegates=[clerk, "third"])
    assert made.config["tools"] == (look.path, "agent:clerk", "agent:other")
    assert made.config["delegates"] == ("clerk", "third")


def test_a_tool_whose_path_would_mean_an_agent_is_refused():
    def find() -> None: ...

    find.__module__, find.__qualname__ = "agent", "find"
    with pytest.raises(ConfigError, match="its module must not be called agent"):
        Agent("writer", model="a:b", tools=[tool(effect="pure")(find)])


def test_isolation_is_a_short_cut_that_keeps_the_other_options():
    assert Agent("writer", model="a:b", isolation="process").options == Options(
        isolation=Isolation.PROCESS, attempts=10
    )
    given = Agent("writer", model="a:b", options=Options(attempts=3, idle=5.0), isolation=Isolation.PROCESS)
    assert given.options == Options(attempts=3, idle=5.0, isolation=Isolation.PROCESS)


def test_options_as_a_table_change_only_what_they_name():
    assert Agent("writer", model="a:b", options={"idle": 5.0}).options == Options(idle=5.0, attempts=10)
    assert Agent("writer", model="a:b").options == Options(attempts=10)


def test_a_prompt_may_stand_in_a_file_beside(tmp_path: Path):
    (tmp_path / "prompt.md").write_text("You write.\nWell.\n")
    made = read_agent("writer", {"model": "a:b", "prompt_file": "prompt.md"}, tmp_path)
    assert (made.config["prompt"], made.description) == ("You write.\nWell.\n", "You write.")
    assert "prompt_file" not in made.config


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "prompt.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"agent writer: prompt_file .* is no text"):
        read_agent("writer", {"model": "a:b", "prompt_file": "prompt.md"}, tmp_path)


def test_what_is_said_beside_the_config_stands_in_the_definition():
    made = Agent("writer", model="a:b", description="It writes.", skills=["write"], fallback=["c:d"])
    assert (made.description, made.skills) == ("It writes.", ("write",))
    assert read_config("writer", made.config).models == ("a:b", "c:d")


def test_a_tool_that_no_other_process_finds_is_refused():
    @tool(effect="pure")
    def local() -> None: ...

    with pytest.raises(ConfigError, match="top level"):
        Agent("writer", model="a:b", tools=[local])


def test_a_budget_of_a_later_release_is_still_read():
    """Records and grants come from other releases; only what users write is held to the letter."""
    assert msgspec.json.decode(b'{"usd": 1, "joules": 5}', type=Budget) == Budget(usd=1.0)
