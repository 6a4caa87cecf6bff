"""Recorded conversations are answered strictly, and the difference is shown."""

import asyncio

import pytest

from actorium.actors.models.errors import ModelOverloaded, ReplayMismatch
from actorium.actors.models.port import ModelRequest, TextDelta, ToolResult, user
from actorium.actors.models.recorded import RecordedModel, RecordingModel, difference
from actorium.actors.models.scripted import ScriptedModel, call, in_order, say
from actorium.bus.errors import ConfigError


def ask(text: str, **options) -> ModelRequest:
    return ModelRequest(turns=(user(text),), **options)


def echo(request: ModelRequest):
    text = request.turns[0].parts[0].text
    if text == "fail":
        raise ModelOverloaded("full", status="529")
    return say(text)


@pytest.fixture
async def path(tmp_path):
    recording = RecordingModel(ScriptedModel(echo), tmp_path / "talk.json")
    await recording.complete(ask("one"))
    await recording.complete(ask("two", system="s"))
    with pytest.raises(ModelOverloaded):
        await recording.complete(ask("fail"))
    return tmp_path / "talk.json"


async def test_a_conversation_is_played_with_its_errors(path):
    model = RecordedModel(path)
    told = []
    assert (await model.complete(ask("one"), on_delta=told.append)).text == "one"
    assert told == [TextDelta("one")]
    with pytest.raises(ModelOverloaded, match="full") as caught:
        await model.complete(ask("fail"))
    assert caught.value.fields == {"status": "529"}


async def test_requests_may_come_in_another_order(path):
    model = RecordedModel(path)
    answers = await asyncio.gather(model.complete(ask("two", system="s")), model.complete(ask("one")))
    assert [answer.text for answer in answers] == ["two", "one"]


async def test_another_request_is_refused_with_the_part_that_differs(path):
    model = RecordedModel(path)
    with pytest.raises(
        ReplayMismatch, match=r'request\.turns\[0\]\.parts\[0\]\.text: recorded "one", asked "won"'
    ):
        await model.complete(ask("won"))
    await model.complete(ask("one"))
    with pytest.raises(ReplayMismatch, match=r'request\.system: recorded "s", asked null'):
        await model.complete(ask("two"))


async def test_each_record_answers_once(path):
    model = RecordedModel(path)
    await model.complete(ask("one"))
    with pytest.raises(ReplayMismatch):
        await model.complete(ask("one"))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for name in ("missing.json", "bad.json"):
        with pytest.raises(ConfigError, match=name):
            RecordedModel(tmp_path / name)


def test_differences():
    assert difference({"a": [1, 2]}, {"a": [1, 2]}) is None
    assert difference({"a": [1, 2]}, {"a": [1, 3]}) == ("request.a[1]", 2, 3)
    assert difference({"a": [1]}, {"a": [1, 3]}) == ("request.a[1]", None, 3)
    assert difference({}, {"b": 1}) == ("request", {}, None)
    assert difference({"a": 1}, {"a": 1, "b": []}) == ("request.b", None, [])


async def test_a_script_in_order_answers_by_the_conversation_alone():
    model = ScriptedModel(in_order(call(("look", {"x": 1}), text="first"), say("done")))
    request = ask("go")
    asked = await model.complete(request)
    assert asked == await model.complete(request)  # as after a crash
    (wanted,) = asked.tool_calls
    result = user(ToolResult(id=wanted.id, content="y"))
    turns = (*request.turns, asked.turn(), result)
    assert (await model.complete(ModelRequest(turns=turns))).text == "done"
