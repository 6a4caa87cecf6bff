"""What servers that speak chat completions do to us, on a wire of our own, and what aimock saw of us."""

import asyncio
import json
import urllib.request

import msgspec
import pytest

from actorium.actors.models.errors import (
    AuthFailed,
    ModelOverloaded,
    ModelUnavailable,
    ModelUnreachable,
    Refused,
    Unsupported,
)
from actorium.actors.models.openai import OpenAIModel
from actorium.actors.models.port import (
    CallDelta,
    Delta,
    Effort,
    ModelRequest,
    Opaque,
    OutputSchema,
    StopReason,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    user,
)
from actorium.actors.models.profile import GEMINI, OLLAMA, OPENAI, OPENROUTER
from actorium.bus.errors import Effect
from eventually import eventually

TOOL = ToolSpec(name="look", description="Look.", schema={"type": "object"})


def ask(text: str = "hi", **options) -> ModelRequest:
    return ModelRequest(turns=(user(text),), **options)


def chunk(delta=None, finish=None, **fields):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "r1", "model": "served-1", "choices": choices, **fields}


def call(index=None, name=None, ref=None, arguments=None, **fields):
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    fragment = {"function": function, **fields}
    return fragment | {k: v for k, v in (("index", index), ("id", ref)) if v is not None}


@pytest.fixture
async def make(wire):
    made = []

    def factory(profile=OPENAI, key="secret-key", **options):
        made.append(OpenAIModel("m", profile, key=key, base_url=f"{wire.url}/v1/", **options))
        return made[-1]

    yield factory
    for model in made:
        await model.close()


async def test_a_missing_done_and_a_missing_usage_are_tolerated(wire, make):
    wire.events(chunk({"role": "assistant", "content": "a"}), chunk({"content": "b"}), chunk({}, "stop"))
    response = await make().complete(ask())
    assert (response.text, response.stop, response.usage) == ("ab", StopReason.END_TURN, None)


async def test_a_done_without_a_finish_reason_is_an_end(wire, make):
    wire.events(chunk({"content": "a"}), done=True)
    assert (await make().complete(ask())).stop is StopReason.END_TURN


async def test_a_stream_that_just_ends_was_cut(wire, make):
    wire.events(chunk({"content": "a"}))
    with pytest.raises(ModelUnavailable, match="ended before the answer did") as caught:
        await make().complete(ask())
    assert caught.value.effect is Effect.UNKNOWN


async def test_a_connection_that_breaks_was_cut_and_says_what_was_spent(wire, make):
    wire.events(chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}), end=False)
    with pytest.raises(ModelUnavailable) as caught:
        await make().complete(ask())
    assert type(caught.value) is ModelUnavailable
    assert caught.value.usage == Usage(input=5, output=1)


async def test_fragments_of_parallel_calls_are_merged_by_index(wire, make):
    told: list[Delta] = []
    wire.events(
        chunk({"tool_calls": [call(0, "look", "a", "")]}),
        chunk({"tool_calls": [call(1, "see", "b", '{"y"')]}),
        chunk({"tool_calls": [call(0, arguments='{"x": '), call(1, arguments=": 2}")]}),
        chunk({"tool_calls": [call(0, arguments="1}")]}),
        chunk({}, "tool_calls"),
        done=True,
    )
    response = await make().complete(ask(), on_delta=told.append)
    assert response.parts == (
        ToolCall(id="a", name="look", arguments={"x": 1}),
        ToolCall(id="b", name="see", arguments={"y": 2}),
    )
    assert told[0] == CallDelta(index=0, id="a", name="look")
    assert told[-1] == CallDelta(index=0, fragment="1}")


async def test_whole_calls_with_one_index_for_all_and_the_reason_stop_are_calls(wire, make):
    calls = [call(0, "look", "a", '{"x":1}'), call(0, "look", "b", {"x": 2}), call(None, "look", None, "{}")]
    wire.events(chunk({"tool_calls": calls[:2]}), chunk({}, "stop"))
    response = await make().complete(ask())
    assert [(c.id, c.arguments) for c in response.tool_calls] == [("a", {"x": 1}), ("b", {"x": 2})]
    assert response.stop is StopReason.TOOL_USE


async def test_a_call_without_an_id_gets_one(wire, make):
    wire.events(chunk({"tool_calls": [call(None, "look", None, "{}")]}), chunk({}, "tool_calls"))
    (found,) = (await make().complete(ask())).tool_calls
    assert found.id == "r1-0"


async def test_arguments_that_are_no_json_are_kept_and_sent_back_as_they_were(wire, make):
    wire.events(chunk({"tool_calls": [call(0, "look", "a", '{"x": ')]}), chunk({}, "tool_calls"))
    model = make()
    response = await model.complete(ask())
    assert response.tool_calls == (ToolCall(id="a", name="look", unparsed='{"x": '),)
    await model.complete(
        ModelRequest(turns=(user("hi"), response.turn(), user(ToolResult(id="a", content="?"))))
    )
    assert wire.seen[-1].body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"x": '


