"""A whole run over the wire of a provider: it thinks, calls tools in parallel, and reports."""

import asyncio
from typing import ClassVar

import pytest

from actorium import Agent, App, Status
from actorium.actors.runs.tool import tool
from actorium.runtime.memory import in_memory


class Sky:
    """What was looked up."""

    seen: ClassVar[list[str]] = []


@tool(effect="pure", risk="low")
async def weather(city: str, days: list[int] | None = None) -> str:
    """How the weather is in a city.

    Args:
        city: Where.
        days: Which days from now; today where left out.
    """
    await asyncio.sleep(0)
    Sky.seen.append(city)
    return f"{city}: {'sun' if city == 'Paris' else 'rain'} on {days or 'today'}"


@pytest.fixture
def provider(aimock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", aimock)
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{aimock}/v1")


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("model", ["anthropic:claude-opus-5-5", "openai:gpt-5"])
async def test_an_agent_calls_its_tools_in_parallel_and_reports(model: str) -> None:
    Sky.seen.clear()
    async with in_memory(App(Agent("clerk", model=model, tools=[weather]))) as client:
        handle = await client.tell("clerk", "weather", task_id="w")
        result = await handle.result(timeout=20)
        told = await client.runs.show("clerk", "w")
    assert (result.status, result.data) == (Status.SUCCESS, "Paris is sunny and Kraków is not.")
    assert sorted(Sky.seen) == ["Kraków", "Paris"]
    assert [call.content for call in told.calls] == ["Paris: sun on today", "Kraków: rain on [1, 2]"]
    assert (result.metrics.steps, result.metrics.tool_calls) == (2, 2)
    assert (result.metrics.tokens_used, result.metrics.usd > 0) == (220, True)


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("busy", ["anthropic:claude-opus-5-5", "openai:gpt-5"])
async def test_what_the_provider_refuses_for_good_the_next_model_is_not_asked(busy: str) -> None:
    """The request is at fault; the run says so in the provider's words."""
    async with in_memory(App(Agent("clerk", model=busy, fallback=["openai:gpt-5-mini"]))) as client:
        result = await (await client.tell("clerk", "nonsense")).result(timeout=20)
    assert (result.status, result.failure.code) == (Status.FAILURE, "model_bad_request")
    assert "unknown field" in result.error
