"""Thinking agents in TOML: the same fields, values and errors as in Python."""

import sys
from pathlib import Path

import msgspec
import pytest

from actorium import Agent, Budget, ConfigError, Isolation, Options
from actorium.runtime.app import load_app
from actorium.runtime.memory import in_memory

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch):
    """What a program brings in goes out with it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith("actorium"):  # loaded on the way, and once only: its classes are compared
            del sys.modules[name]


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "agents.toml"
        path.write_text(text)
        return str(path)

    return write


ALL = """
[[agent]]
name = "writer"
model = "ollama:a"
fallback = ["ollama:b"]
prompt = "You write."
tools = ["agent:clerk"]
delegates = ["boss"]
risk = "high"
max_tokens = 100
effort = "low"
approval_ttl = 60.0
reminders = [10.0]
on_expiry = "escalate"
escalate_to = "ann"
window = 5000
execution = "never"
description = "It writes."
skills = ["write"]
isolation = "process"
output = { type = "string" }

[agent.budget]
usd = 0.5
steps = 3

[agent.options]
idle = 5.0
"""


def test_every_field_is_read_as_in_python(toml) -> None:
    """Written in both, the definitions are equal."""
    (read,) = load_app(toml(ALL)).definitions

    assert read == Agent(
        "writer",
        model="ollama:a",
        fallback=["ollama:b"],
        prompt="You write.",
        tools=["agent:clerk"],
        delegates=["boss"],
        budget=Budget(usd=0.5, steps=3),
        risk="high",
        max_tokens=100,
        output={"type": "string"},
        effort="low",
        approval_ttl=60.0,
        reminders=[10.0],
        on_expiry="escalate",
        escalate_to="ann",
        window=5000,
        execution="never",
        description="It writes.",
        skills=["write"],
        options=Options(isolation=Isolation.PROCESS, attempts=10, idle=5.0),
    )


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("tols = ['a:b']", {"tols": ["a:b"]}),
        ("budget = {step = 1}", {"budget": {"step": 1}}),
        ("budget = {usd = -1}", {"budget": {"usd": -1}}),
        ("risk = 'huge'", {"risk": "huge"}),
        ("output = {not = {}}", {"output": {"not": {}}}),
        ("on_expiry = 'escalate'", {"on_expiry": "escalate"}),
        ("tools = ['look']", {"tools": ["look"]}),
        ("options = {attemps = 3}", {"options": {"attemps": 3}}),
        ("isolation = 'cellar'", {"isolation": "cellar"}),
    ],
)
def test_an_error_is_the_one_of_python_behind_the_file(toml, line, fields) -> None:
    """So it is written once."""
    with pytest.raises(ConfigError) as python:
        Agent("writer", model="ollama:a", **fields)
    path = toml(f'[[agent]]\nname = "writer"\nmodel = "ollama:a"\n{line}\n')

    with pytest.raises(ConfigError) as refused:
        load_app(path)

    assert refused.value.message == f"{path}: {python.value.message}"


def test_a_prompt_is_read_beside_the_file(toml, tmp_path: Path) -> None:
    """Wherever the program was started."""
    (tmp_path / "writer.md").write_text("You write.")
    path = toml('[[agent]]\nname = "writer"\nmodel = "ollama:a"\nprompt_file = "writer.md"\n')

    assert load_app(path).definitions[0].config["prompt"] == "You write."


def test_agents_of_both_kinds_stand_in_one_file(toml, tmp_path: Path) -> None:
    """A class of the program's own has skills and the short cut for isolation, too."""
    (tmp_path / "toml_program.py").write_text("from actorium import Actor\nclass Plain(Actor): pass\n")
    text = (
        ALL
        + '[[agent]]\nname = "boss"\nkind = "toml_program:Plain"\nskills = ["lead"]\nisolation = "process"\n'
    )

    _, boss = load_app(toml(text)).definitions

    assert (boss.kind, boss.skills, boss.options.isolation) == (
        "toml_program:Plain",
        ("lead",),
        Isolation.PROCESS,
    )


async def test_the_example_is_the_same_in_both_and_answers() -> None:
    """From the file to the answer: two agents, a delegation, a tool and a schema, without a key."""
    python, toml = (load_app(str(EXAMPLES / name)) for name in ("agents.py", "agents.toml"))
    assert msgspec.to_builtins(toml.definitions) == msgspec.to_builtins(python.definitions)

    async with in_memory(toml) as client:
        result = await client.ask("desk", "Where is my order 17?", timeout=30)

    assert result.data == {"order": 17, "text": "It was sent on Monday."}
