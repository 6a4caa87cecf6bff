"""Costs: by the user's prices, by the list, and never zero where nothing is known."""

import datetime as dt
import sys

import pytest

from actorium.actors.models.port import ModelRequest, ModelResponse, StopReason, Usage, user
from actorium.actors.models.prices import Known, Price, Prices, Unknown

AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
MILLION = 1_000_000


def test_the_list_knows_the_models_and_what_their_cache_costs():
    usage = Usage(input=MILLION, output=1000, cache_read=500_000, cache_write=100_000)
    cost = Prices().cost("anthropic:claude-sonnet-5-5", usage, at=AT)
    # $2 for 400,000 fresh, $0.10 for what was read, $2.50 for what was written, $10 for the output
    assert cost == Known(pytest.approx(0.8 + 0.05 + 0.25 + 0.01), source="genai-prices claude-sonnet-5-5")


def test_own_prices_win_and_may_stand_for_many_models():
    prices = Prices(
        {"ollama:*": Price(input=0, output=0), "openai:gpt-5*": Price(input=1, output=2, cache_read=0.5)}
    )
    assert prices.cost("ollama:llama3.2:3b", Usage(input=5)) == Known(0.0, "own price ollama:*")
    usage = Usage(input=MILLION, output=MILLION, cache_read=MILLION // 2)
    assert prices.cost("openai:gpt-5-mini", usage) == Known(0.5 + 0.25 + 2, "own price openai:gpt-5*")


@pytest.mark.parametrize(
    "model", ["anthropic:nobody", "ollama:llama", "mylab:x", "scripted:script", "openai:"]
)
def test_an_unknown_price_is_not_zero(model):
    cost = Prices().cost(model, Usage(input=5, output=5))
    assert isinstance(cost, Unknown)
    assert model in cost.reason


def test_an_unknown_usage_is_not_zero():
    assert isinstance(Prices().cost("anthropic:claude-sonnet-5-5", None), Unknown)


def test_a_usage_that_makes_no_sense_is_not_zero():
    cost = Prices().cost("anthropic:claude-sonnet-5-5", Usage(input=1, cache_read=5), at=AT)
    assert isinstance(cost, Unknown)


def test_without_the_list_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    cost = Prices().cost("anthropic:claude-sonnet-5-5", Usage(input=1))
    assert cost == Unknown("anthropic:claude-sonnet-5-5: no list of prices: pip install 'actorium[prices]'")


def test_a_response_is_priced_by_who_answered():
    response = ModelResponse(
        parts=(),
        stop=StopReason.END_TURN,
        provider="anthropic",
        model="claude-sonnet-5-5",
        usage=Usage(output=1000),
    )
    assert Prices().cost_of(response, at=AT) == Known(0.01, "genai-prices claude-sonnet-5-5")


def test_the_worst_case_is_above_what_the_same_text_really_costs():
    text = "The quick brown fox jumps over the lazy dog. " * 100  # 1,000 tokens and a few
    request = ModelRequest(turns=(user(text),), max_tokens=1000)
    worst = Prices().worst("anthropic:claude-sonnet-5-5", request, at=AT)
    real = Prices().cost(
        "anthropic:claude-sonnet-5-5", Usage(input=1001, output=1000, cache_write=1001), at=AT
    )
    assert isinstance(worst, Known)
    assert isinstance(real, Known)
    assert real.usd < worst.usd < 2 * real.usd
    assert isinstance(Prices().worst("mylab:x", request), Unknown)
