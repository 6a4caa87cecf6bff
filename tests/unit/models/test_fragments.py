"""Fragments of calls and fields: no JSON raises, and any cutting gives the same call."""

import json
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.actors.models import anthropic_answer, openai_answer
from actorium.actors.models.errors import ModelError
from actorium.actors.models.fragments import Calls, merged
from actorium.actors.models.partial import arguments_of
from actorium.actors.models.port import ToolCall
from actorium.actors.models.sse import Events

# Small on purpose: shapes matter here, sizes do not, and drawing large ones is slow.
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.just(0.5) | st.text(max_size=3)
JSON = (
    LEAVES
    | st.lists(
        LEAVES | st.dictionaries(st.sampled_from(["text", "index", "type", "x"]), LEAVES, max_size=3),
        max_size=3,
    )
    | st.dictionaries(st.text(max_size=3), LEAVES, max_size=3)
)
NAMES = ("index", "id", "type", "function", "extra_content", "name", "arguments")
FRAGMENTS = st.dictionaries(
    st.sampled_from(NAMES), JSON | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3), max_size=4
)


@given(st.lists(JSON | st.lists(JSON | FRAGMENTS, max_size=3), max_size=4))
def test_no_json_raises(pieces):
    calls = Calls()
    for piece in pieces:
        calls.take(piece)
    for part in calls.parts("r"):
        assert msgspec.json.decode(msgspec.json.encode(part), type=ToolCall) == part


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.lists(st.integers(0, 1000)), st.booleans())
def test_any_cutting_of_the_arguments_gives_the_same_call(arguments, places, repeat):
    text = json.dumps(arguments)
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    calls = Calls()
    for at, (a, b) in enumerate(pairwise(bounds)):
        head = {"id": "a", "type": "function"} if at == 0 or repeat else {}
        name = {"name": "look"} if at == 0 or repeat else {}
        calls.take([{"index": 0, **head, "function": {**name, "arguments": text[a:b]}}])
    assert calls.parts("r") == (ToolCall(id="a", name="look", arguments=arguments),)


@given(JSON)
def test_arguments_are_an_object_or_the_text_that_is_none(written):
    arguments, unparsed = arguments_of(written)
    assert isinstance(arguments, dict)
    assert not (arguments and unparsed)


@given(st.lists(JSON, max_size=5))
def test_fields_of_any_kind_are_merged(values):
    kept = None
    for value in values:
        kept = merged(kept, value)
    msgspec.json.encode(kept)


EVENT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "message_delta",
                "message_stop",
                "error",
            ]
        )
        | st.text(),
        "index": st.integers(0, 2) | JSON,
        "message": JSON,
        "content_block": JSON,
        "delta": st.dictionaries(
            st.sampled_from(
                ["type", "text", "partial_json", "content", "tool_calls", "stop_reason", "citation"]
            ),
            JSON,
        )
        | JSON,
        "usage": JSON | st.dictionaries(st.sampled_from(["input_tokens", "prompt_tokens"]), JSON),
        "choices": st.lists(
            st.dictionaries(
                st.sampled_from(["index", "delta", "finish_reason", "message"]), JSON | FRAGMENTS
            ),
            max_size=2,
        ),
        "error": JSON,
    },
)


@settings(max_examples=200)
@given(st.lists(EVENT.map(msgspec.json.encode) | st.binary(max_size=20), max_size=5), st.booleans())
def test_no_stream_raises_anything_but_an_error_of_ours(events, anthropic):
    module = anthropic_answer if anthropic else openai_answer
    answer = module.Answer("p:m", lambda delta: None)
    try:
        for event in events:
            answer.take(event)
        response = answer.response()
    except ModelError:
        return
    assert msgspec.json.decode(msgspec.json.encode(response), type=type(response)) == response


DELTA = st.dictionaries(
    st.sampled_from(
        ["type", "text", "thinking", "partial_json", "citation", "content", "tool_calls", "reasoning"]
    ),
    JSON | st.lists(FRAGMENTS, max_size=2),
    max_size=3,
)
BEGUN = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "thinking", "odd"])},
    optional={"id": st.just("a"), "name": st.just("look"), "input": JSON, "text": JSON, "citations": JSON},
)


def anthropic_stream(begun, deltas) -> list:
    return [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": begun},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]


def openai_stream(deltas) -> list:
    return [{"choices": [{"delta": delta}]} for delta in deltas] + [{"choices": [{"finish_reason": "stop"}]}]


@given(BEGUN, st.lists(DELTA, max_size=5), st.lists(st.integers(0, 5000)), st.booleans())
def test_any_deltas_make_a_response_and_any_chunks_the_same_one(begun, deltas, places, anthropic):
    events = anthropic_stream(begun, deltas) if anthropic else openai_stream(deltas)
    text = b"".join(b"data: " + msgspec.json.encode(event) + b"\r\n\r\n" for event in events)
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    module = anthropic_answer if anthropic else openai_answer
    whole, cut = module.Answer("p:m", None), module.Answer("p:m", lambda delta: None)
    for event in events:
        whole.take(msgspec.json.encode(event))
    parser = Events()
    for a, b in pairwise(bounds):
        for data in parser.feed(text[a:b]):
            cut.take(data)
    assert cut.response() == whole.response()