async def test_thought_signatures_go_back_to_gemini_and_to_nobody_else(wire, make):
    signed = {"google": {"thought_signature": "c2lnbmVk"}}
    fragment = call(0, "look", "a", "{}", extra_content=signed, type="function")
    wire.events(chunk({"tool_calls": [fragment]}), chunk({}, "tool_calls"))
    model = make(GEMINI)
    response = await model.complete(ask())
    assert response.tool_calls[0].extra == {"extra_content": signed}
    turns = (user("hi"), response.turn(), user(ToolResult(id="a", content="x"), "and?"))
    await model.complete(ModelRequest(turns=turns))
    assert wire.seen[-1].body["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "look", "arguments": "{}"},
                    "extra_content": signed,
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        {"role": "user", "content": "and?"},
    ]
    await make(OPENAI).complete(ModelRequest(turns=turns))
    assert "extra_content" not in wire.seen[-1].body["messages"][1]["tool_calls"][0]


async def test_reasoning_is_told_kept_and_sent_back_in_one_piece(wire, make):
    told: list[Delta] = []
    detail = {"type": "reasoning.text", "index": 0, "format": "f"}
    wire.events(
        chunk({"reasoning": "six ", "reasoning_details": [detail | {"text": "six "}]}),
        chunk({"reasoning": "times", "reasoning_details": [detail | {"text": "times"}]}),
        chunk({"reasoning_details": [detail | {"signature": "s"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "data": "e"}]}),
        chunk({"content": "42"}),
        chunk({}, "stop"),
    )
    model = make(OPENROUTER)
    response = await model.complete(ask(), on_delta=told.append)
    assert told == [ThinkingDelta("six "), ThinkingDelta("times"), TextDelta("42")]
    kept = {
        "reasoning": "six times",
        "reasoning_details": [
            detail | {"text": "six times", "signature": "s"},
            {"type": "reasoning.encrypted", "index": 0, "data": "e"},
        ],
    }
    assert response.parts == (Opaque(kept), Text("42"))
    await model.complete(ModelRequest(turns=(user("hi"), response.turn(), user("so?"))))
    assert wire.seen[-1].body["messages"][1] == {"role": "assistant", "content": "42"} | kept


async def test_a_server_that_does_not_stream_is_read_whole(wire, make):
    message = {"role": "assistant", "content": "hi", "tool_calls": [call(None, "look", "a", '{"x":1}')]}
    whole = {
        "id": "r",
        "model": "m2",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    wire.json(whole | {"usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    response = await make().complete(ask())
    assert response.parts == (Text("hi"), ToolCall(id="a", name="look", arguments={"x": 1}))
    assert (response.model, response.usage) == ("m2", Usage(input=3, output=2))
    wire.replies.clear()
    wire.json({"choices": [{"message": {"content": "hi"}}]})
    assert (await make().complete(ask())).text == "hi"


async def test_usage_counts_the_cache_in_the_input_and_thinking_in_the_output(wire, make):
    details = {
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    counted = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 115}
    wire.events(chunk({"content": "a"}), chunk({}, "stop"), chunk(usage=counted | details), done=True)
    usage = (await make(GEMINI).complete(ask())).usage
    assert usage == Usage(input=100, output=15, cache_read=60, reasoning=5)


async def test_a_refusal_in_words_is_an_answer(wire, make):
    wire.events(chunk({"refusal": "I will "}), chunk({"refusal": "not."}), chunk({}, "stop"))
    response = await make().complete(ask())
    assert (response.text, response.stop) == ("I will not.", StopReason.REFUSAL)


@pytest.mark.parametrize(
    ("finish", "stop", "detail"),
    [
        ("length", StopReason.MAX_TOKENS, ""),
        ("content_filter", StopReason.REFUSAL, ""),
        ("model_length", StopReason.CONTEXT_OVERFLOW, ""),
        ("eos", StopReason.END_TURN, "eos"),
    ],
)
async def test_reasons_to_stop(wire, make, finish, stop, detail):
    wire.events(chunk({"content": "a"}), chunk({}, finish))
    response = await make().complete(ask())
    assert (response.stop, response.stop_detail) == (stop, detail)


async def test_an_error_before_the_first_piece_did_not_run_and_one_behind_it_may_have(wire, make):
    full = {"error": {"code": 529, "message": "full"}}
    wire.events(full)
    with pytest.raises(ModelOverloaded):
        await make().complete(ask())
    wire.replies.clear()
    wire.events(chunk({"content": "a"}), full)
    with pytest.raises(ModelUnavailable, match="full"):
        await make().complete(ask())


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, {"message": "bad secret-key"}, AuthFailed),
        (402, {"message": "pay"}, AuthFailed),
        (429, {"message": "no more", "code": "insufficient_quota"}, AuthFailed),
        (403, {"message": "no", "metadata": {}, "code": "content_policy_violation"}, Refused),
        (502, {"message": "gateway"}, ModelUnavailable),
        (503, {"message": "later"}, ModelOverloaded),
    ],
)
async def test_statuses(wire, make, status, error, kind):
    wire.json({"error": error}, status=status)
    with pytest.raises(kind) as caught:
        await make().complete(ask())
    assert "secret-key" not in str(caught.value)


