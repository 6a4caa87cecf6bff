"""Declaring an actor: names, kinds and state that cannot work are found before anything starts."""

import sys
from typing import Any

import msgspec
import pytest

from actorium import Actor, ConfigError
from actorium.actors.actor import find_kind, kind_of, state_type
from actorium.actors.definition import Definition, Options
from actorium.actors.errors import UnknownKind


class Total(msgspec.Struct):
    total: int = 0


class Needy(msgspec.Struct):
    total: int


class Plain(Actor):
    """Says nothing."""


class Counting(Actor):
    """Counts.

    At length.
    """

    options = Options(attempts=7)
    state: Total

    def __init__(self, start: int = 0) -> None:
        self.start = start


class CountingMore(Counting):
    pass


class CountingNeedily(Actor):
    state: Needy


class CountingInADict(Actor):
    state: dict[str, int]


class Outer:
    class Inner(Actor):
        pass


def test_the_state_is_the_struct_a_class_or_its_base_declares() -> None:
    """A subclass has the state of its base; an actor that declares none has none."""
    assert state_type(Counting) is Total
    assert state_type(CountingMore) is Total
    assert state_type(Plain) is None


def test_a_state_that_cannot_start_empty_is_refused() -> None:
    """Every field needs a default, because the first instance has no state to read."""
    with pytest.raises(ConfigError, match=r"Needy\.total, state of CountingNeedily, needs a default"):
        state_type(CountingNeedily)


def test_a_state_that_is_no_struct_is_refused() -> None:
    """Only a Struct says what is durable; the error names the class and what it declared."""
    with pytest.raises(ConfigError, match=r"CountingInADict\.state must be annotated with a msgspec\.Struct"):
        state_type(CountingInADict)


def test_a_definition_says_everything_that_other_processes_need() -> None:
    """Name, where the class is, its config, its own options, and the first line of its docstring."""
    definition = Counting.named("counter", start=3)

    assert definition == Definition(
        name="counter",
        kind=f"{__name__}:Counting",
        config={"start": 3},
        options=Options(attempts=7),
        description="Counts.",
    )
    assert find_kind(definition.kind) is Counting
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'isolation'.*Options"):
        Counting.named("counter", isolation="process")


def test_a_nested_class_is_found_by_its_path() -> None:
    """A class inside a class is a program's too."""
    assert find_kind(kind_of(Outer.Inner)) is Outer.Inner


@pytest.mark.parametrize("name", ["prompt", "run-7", "Upper", "a.b", "a b", "", "x" * 64, "*"])
def test_a_name_that_cannot_be_an_agent_id_is_refused(name) -> None:
    """Protocol verbs, run ids, and what could break a subject are no names."""
    with pytest.raises(ConfigError):
        Plain.named(name)


def test_a_script_counts_as_the_module_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python app.py` and `actorium up app.py` give the same kind."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/somewhere/app.py", raising=False)
    monkeypatch.setattr(Plain, "__module__", "__main__")

    assert kind_of(Plain) == "app:Plain"


def test_a_class_inside_a_function_is_refused() -> None:
    """Nobody else could find it."""

    class Hidden(Actor):
        pass

    with pytest.raises(ConfigError, match="Hidden must stand at the top level of a module"):
        kind_of(Hidden)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("nowhere_at_all:X", "No module named 'nowhere_at_all'"),
        (f"{__name__}:Missing", "Missing"),
        (f"{__name__}:Total", "is no Actor class"),
        (f"{__name__}:Plain.options", "is no Actor class"),
        ("", "Empty module name"),
        (":", "Empty module name"),
        (f"{__name__}", "has no"),
    ],
)
def test_a_kind_that_is_not_there_says_which_and_why(kind, why) -> None:
    """UnknownKind tells what was looked for, and carries it as a field."""
    with pytest.raises(UnknownKind, match=why) as refused:
        find_kind(kind)

    assert refused.value.fields == {"kind": kind}


def test_a_module_that_fails_on_import_is_an_unknown_kind(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that raises while it is imported costs one agent its answer, not a worker its life."""
    (tmp_path / "bad_program.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(UnknownKind, match="no licence"):
        find_kind("bad_program:X")


def test_an_actor_without_receive_says_so() -> None:
    """The base class's own `receive` names the class that lacks one."""
    coroutine: Any = Plain().receive(1, None)
    with pytest.raises(NotImplementedError, match="Plain does not define receive"):
        coroutine.send(None)
