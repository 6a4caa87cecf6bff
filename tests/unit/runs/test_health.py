"""What keeps a thinking agent from working is found before anything starts, by its name."""

import sys
import types

import pytest

from actorium.actors.definition import Definition
from actorium.actors.models.port import ModelRequest
from actorium.actors.models.prices import Price, Prices
from actorium.actors.models.scripted import say
from actorium.actors.models.settings import ModelSettings, ProviderSettings
from actorium.actors.problem import Problem, refuse
from actorium.actors.runs.config import KIND, Agent
from actorium.actors.runs.health import (
    Fault,
    Grade,
    check_addresses,
    check_agents,
    check_models,
    check_prices,
    judge,
)
from actorium.actors.runs.tool import tool
from actorium.bus.errors import ConfigError

SCRIPT = "scripted:health_program:script"
OPENAI, CLAUDE = "openai:gpt-5.1", "anthropic:claude-sonnet-5-5"


@pytest.fixture(autouse=True)
def program(monkeypatch):
    """A program's module with a tool, a twin of it, and a script."""

    @tool(effect="pure")
    def look() -> str:
        """Look."""
        return ""

    def script(request: ModelRequest):
        return say("yes")

    module = types.ModuleType("health_program")
    module.look, module.twin, module.script, module.plain = look, look, script, len
    module.own = tool(effect="pure", name="delegate_task")(lambda: "")
    monkeypatch.setitem(sys.modules, module.__name__, module)


def lines(problems: list[Problem]) -> list[str]:
    return [f"{'' if problem.fatal else 'note: '}{problem}" for problem in problems]


def writer(model: str = SCRIPT, **fields) -> Definition:
    return Agent("writer", model=model, **fields)


def test_an_agent_that_can_work_has_no_problem():
    clerk = Agent("clerk", model=OPENAI, fallback=[CLAUDE, "ollama:llama3.2:3b"])
    agent = writer(tools=["health_program:look", clerk], delegates=["clerk"])
    assert check_agents([agent, clerk]) == []


def test_agents_of_other_kinds_are_not_looked_at():
    assert check_agents([Definition(name="a", kind="nowhere:A", config={"tools": ["x:y"]})]) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tools": ["nowhere:look"]}, "there is no tool nowhere:look: No module named 'nowhere'"),
        ({"tools": ["health_program:lok"]}, "there is no tool health_program:lok"),
        ({"tools": ["health_program:plain"]}, "health_program:plain is no tool: decorate it with @tool"),
        (
            {"tools": ["health_program:look", "health_program:twin"]},
            "two of its tools are called look: rename one",
        ),
        ({"tools": ["agent:look", "health_program:look"]}, "two of its tools are called look"),
        ({"tools": ["health_program:own"], "delegates": ["x"]}, "two of its tools are called delegate_task"),
        ({"model": "gpt"}, "model 'gpt': write provider:model"),
        ({"model": "antropic:claude"}, "no model provider 'antropic': did you mean anthropic?"),
        ({"fallback": ["scripted:health_program:gone"]}, "no function health_program:gone"),
        ({"fallback": ["recorded:gone.json"]}, "gone.json"),
    ],
)
def test_what_is_not_there_is_named(fields, told):
    found = [problem for problem in check_agents([writer(**fields)]) if problem.fatal]
    assert len(found) == 1
    assert str(found[0]).startswith("agent writer: ")
    assert told in found[0].says


def test_a_config_that_does_not_read_is_named_and_the_others_are_looked_at_all_the_same():
    torn = Definition(name="torn", kind=KIND, config={"model": OPENAI, "output": {"not": {}}})
    found = lines(check_agents([torn, writer(tools=["nowhere:look"])]))
    assert len(found) == 2
    assert found[0].startswith("agent torn: the output schema has not")
    assert found[1].startswith("agent writer: there is no tool")


