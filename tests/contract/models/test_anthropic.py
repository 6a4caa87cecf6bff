"""What Anthropic's wire does to us, on a server of our own, and what it gets from us."""

import asyncio
import subprocess
import sys

import msgspec
import pytest

from actorium.actors.models.anthropic import AnthropicModel
from actorium.actors.models.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    ModelUnreachable,
    Unsupported,
)
from actorium.actors.models.port import (
    CallDelta,
    Delta,
    Effort,
    ModelRequest,
    Opaque,
    OutputSchema,
    Role,
    StopReason,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolChoice,
    ToolResult,
    ToolSpec,
    Turn,
    Usage,
    user,
)
from actorium.bus.errors import Effect
from eventually import eventually

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "output_tokens": 1,
        },
    },
}
STOP = {"type": "message_stop"}


def ask(text: str = "hi", **options) -> ModelRequest:
    return ModelRequest(turns=(user(text),), **options)


def block(index, begun, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index, *words):
    deltas = ({"type": "text_delta", "text": word} for word in words)
    return block(index, {"type": "text", "text": ""}, *deltas)


def end(reason="end_turn", **fields):
    usage = {"output_tokens": 30, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 12}}
    return [{"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": usage}, STOP]


@pytest.fixture
async def make(wire):
    made = []

    def factory(key="secret-key", **options):
        made.append(AnthropicModel("claude-x", key=key, base_url=wire.url, **options))
        return made[-1]

    yield factory
    for model in made:
        await model.close()


async def test_thinking_is_told_kept_and_sent_back_unchanged(wire, make):
    told: list[Delta] = []
    wire.events(
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "six "},
            {"type": "thinking_delta", "thinking": "times"},
            {"type": "signature_delta", "signature": "EqQB=="},
        ),
        *block(1, {"type": "redacted_thinking", "data": "xyz"}),
        *block(
            2,
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}, "caller": {"type": "direct"}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"x": '},
            {"type": "input_json_delta", "partial_json": "1}"},
        ),
        *end("tool_use"),
    )
    model = make()
    response = await model.complete(ask(), on_delta=told.append)
    thinking = {"type": "thinking", "thinking": "six times", "signature": "EqQB=="}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    wanted = ToolCall(id="toolu_1", name="look", arguments={"x": 1}, extra={"caller": {"type": "direct"}})
    assert response.parts == (Opaque(thinking), Opaque(redacted), wanted)
    assert told[:2] == [ThinkingDelta("six "), ThinkingDelta("times")]
    assert told[2] == CallDelta(index=2, id="toolu_1", name="look")
    stored = msgspec.json.decode(msgspec.json.encode(response.turn()), type=Turn)
    await model.complete(
        ModelRequest(turns=(user("hi"), stored, user(ToolResult(id="toolu_1", content="y"))))
    )
    used = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "look",
        "input": {"x": 1},
        "caller": {"type": "direct"},
    }
    assert wire.seen[-1].body["messages"][1] == {"role": "assistant", "content": [thinking, redacted, used]}


async def test_what_another_provider_signed_stays_away(wire, make):
    wire.events(START, *text(0, "ok"), *end())
    foreign = Turn(
        role=Role.ASSISTANT,
        parts=(Opaque({"reasoning": "r"}), ToolCall(id="f.look:0", name="look", extra={"extra_content": 1})),
        provider="gemini",
    )
    await make().complete(
        ModelRequest(turns=(user("hi"), foreign, user(ToolResult(id="f.look:0", content="y"))))
    )
    _, assistant, result = wire.seen[0].body["messages"]
    assert assistant["content"] == [{"type": "tool_use", "id": "f_look_0", "name": "look", "input": {}}]
    assert result["content"][0]["tool_use_id"] == "f_look_0"


async def test_usage_is_the_sum_with_the_cache(wire, make):
    wire.events(START, *text(0, "a", "b"), *end())
    response = await make().complete(ask())
    assert response.usage == Usage(input=130, output=30, cache_read=100, cache_write=20, reasoning=12)
    assert (response.text, response.id, response.model) == ("ab", "msg_1", "claude-served")


