"""How a program is found: a file, a module, a TOML file; and what is told of one that cannot work."""

import sys
from pathlib import Path

import pytest

from actorium import Actor, App, ConfigError, Definition, Options, Supervisor
from actorium.runtime.app import load_app

PROGRAM = """
from actorium import Actor, App
class Counter(Actor):
    async def receive(self, message: int, ctx) -> int: return message
{}
"""
AGENT = '[[agent]]\nname = "counter"\nkind = "{}:Counter"\n'


class Plain(Actor):
    pass


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a program under a name of its own, and takes it out of this process again."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write(text: str, name: str = "") -> Path:
        path = tmp_path / (name or f"{tmp_path.name.replace('-', '_')}.py")
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        if not name.startswith("actorium"):  # loaded on the way, and once only: its classes are compared
            del sys.modules[name]


def test_a_file_is_loaded_with_its_only_app(program) -> None:
    """No name is needed where there is one App; its agents are found by other processes."""
    path = program(PROGRAM.format('mine = App(Counter.named("counter"))'))

    app = load_app(str(path))

    assert [(d.name, d.kind) for d in app.definitions] == [("counter", f"{path.stem}:Counter")]
    assert app.source == str(path)


def test_of_several_the_one_called_app_counts_or_the_one_that_is_named(program) -> None:
    """`file.py` means `app`, `file.py:other` the other one."""
    path = program(PROGRAM.format('app = App(Counter.named("a"))\nother = App(Counter.named("b"))'))

    assert load_app(str(path)).definitions[0].name == "a"
    assert load_app(f"{path}:other").definitions[0].name == "b"


def test_a_module_is_loaded_by_its_name(program) -> None:
    """`package.module` and `package.module:name`."""
    path = program(PROGRAM.format('app = App(Counter.named("counter"))'))
    sys.path.insert(0, str(path.parent))

    assert load_app(path.stem).definitions[0].name == "counter"
    assert load_app(f"{path.stem}:app").definitions[0].name == "counter"


def test_a_program_that_runs_itself_does_not_run_while_it_is_loaded(program) -> None:
    """`app.run()` at the end of a script needs no guard."""
    path = program(PROGRAM.format('app = App(Counter.named("counter"))\napp.run()'))

    assert load_app(str(path)).definitions[0].name == "counter"
    assert App.loading is None


def test_a_toml_file_says_the_same_as_python(program) -> None:
    """Name, kind, config and options of each agent; beside them the settings."""
    path = program(PROGRAM.format(""))
    text = AGENT + "[agent.options]\nattempts = 5\nisolation = 'process'\n[agent.config]\nx = 1\n"
    text += "[actorium]\nworkers = 1\n"
    toml = program(text.format(path.stem), "agents.toml")

    (definition,) = load_app(str(toml)).definitions

    assert definition == Definition(
        name="counter",
        kind=f"{path.stem}:Counter",
        config={"x": 1},
        options=Options(attempts=5, isolation="process"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no [[agent]] table"),
        ("agent = 5", "agent"),
        ("agent = [1, 2]", "agent 1"),
        ("[[agents]]\nname = 'a'", "unknown table 'agents', did you mean 'agent'?"),
        ("[[agent]]\nname = 'a'\nkin = 'b'", "unknown key 'kin', did you mean 'kind'?"),
        ("[[agent]]\nname = 'a'\nmodle = 'b:c'", "agent a: unknown key 'modle', did you mean 'model'?"),
        ("[[agent]]\nname = 'a'", 'agent a: it needs model = "provider:model"'),
        ("[[agent]]\nname = 'a'\nkind = 'x:Y'\nmodel = 'b:c'", "agent a has kind and model"),
        ("[[agent]]\nkind = 'x:Y'", "agent 1: Object missing required field `name`"),
        ("[[agent]]\nmodel = 'b:c'", "agent 1: name is missing"),
        ("[[agent]]\nname = 'A B'\nkind = 'x:Y'", "agent id 'A B'"),
        ("[[agent]]\nname = 'a'\nkind = 'nowhere:Y'", "agent a: this program has no nowhere:Y"),
        (
            "[[agent]]\nname = 'a'\nkind = 'nowhere:Y'\n[agent.options]\nattemps = 3",
            "did you mean 'attempts'?",
        ),
        ("[[agent]\n", "is no TOML"),
    ],
)
def test_a_toml_file_that_cannot_work_is_one_line(program, text, told) -> None:
    """The file, the agent and the key, before anything starts."""
    with pytest.raises(ConfigError) as refused:
        load_app(str(program(text, "agents.toml")))

    assert told in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "makes 0 Apps"),
        (PROGRAM.format('a = App(Counter.named("a"))\nb = App(Counter.named("b"))'), "makes 2 Apps"),
        ("def (:\n", ":1: "),
        ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
        (PROGRAM.format('a = App(Counter.named("a"), Counter.named("a"))'), "two agents are called 'a'"),
        (PROGRAM.format('a = App(Counter.named("A"))'), "agent id 'A'"),
        (
            PROGRAM.format("class Bad(Actor):\n    state: dict\na = App(Bad.named('a'))"),
            "Bad.state must be annotated with a msgspec.Struct",
        ),
        (
            PROGRAM.format("class Bad(Actor):\n    async def receive(self): ...\na = App(Bad.named('a'))"),
            "must take a message and a context",
        ),
    ],
)
def test_a_program_that_cannot_work_is_one_line(program, text, told) -> None:
    """Which file, which line, and what is wrong; and the next program can be loaded."""
    with pytest.raises(ConfigError) as refused:
        load_app(str(program(text)))

    assert told in refused.value.message
    assert "\n" not in refused.value.message
    assert App.loading is None


