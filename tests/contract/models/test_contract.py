"""What every model promises, whatever stands behind it."""

import asyncio
import json
import time

import msgspec
import pytest

from actorium.actors.models.chain import Fallback, Retry
from actorium.actors.models.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    Refused,
)
from actorium.actors.models.port import (
    CallDelta,
    Delta,
    Model,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    StopReason,
    TextDelta,
    ToolResult,
    ToolSpec,
    Usage,
    user,
)
from actorium.bus.errors import Effect, from_failure

WEATHER = ToolSpec(
    name="weather",
    description="The weather of a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def ask(text: str, **options) -> ModelRequest:
    return ModelRequest(turns=(user(text),), **options)


async def test_an_answer_has_its_words_its_end_and_its_usage(model: Model):
    response = await model.complete(ask("hello"))
    assert response.text == "Hello there, how are you today?"
    assert response.stop is StopReason.END_TURN
    assert response.usage == Usage(input=10, output=7)
    assert response.provider
    assert response.model


async def test_the_pieces_make_up_the_answer(model: Model):
    told: list[Delta] = []
    response = await model.complete(ask("hello"), on_delta=told.append)
    assert "".join(delta.text for delta in told if isinstance(delta, TextDelta)) == response.text
    without = await model.complete(ask("hello"))
    assert (without.parts, without.stop, without.usage) == (response.parts, response.stop, response.usage)


async def test_parallel_tool_calls_come_with_their_arguments(model: Model):
    told: list[Delta] = []
    response = await model.complete(ask("weather", tools=(WEATHER,)), on_delta=told.append)
    first, second = response.tool_calls
    assert response.stop is StopReason.TOOL_USE
    assert (first.name, first.arguments) == ("weather", {"city": "Paris"})
    assert (second.name, second.arguments) == ("weather", {"city": "Kraków", "days": [1, 2]})
    assert first.id != second.id
    calls = [delta for delta in told if isinstance(delta, CallDelta)]
    by_index: dict[int, str] = {}
    for delta in calls:
        by_index[delta.index] = by_index.get(delta.index, "") + delta.fragment
    assert [json.loads(text) for text in by_index.values()] == [first.arguments, second.arguments]
    assert [delta.id for delta in calls if delta.name] == [first.id, second.id]


async def test_tool_results_lead_to_the_next_turn(model: Model):
    request = ask("weather", tools=(WEATHER,))
    asked = await model.complete(request)
    results = [ToolResult(id=call.id, content="sunny", is_error=False) for call in asked.tool_calls]
    turns = (*request.turns, asked.turn(), user(*results))
    response = await model.complete(msgspec.structs.replace(request, turns=turns))
    assert response.text == "Paris is sunny and Kraków is not."
    assert response.stop is StopReason.END_TURN


async def test_structured_output_is_the_text(model: Model):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    response = await model.complete(ask("as json", output=OutputSchema(schema=schema)))
    assert json.loads(response.text) == {"city": "Paris", "degrees": 21}


async def test_requests_and_responses_are_the_same_after_a_ledger_kept_them(model: Model):
    request = ask("weather", tools=(WEATHER,), system="short")
    response = await model.complete(request)
    assert msgspec.json.decode(msgspec.json.encode(request), type=ModelRequest) == request
    assert msgspec.json.decode(msgspec.json.encode(response), type=ModelResponse) == response


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("too often", ModelRateLimited),
        ("too long", ContextOverflow),
        ("wrong key", AuthFailed),
        ("forbidden", Refused),
        ("nonsense", BadRequest),
        ("break off", ModelUnavailable),
    ],
)
async def test_an_error_says_what_is_known(model: Model, text, kind):
    with pytest.raises(ModelError) as caught:
        await model.complete(ask(text))
    error = caught.value
    assert type(error) is kind
    assert error.retryable is (kind in {ModelRateLimited, ModelUnavailable})
    assert error.effect is (Effect.UNKNOWN if kind is ModelUnavailable else Effect.NO)
    assert error.retry_after == (3.0 if kind is ModelRateLimited else None)
    again = from_failure(error.failure())
    assert (type(again), again.failure()) == (kind, error.failure())


async def test_a_model_that_is_full_answers_when_it_is_asked_again(model: Model):
    chain = Fallback([model], retry=Retry(first_pause=0.001))
    response = await chain.complete(ask(f"busy once {model.name.partition(':')[0]}"))
    assert response.text == "now I have time"
    (failed,) = response.attempts
    assert failed.failure.code == ModelOverloaded.code


async def test_silence_ends_a_call_in_time(model: Model):
    with pytest.raises(ModelUnavailable, match="silent for"):
        await model.complete(ask("say nothing"), timeout=0.2)


async def test_a_cancelled_call_ends_at_once(model: Model):
    await model.check()  # nothing is loaded any more
    task = asyncio.ensure_future(model.complete(ask("say nothing")))
    await asyncio.sleep(0)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 1.0


async def test_what_the_listener_raises_ends_the_call(model: Model):
    def listen(delta: Delta) -> None:
        raise ZeroDivisionError(delta)

    with pytest.raises(ZeroDivisionError):
        await model.complete(ask("hello"), on_delta=listen)


async def test_many_calls_at_once_keep_apart(model: Model):
    answers = await asyncio.gather(
        *(model.complete(ask("hello")) for _ in range(10)),
        *(model.complete(ask("weather", tools=(WEATHER,))) for _ in range(10)),
    )
    assert {answer.text for answer in answers[:10]} == {"Hello there, how are you today?"}
    assert {len(answer.tool_calls) for answer in answers[10:]} == {2}


async def test_a_check_passes_and_a_closed_model_opens_again(model: Model):
    await model.check()
    await model.close()
    await model.close()
    assert (await model.complete(ask("hello"))).text