async def test_an_error_that_is_no_json_is_told_in_its_words(wire, make):
    wire.stream(b"<html>bad gateway</html>", status=502, content_type="text/html")
    with pytest.raises(ModelUnavailable, match="bad gateway"):
        await make().complete(ask())


async def test_what_is_no_event_of_this_wire_is_a_fault_of_the_server(wire, make):
    wire.stream(b"data: {nonsense\n\n")
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        await make().complete(ask())


async def test_a_missing_key_is_named(make):
    for called in (make(key="").complete(ask()), make(key="").check()):
        with pytest.raises(AuthFailed, match="set OPENAI_API_KEY"):
            await called


async def test_no_connection_is_known_not_to_have_run(unused_url):
    model = OpenAIModel("m", OLLAMA, base_url=unused_url)
    for called in (model.complete(ask()), model.check()):
        with pytest.raises(ModelUnreachable) as caught:
            await called
        assert caught.value.effect is Effect.NO
    await model.close()


async def test_a_key_that_is_refused_fails_the_check(wire, make):
    wire.json({"error": {"message": "wrong"}}, status=401)
    with pytest.raises(AuthFailed):
        await make().check()
    assert (wire.seen[0].path, wire.seen[0].headers["authorization"]) == ("/v1/models", "Bearer secret-key")


async def test_a_server_without_a_list_of_models_passes_the_check(wire, make):
    wire.json({"error": "no such page"}, status=404)
    await make().check()


async def test_a_library_that_is_missing_is_named(make, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx2", None)
    with pytest.raises(Unsupported, match=r"actorium\[http\]"):
        await make().complete(ask())


async def test_the_connection_is_used_again(wire, make):
    wire.events(chunk({"content": "a"}), chunk({}, "stop"), done=True)
    model = make()
    for _ in range(3):
        await model.complete(ask())
    assert (len(wire.seen), wire.connections) == (3, 1)


async def test_a_cancelled_call_closes_its_connection(wire, make):
    wire.hang(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    told: list[Delta] = []
    task = asyncio.ensure_future(make().complete(ask(), on_delta=told.append))
    await eventually(lambda: told)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(wire.gone.wait(), 5)


async def test_silence_between_two_pieces_ends_a_call(wire, make):
    wire.hang(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    with pytest.raises(ModelUnavailable, match="silent"):
        await make().complete(ask(), timeout=0.1)


async def test_a_request_as_the_wire_has_it(wire, make):
    wire.events(chunk({"content": "{}"}), chunk({}, "stop"))
    schema = {"type": "object", "properties": {}}
    request = ModelRequest(
        turns=(user("a", "b"), user(ToolResult(id="x", content="no", is_error=True))),
        system="be short",
        tools=(TOOL,),
        max_tokens=7,
        output=OutputSchema(schema=schema),
        effort=Effort.MAX,
        stop=("END",),
    )
    await make(extra={"temperature": 0}).complete(request)
    assert wire.seen[0].path == "/v1/chat/completions"
    assert wire.seen[0].body == {
        "model": "m",
        "max_completion_tokens": 7,
        "messages": [
            {"role": "system", "content": "be short"},
            {"role": "user", "content": "a\n\nb"},
            {"role": "tool", "tool_call_id": "x", "content": "[error] no"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}},
            }
        ],
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
        "reasoning_effort": "xhigh",
        "temperature": 0,
    }
    await make(OLLAMA).complete(msgspec.structs.replace(request, output=None))
    assert wire.seen[1].body["max_tokens"] == 7
    assert wire.seen[1].body["reasoning_effort"] == "high"


async def test_aimock_takes_our_requests_and_its_reasoning_is_told(aimock):
    model = OpenAIModel("gpt-5", OPENAI, key="k", base_url=f"{aimock}/v1")
    told: list[Delta] = []
    response = await model.complete(ask("think"), on_delta=told.append)
    await model.close()
    assert response.parts == (Opaque({"reasoning_content": "six times seven"}), Text("42"))
    assert ThinkingDelta("six times seven") in told
    journal = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(f"{aimock}/__aimock/journal")))
    sent = [entry["body"] for entry in journal if entry["path"] == "/v1/chat/completions"][-1]
    assert sent["stream_options"] == {"include_usage": True}