@pytest.mark.parametrize(
    ("reason", "fields", "expected"),
    [
        ("end_turn", {}, (StopReason.END_TURN, "")),
        ("max_tokens", {}, (StopReason.MAX_TOKENS, "")),
        ("stop_sequence", {"stop_sequence": "END"}, (StopReason.STOP_SEQUENCE, "END")),
        ("tool_use", {}, (StopReason.TOOL_USE, "")),
        ("pause_turn", {}, (StopReason.PAUSE_TURN, "")),
        ("model_context_window_exceeded", {}, (StopReason.CONTEXT_OVERFLOW, "")),
        ("refusal", {}, (StopReason.REFUSAL, "")),
        (
            "refusal",
            {"stop_details": {"type": "refusal", "category": "bio", "explanation": "no"}},
            (StopReason.REFUSAL, "bio no"),
        ),
        ("some_day", {}, (StopReason.END_TURN, "some_day")),
    ],
)
async def test_reasons_to_stop(wire, make, reason, fields, expected):
    wire.events(START, *text(0, "a"), *end(reason, **fields))
    response = await make().complete(ask())
    assert (response.stop, response.stop_detail) == expected


async def test_overloaded_inside_a_stream_is_an_error_of_its_own_until_something_came(wire, make):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    wire.events(error)
    with pytest.raises(ModelOverloaded) as early:
        await make().complete(ask())
    assert (early.value.effect, early.value.usage) == (Effect.NO, None)
    wire.replies.clear()
    wire.events(START, *text(0, "a"), error)
    with pytest.raises(ModelUnavailable, match="Overloaded") as late:
        await make().complete(ask())
    assert late.value.effect is Effect.UNKNOWN
    assert late.value.usage == Usage(input=130, output=1, cache_read=100, cache_write=20)


async def test_a_stream_that_breaks_or_just_ends_was_cut(wire, make):
    wire.events(START, *text(0, "a"), end=False)
    wire.events(START, *text(0, "a"))
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="broke off") as caught:
            await make().complete(ask())
        assert caught.value.usage == Usage(input=130, output=1, cache_read=100, cache_write=20)


async def test_blocks_and_events_that_we_do_not_know_are_kept_and_skipped(wire, make):
    strange = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    wire.events(
        START,
        {"type": "ping"},
        {"type": "some_day", "delta": {"type": "x"}},
        *block(0, strange, {"type": "input_json_delta", "partial_json": '{"q": "x"}'}),
        *block(1, {"type": "some_day", "list": [1]}, {"type": "some_delta", "more": "a", "n": 2}),
        *block(
            2,
            {"type": "text", "text": "begun "},
            {"type": "text_delta", "text": "cited"},
            {"type": "citations_delta", "citation": {"url": "u"}},
        ),
        *end("pause_turn"),
    )
    response = await make().complete(ask())
    assert response.parts == (
        Opaque(strange | {"input": {"q": "x"}}),
        Opaque({"type": "some_day", "list": [1], "more": "a", "n": 2}),
        Text("begun cited", {"citations": [{"url": "u"}]}),
    )


async def test_arguments_that_are_no_json_are_kept(wire, make):
    begun = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    wire.events(
        START, *block(0, begun, {"type": "input_json_delta", "partial_json": '{"x'}), *end("max_tokens")
    )
    model = make()
    response = await model.complete(ask())
    assert response.tool_calls == (ToolCall(id="t", name="look", unparsed='{"x'),)
    await model.complete(
        ModelRequest(turns=(user("hi"), response.turn(), user(ToolResult(id="t", content="?"))))
    )
    assert wire.seen[-1].body["messages"][1]["content"][0]["input"] == {"INVALID_JSON": '{"x'}


async def test_all_tool_results_stand_first_in_one_message_and_the_cache_is_asked_for(wire, make):
    wire.events(START, *text(0, "ok"), *end())
    calls = Turn(
        role=Role.ASSISTANT,
        parts=(Text(""), ToolCall(id="a", name="look"), ToolCall(id="b", name="look")),
        provider="anthropic",
    )
    results = (ToolResult(id="a", content="1"), ToolResult(id="b", content="2", is_error=True))
    request = ModelRequest(
        turns=(user("hi"), calls, user(results[0]), user("by the way", results[1])),
        system="be short",
        tools=tuple(ToolSpec(name=n, description="", schema={"type": "object"}) for n in ("look", "see")),
        tool_choice=ToolChoice.REQUIRED,
        stop=("END",),
        effort=Effort.HIGH,
        output=OutputSchema(schema={"type": "object"}),
        max_tokens=9,
    )
    mark = {"cache_control": {"type": "ephemeral"}}
    await make(extra={"service_tier": "auto"}).complete(request)
    assert wire.seen[0].path == "/v1/messages"
    assert wire.seen[0].headers["authorization"] == "Bearer secret-key"
    assert wire.seen[0].body == {
        "model": "claude-x",
        "max_tokens": 9,
        "stream": True,
        "system": [{"type": "text", "text": "be short"} | mark],
        "tools": [
            {"name": "look", "description": "", "input_schema": {"type": "object"}},
            {"name": "see", "description": "", "input_schema": {"type": "object"}} | mark,
        ],
        "tool_choice": {"type": "any"},
        "stop_sequences": ["END"],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "service_tier": "auto",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"} | mark]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "a", "name": "look", "input": {}},
                    {"type": "tool_use", "id": "b", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": True},
                    {"type": "text", "text": "by the way"} | mark,
                ],
            },
        ],
    }