@pytest.mark.parametrize("text", ["raise RuntimeError('not today')", "def ("])
def test_a_module_that_fails_to_load_is_a_problem_of_the_agent_that_needs_it(tmp_path, monkeypatch, text):
    (tmp_path / "failing_program.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = check_agents([writer("scripted:failing_program:script", tools=["failing_program:look"])])
    assert len(found) == 2
    assert "tool failing_program:look cannot be loaded: " in found[0].says
    assert "model scripted:failing_program:script cannot be loaded: " in found[1].says


def test_an_agent_that_the_program_does_not_have_is_worth_a_word():
    found = check_agents([writer(delegates=["clerk"], tools=["agent:clerk", "agent:boss"])])
    told = "note: agent writer: it gives tasks to {}, which this program does not have"
    assert lines(found) == [told.format("clerk"), told.format("boss")]


def test_a_strange_provider_may_stand_in_settings_that_are_not_known():
    lab = ModelSettings(providers={"lab": ProviderSettings(base_url="http://lab")})
    assert check_agents([writer("lab:m")], None) == []
    assert check_agents([writer("lab:m")], lab) == []
    assert len(check_agents([writer("lab:m")])) == 1
    assert len(check_agents([writer("lab")], None)) == 1


async def test_a_missing_key_is_one_line_that_says_what_to_set():
    found = await check_models([writer(CLAUDE)], environment={})
    told = f"agent writer: {CLAUDE} has no key: set ANTHROPIC_API_KEY"
    assert lines(found) == [f'{told} (or use model = "scripted:module:function")']


async def test_an_agent_that_only_lacks_a_fallback_can_start():
    found = await check_models([writer(CLAUDE, fallback=[OPENAI])], environment={"ANTHROPIC_API_KEY": "sk-1"})
    assert [problem.fatal for problem in found] == [False]
    assert "set OPENAI_API_KEY" in found[0].says
    assert refuse(found) == found


async def test_an_agent_none_of_whose_models_has_a_key_cannot():
    found = await check_models([writer(CLAUDE, fallback=[OPENAI])], environment={})
    with pytest.raises(ConfigError, match=r"ANTHROPIC_API_KEY(.|\n)*OPENAI_API_KEY"):
        refuse(found)


async def test_models_without_keys_need_none():
    agent = writer(SCRIPT, fallback=["ollama:llama3.2:3b"])
    assert await check_models([agent], environment={}) == []


async def test_a_key_in_the_settings_is_a_key_and_is_not_said():
    own = ModelSettings(providers={"openai": ProviderSettings(key="sk-secret")})
    assert await check_models([writer(OPENAI)], own, environment={}) == []
    dead = ModelSettings(
        providers={"openai": ProviderSettings(key="sk-secret", base_url="http://127.0.0.1:1")}
    )
    found = await check_models([writer(OPENAI)], dead, environment={}, probe=True)
    assert "sk-secret" not in repr(found)


async def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("actorium.actors.runs.health.find_spec", lambda name: None)
    found = await check_models([writer(OPENAI)], environment={"OPENAI_API_KEY": "k"})
    assert lines(found) == [
        f"agent writer: {OPENAI} needs httpx2, which is not there: pip install 'actorium[http]'"
    ]


async def test_a_provider_that_does_not_answer_now_keeps_nobody_from_starting():
    away = ModelSettings(providers={"openai": ProviderSettings(base_url="http://127.0.0.1:1")})
    agent, environment = writer(OPENAI), {"OPENAI_API_KEY": "k"}
    assert await check_models([agent], away, environment=environment) == []
    found = await check_models([agent], away, environment=environment, probe=True)
    assert [problem.fatal for problem in found] == [False]
    assert "127.0.0.1:1" in found[0].says


async def test_a_server_of_ones_own_that_does_not_run_is_worth_a_word_and_keeps_nobody_from_starting():
    away = ModelSettings(providers={"ollama": ProviderSettings(base_url="http://127.0.0.1:1/v1")})
    agent = writer(SCRIPT, fallback=["ollama:llama3.2:3b", OPENAI])
    found = await check_addresses([agent], away, environment={})
    assert [problem.fatal for problem in found] == [False]
    assert "nothing answers at http://127.0.0.1:1/v1 (Connection refused)" in found[0].says


def test_a_limit_in_money_needs_a_price_for_every_model():
    """Where one has none, no call is made: that is known before anything starts."""
    limited = writer(CLAUDE, fallback=["ollama:llama3.2:3b"], budget={"usd": 0.5})
    told = "agent writer: its limit of 0.5 usd cannot be kept: ollama:llama3.2:3b: "
    (found,) = lines(check_prices([limited, writer(SCRIPT)], Prices()))
    assert found.startswith(told)
    assert check_prices([limited], Prices({"ollama:*": Price(input=0.0, output=0.0)})) == []


async def test_what_both_checks_find_is_said_once():
    agent = writer("antropic:claude")
    with pytest.raises(ConfigError) as refused:
        refuse([*check_agents([agent]), *await check_models([agent], environment={})])
    assert refused.value.message.count("antropic") == 1


async def test_a_torn_config_is_the_other_check_s():
    torn = Definition(name="torn", kind=KIND, config={"model": 5})
    assert await check_models([torn], environment={}) == []


DEAD, WRONG, DOUBTFUL = (Fault(grade, grade.value) for grade in (Grade.DEAD, Grade.WRONG, Grade.DOUBTFUL))


@pytest.mark.parametrize(
    ("faults", "fatal"),
    [
        ({}, []),
        ({"one": DEAD}, [False]),
        ({"one": DEAD, "two": DEAD}, [True, True]),
        ({"one": DEAD, "two": DOUBTFUL}, [False, False]),
        ({"two": WRONG}, [True]),
        ({"one": DOUBTFUL, "two": WRONG}, [False, True]),
    ],
)
def test_a_name_that_is_wrong_is_fatal_and_a_model_that_cannot_answer_only_if_none_can(faults, fatal):
    assert [problem.fatal for problem in judge("it", ("one", "two"), faults)] == fatal
