"""What a tool tells a model, what it takes from one, and what it refuses to be."""

import asyncio
import json
import sys
import types
from typing import Literal

import msgspec
import pytest

from actorium.actors.context import Context
from actorium.actors.errors import BadTask
from actorium.actors.runs.effect import EffectClass, Risk
from actorium.actors.runs.tool import OUTPUT_LIMIT, find_tool, shown, tool, unknown_tool
from actorium.bus.envelope import Envelope
from actorium.bus.errors import ConfigError

CTX = Context("it", Envelope(), "run-1/1/1", None)


class Invoice(msgspec.Struct):
    number: int
    lines: list[str] = []


@tool(effect="idempotent", risk="high", approve="finance")
async def pay(
    invoice: Invoice,
    ctx: Context,
    currency: Literal["EUR", "USD"] = "EUR",
    tags: list[str] = [],  # noqa: B006
) -> str:
    """Pay an invoice.

    It goes out tonight.

    Args:
        invoice: The invoice to pay.
        currency: What it is paid in.

    Returns:
        A receipt.
    """
    tags.append(ctx.task_id)
    return f"paid {invoice.number} in {currency} {tags}"


@tool
def plain(count: int) -> int:
    """Count."""
    return count + 1


def test_the_schema_comes_from_types_and_docstring():
    spec = pay.spec
    assert spec.description == "Pay an invoice.\n\nIt goes out tonight."
    assert spec.schema["required"] == ["invoice"]
    assert list(spec.schema["properties"]) == ["invoice", "currency", "tags"]
    assert spec.schema["properties"]["currency"]["description"] == "What it is paid in."
    assert spec.schema["properties"]["currency"]["enum"] == ["EUR", "USD"]
    assert spec.schema["$defs"]["Invoice"]["required"] == ["number"]
    assert (spec.effect, spec.risk, spec.timeout, spec.approve) == ("idempotent", "high", 60.0, "finance")
    json.dumps(spec.schema)


def test_a_tool_that_says_nothing_is_irreversible_and_low_with_ten_seconds():
    assert (plain.spec.effect, plain.spec.risk, plain.spec.timeout) == (
        EffectClass.IRREVERSIBLE,
        Risk.LOW,
        10.0,
    )


async def test_arguments_are_converted_and_the_context_is_given():
    arguments = pay.read({"invoice": {"number": 17}, "currency": "USD"})
    assert await pay.call(arguments, CTX) == "paid 17 in USD ['run-1/1/1']"


async def test_a_default_that_is_changed_is_another_callers_no_more():
    for _ in range(2):
        assert await pay.call(pay.read({"invoice": {"number": 1}}), CTX) == "paid 1 in EUR ['run-1/1/1']"


async def test_a_plain_function_runs_off_the_loop_and_the_decorated_stays_callable():
    assert await plain.call(plain.read({"count": "4"}), CTX) == 5
    assert plain(1) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "missing required field `count`"),
        ({"count": "x"}, "int"),
        ({"count": 1, "much": 2}, "unknown field"),
    ],
)
def test_wrong_arguments_are_answered_with_the_right_ones(arguments, told):
    with pytest.raises(BadTask) as caught:
        plain.read(arguments)
    assert told in caught.value.message
    assert "its arguments are: count" in caught.value.message


@pytest.mark.parametrize("plainly", [True, False], ids=["plain", "async"])
async def test_a_tool_that_ends_its_process_ends_its_call_only(plainly):
    def leave() -> None:
        sys.exit(2)

    async def leave_too() -> None:
        sys.exit(2)

    made = tool(leave if plainly else leave_too)
    with pytest.raises(RuntimeError, match=r"sys\.exit\(2\)"):
        await made.call(made.read({}), CTX)


async def test_a_tool_whose_own_wait_was_cancelled_does_not_look_like_a_stop():
    @tool
    async def waits() -> None:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost

    with pytest.raises(TimeoutError, match="was cancelled"):
        await waits.call(waits.read({}), CTX)


async def test_a_slow_tool_is_cut_at_its_timeout():
    @tool(timeout=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await slow.call({}, CTX)


def test_what_cannot_be_a_tool_is_refused_when_it_is_made():
    def no_type(a): ...
    def many(*a: int): ...
    def odd(a: asyncio.Lock): ...
    def good(a: int): ...

    for function in (no_type, many, odd):
        with pytest.raises(ConfigError):
            tool(function)
    for words in ({"effect": "maybe"}, {"risk": "huge"}, {"effect": "compensable"}, {"name": "no spaces"}):
        with pytest.raises(ConfigError):
            tool(**words)(good)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"effect": "irreversable"}, "there is no effect 'irreversable', did you mean 'irreversible'?"),
        ({"risk": "hihg"}, "there is no risk 'hihg', did you mean 'high'?"),
        ({"effect": "compensable"}, "it is compensable, so it needs undo="),
        ({"undo": len}, "it has undo= and is irreversible, which is never undone"),
        ({"effect": "pure", "probe": len}, "it has probe= and is pure, which is never probed"),
        ({"timeout": 0}, "timeout must be seconds above 0, and is 0"),
        ({"timeout": float("inf")}, "timeout must be seconds above 0, and is inf"),
    ],
)
def test_what_would_be_left_out_silently_is_refused(words, told):
    """An undo that is never called is worse than none: somebody counts on it."""
    with pytest.raises(ConfigError) as refused:
        tool(name="act", **words)(lambda: None)
    assert refused.value.message.startswith(f"tool act: {told}")


def test_a_misspelled_tool_is_answered_with_the_nearest():
    told = unknown_tool("serch_web", ["search_web", "pay"])
    assert told == "There is no tool 'serch_web'. Did you mean search_web? Available: search_web, pay."
    assert unknown_tool("x", []) == "There is no tool 'x'. Available: none."


def test_a_tool_is_found_by_its_path_and_nothing_else_is(monkeypatch):
    module = types.ModuleType("ledger_of_tools")
    module.pay = pay
    monkeypatch.setitem(sys.modules, "ledger_of_tools", module)
    assert find_tool("ledger_of_tools:pay") is pay
    for path in ("no.such:thing", "actorium.actors.runs.tool:tool", "actorium.actors.runs.tool:x", "json"):
        with pytest.raises(ConfigError):
            find_tool(path)


def test_results_are_shown_as_text_or_json_and_cut():
    assert shown("words") == "words"
    assert shown({"a": Invoice(number=1)}) == '{"a":{"number":1,"lines":[]}}'
    assert shown(object()).startswith('"<object')
    assert shown("half \ud800") == "half ?"
    assert shown("x" * (OUTPUT_LIMIT + 1)).endswith(
        f"[cut: {OUTPUT_LIMIT + 1} characters in all, the first {OUTPUT_LIMIT} are shown]"
    )
