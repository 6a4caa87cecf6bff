"""How typed messages and tasks turn into each other."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from actorium.actors.actor import Actor
from actorium.actors.errors import BadTask
from actorium.actors.message import reader, to_result, to_task
from actorium.bus.codec import encode, read_task
from actorium.bus.errors import ActoriumError, ConfigError
from actorium.bus.task import Metrics, Result, Status, Task


class Add(msgspec.Struct):
    amount: int = 1


class TakeAway(msgspec.Struct):
    amount: int = 1


class Named_Oddly(msgspec.Struct):  # noqa: N801  # users may
    x: int = 0


class Table(msgspec.Struct):
    rows: dict[int, str]


@dataclass
class Bought:
    amount: int = 1


@dataclass
class Sold:
    amount: int = 1


class Basket(msgspec.Struct):
    what: Bought | Sold = Bought()


def receive_dataclasses(self: Actor, message: Bought | Sold, ctx: Any) -> None: ...
def receive_mixed(self: Actor, message: Add | Bought, ctx: Any) -> None: ...
def receive_open(self: Actor, message: Add | dict[str, int], ctx: Any) -> None: ...
def receive_deep(self: Actor, message: Add | Basket, ctx: Any) -> None: ...
def receive_add(self: Actor, message: Add, ctx: Any) -> None: ...
def receive_either(self: Actor, message: Add | TakeAway | Named_Oddly, ctx: Any) -> None: ...
def receive_maybe(self: Actor, message: Add | None, ctx: Any) -> None: ...
def receive_int(self: Actor, message: int, ctx: Any) -> None: ...
def receive_task(self: Actor, message: Task, ctx: Any) -> None: ...
def receive_any(self: Actor, message, ctx) -> None: ...
def receive_table(self: Actor, message: Table, ctx: Any) -> None: ...
def receive_nothing(self: Actor) -> None: ...
def receive_unknown(self: Actor, message: "Nowhere", ctx: Any) -> None: ...  # noqa: F821


def travel(message: object) -> Task:
    """As over the wire."""
    return read_task(encode(to_task(message)))


@pytest.mark.parametrize("message", [Add(amount=3), TakeAway(amount=4), Named_Oddly(x=5)])
def test_a_struct_arrives_as_itself(message) -> None:
    """A typed message of a union is found again by its class name, whatever case that has."""
    assert reader(receive_either)(travel(message)) == message


@pytest.mark.parametrize("action", ["TakeAway", "take_away", "takeaway", "TAKE_AWAY"])
def test_any_client_can_name_the_action(action) -> None:
    """The class may be named as Python or as JSON people write names."""
    assert reader(receive_either)(Task(action=action, spec={"amount": 2})) == TakeAway(amount=2)


def test_one_struct_needs_no_action() -> None:
    """With one message class the spec says it all; no spec means its defaults."""
    read = reader(receive_add)

    assert read(Task(spec={"amount": 2})) == Add(amount=2)
    assert read(Task(action="anything")) == Add()


def test_a_struct_or_none() -> None:
    """`Add | None` is one class: no spec is None, an object is the class."""
    read = reader(receive_maybe)

    assert read(Task(spec={"amount": 2})) == Add(amount=2)
    assert read(Task()) is None


def test_other_types_are_the_spec_itself() -> None:
    """`int` checks the spec; `Task` and no annotation get the task as it is."""
    task = Task(action="a", spec=7)

    assert reader(receive_int)(task) == 7
    assert reader(receive_task)(task) is task
    assert reader(receive_any)(task) is task


def test_keys_that_are_numbers_survive_json() -> None:
    """JSON has no keys but strings; a dict by number arrives as one all the same, here and from afar."""
    table = Table(rows={1: "one"})

    assert reader(receive_table)(travel(table)) == table
    assert reader(receive_table)(to_task(table)) == table


def test_what_does_not_fit_says_what_and_where() -> None:
    """A BadTask names the class, the field and what was expected, or the actions there are."""
    with pytest.raises(BadTask, match=r"no Add: Expected `int`, got `str` - at `\$.amount`"):
        reader(receive_add)(Task(spec={"amount": "many"}))
    with pytest.raises(BadTask, match="action 'fly' is not one of Add, TakeAway, Named_Oddly") as refused:
        reader(receive_either)(Task(action="fly"))
    assert refused.value.fields == {"action": "fly"}


def test_a_message_that_json_cannot_hold_is_refused_at_the_sender() -> None:
    """The sender is told the type that cannot travel."""
    with pytest.raises(BadTask, match="object cannot be sent"):
        to_task(object())


@pytest.mark.parametrize("receive", [receive_dataclasses, receive_mixed, receive_open, receive_deep])
def test_a_message_that_could_never_be_read_is_found_before_anything_starts(receive) -> None:
    """Of a union only Structs are told apart; the error names the type and says so."""
    with pytest.raises(ConfigError, match=r"(Bought|Add|Basket).* cannot be read: .*union.*; .*Struct"):
        reader(receive)


@pytest.mark.parametrize("receive", [receive_nothing, receive_unknown])
def test_a_receive_that_cannot_be_read_is_found_before_anything_starts(receive) -> None:
    """A missing parameter or a name nobody knows is an error of the program, in one line that names it."""
    with pytest.raises(ConfigError, match=r"receive"):
        reader(receive)


def test_a_value_becomes_the_data_of_a_success() -> None:
    """A returned Struct is its fields; the time it took is told."""
    assert to_result(Add(amount=2), 5) == Result(
        status=Status.SUCCESS, data={"amount": 2}, metrics=Metrics(execution_time_ms=5)
    )


def test_a_result_keeps_its_tokens_and_gets_its_time() -> None:
    """A handler may return a whole Result; only the time is ours to say."""
    told = Result(status=Status.PARTIAL, data=[1], metrics=Metrics(execution_time_ms=0, tokens_used=9))

    assert to_result(told, 5) == Result(
        status=Status.PARTIAL, data=[1], metrics=Metrics(execution_time_ms=5, tokens_used=9)
    )


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"in": object()},
        {(1, 2): 3},
        "half a \ud800 pair",
        nested(40),
        nested(100_000),
        "x" * (9 * 1024 * 1024),
        Result(status=Status.SUCCESS, data=object()),
        Result(status=Status.SUCCESS, data="\udfff"),
        Result(status=Status.FAILURE, error="\udfff"),
    ],
    ids=["object", "inner", "key", "text", "deep", "bottomless", "huge", "data", "data-text", "error"],
)
def test_what_json_cannot_hold_is_a_bad_task_and_no_crash(value) -> None:
    """What a handler returns either travels as JSON that others can read, or is refused in a sentence."""
    with pytest.raises(ActoriumError) as refused:
        to_result(value, 1)

    assert refused.value.code == BadTask.code
    assert "\n" not in refused.value.message