def test_what_a_program_raises_is_its_own(program) -> None:
    """An exception of its own comes out as it is, and the next program can be loaded."""
    with pytest.raises(AttributeError, match="no attribute 'z'"):
        load_app(str(program("x = 1\ny = x.z\n")))
    assert App.loading is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("gone.py", "there is no file gone.py"),
        ("nowhere_at_all", "cannot load nowhere_at_all"),
        ("", "which program"),
        ("nowhere.toml", "cannot read nowhere.toml"),
        ("a..b", "cannot load a..b"),
    ],
)
def test_a_program_that_is_not_there_is_named(source, told) -> None:
    """What was looked for, in one line."""
    with pytest.raises(ConfigError) as refused:
        load_app(source)

    assert told in refused.value.message


def test_a_name_that_is_no_app_says_which_there_are(program) -> None:
    """A mistyped name gets the nearest one."""
    path = program(PROGRAM.format('orders = App(Counter.named("counter"))'))

    with pytest.raises(ConfigError, match=r"'order' is no App, did you mean 'orders'\?"):
        load_app(f"{path}:order")


def test_groups_stand_in_an_app_beside_single_agents() -> None:
    """A group is its supervisor and its children, each of which knows its supervisor."""
    app = App(Plain.named("alone"), Supervisor.of("boss", Plain.named("one"), Plain.named("two")))

    assert [d.name for d in app.definitions] == ["alone", "boss", "one", "two"]
    assert [d.options.supervisor for d in app.definitions] == ["", "", "boss", "boss"]


def test_everything_that_cannot_work_is_told_at_once(program) -> None:
    """A line for each agent, whatever kind it is of."""
    path = program(
        PROGRAM.format(
            "from actorium import Agent\n"
            "class Bad(Actor):\n    state: dict\n"
            "app = App(Bad.named('a'), Agent('b', model='c:d', tools=['nowhere:look']), Counter.named('e'))"
        )
    )
    with pytest.raises(ConfigError) as refused:
        load_app(str(path))

    first, second = refused.value.message.splitlines()
    assert first.startswith("agent a: Bad.state must be annotated")
    assert second.startswith("agent b: there is no tool nowhere:look")


def test_a_strange_provider_is_refused_where_the_settings_are_known(program) -> None:
    """While a program is loaded nobody knows them; `check` by itself knows those of every user."""
    path = program(
        PROGRAM.format("from actorium import Agent\napp = App(Agent('b', model='antropic:claude'))")
    )
    app = load_app(str(path))

    with pytest.raises(ConfigError, match="agent b: no model provider 'antropic': did you mean anthropic"):
        app.check()


def test_a_delegate_that_lives_elsewhere_is_worth_a_word(program) -> None:
    """`check` returns what keeps nobody from working."""
    text = PROGRAM.format(
        "from actorium import Agent\napp = App(Agent('b', model='ollama:x', delegates=['c']))"
    )
    (problem,) = load_app(str(program(text))).check()

    assert (problem.agent, problem.fatal) == ("b", False)
    assert "gives tasks to c" in problem.says