async def test_no_cache_and_no_thinking_where_they_are_not_wanted(wire, make):
    wire.events(START, *text(0, "ok"), *end())
    await make().complete(ask(system="s", cache=False, effort=Effort.NONE))
    body = wire.seen[0].body
    assert "cache_control" not in str(body)
    assert body["thinking"] == {"type": "disabled"}
    assert not {"temperature", "top_p", "top_k"} & set(body)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 5 maximum"},
            ContextOverflow,
        ),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, AuthFailed),
        (401, {"type": "authentication_error", "message": "invalid secret-key"}, AuthFailed),
        (404, {"type": "not_found_error", "message": "model: claude-x"}, BadRequest),
        (413, {"type": "request_too_large", "message": "too large"}, ContextOverflow),
        (429, {"type": "rate_limit_error", "message": "slow down"}, ModelRateLimited),
        (500, {"type": "api_error", "message": "oops"}, ModelUnavailable),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, ModelOverloaded),
    ],
)
async def test_statuses_are_told_once_and_without_the_key(wire, make, status, error, kind):
    wire.json({"type": "error", "error": error}, status=status, retry_after="7")
    with pytest.raises(kind) as caught:
        await make().complete(ask())
    assert type(caught.value) is kind
    assert caught.value.retry_after == 7.0
    assert error["type"] in caught.value.fields["provider_code"]
    assert "secret-key" not in str(caught.value)
    assert len(wire.seen) == 1, "the SDK retried by itself"


async def test_a_missing_key_is_named(make):
    for called in (make(key="").complete(ask()), make(key="").check()):
        with pytest.raises(AuthFailed, match="set ANTHROPIC_API_KEY"):
            await called


async def test_no_connection_is_known_not_to_have_run(unused_url):
    model = AnthropicModel("m", key="k", base_url=unused_url)
    for called in (model.complete(ask()), model.check()):
        with pytest.raises(ModelUnreachable) as caught:
            await called
        assert caught.value.effect is Effect.NO
    await model.close()


async def test_a_check_asks_for_the_model_and_a_wrong_key_fails_it(wire, make):
    wire.json({"type": "error", "error": {"type": "authentication_error", "message": "no"}}, status=401)
    with pytest.raises(AuthFailed):
        await make().check()
    assert wire.seen[0].path == "/v1/models/claude-x"


async def test_silence_between_two_pieces_ends_a_call(wire, make):
    wire.hang(b"data: " + msgspec.json.encode(START) + b"\n\n")
    with pytest.raises(ModelUnavailable, match="silent"):
        await make().complete(ask(), timeout=0.1)


async def test_a_cancelled_call_closes_its_connection(wire, make):
    events = [START, *text(0, "a")]
    wire.hang(*(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events))
    told: list[Delta] = []
    task = asyncio.ensure_future(make().complete(ask(), on_delta=told.append))
    await eventually(lambda: told == [TextDelta("a")])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(wire.gone.wait(), 5)


async def test_the_connection_is_used_again(wire, make):
    wire.events(START, *text(0, "a"), *end())
    model = make()
    for _ in range(3):
        await model.complete(ask())
    assert (len(wire.seen), wire.connections) == (3, 1)


async def test_a_library_that_is_missing_is_named(make, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "anthropic"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(Unsupported, match=r"actorium\[anthropic\]"):
        await make().complete(ask())


async def test_after_preload_the_first_call_loads_nothing_of_the_sdk(wire):
    wire.events(START, *text(0, "a"), *end())
    program = """
import asyncio, sys
from actorium.actors.models.anthropic import AnthropicModel, preload
from actorium.actors.models.port import ModelRequest, user
preload()
loaded = set(sys.modules)
async def main():
    model = AnthropicModel("m", key="k", base_url=sys.argv[1])
    await model.complete(ModelRequest(turns=(user("hi"),)))
    await model.close()
asyncio.run(main())
print([n for n in set(sys.modules) - loaded if n.partition(".")[0] in {"anthropic", "httpx2", "pydantic"}])
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, wire.url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
