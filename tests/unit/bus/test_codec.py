import time
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.bus import codec
from actorium.bus.codec import (
    MAX_BODY,
    MAX_DEPTH,
    check_frame,
    encode,
    read_event,
    read_result,
    read_task,
    too_deep,
)
from actorium.bus.errors import BadMessage, Effect, Failure
from actorium.bus.task import Artifact, ArtifactType, Event, Metrics, Result, Status, Task

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_plain_text_is_the_spec():
    """What does not begin with a brace is a task whose spec is the text, white space included."""
    assert read_task(b" write a poem\n") == Task(spec=" write a poem\n")


def test_object_with_action_is_a_task():
    """A JSON object with `action` is read as a Task, unknown fields ignored."""
    body = b'{"action":"pay","spec":{"invoice":17},"constraints":["fast"],"colour":"red"}'
    assert read_task(body) == Task(action="pay", spec={"invoice": 17}, constraints=("fast",))


FIELDS = st.sampled_from(["action", "spec", "inputs", "constraints", "task", "payload", "colour"])


@given(st.dictionaries(FIELDS, JSON | st.text() | st.lists(st.text())) | st.builds(Task, spec=JSON))
def test_the_short_way_to_a_task_leads_where_the_long_one_does(value):
    """What our own programs send is read in one step, and means what a closer look makes of it."""
    payload = msgspec.json.encode(value)

    def told():
        try:
            return read_task(payload)
        except BadMessage as error:
            return error.message

    short = told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_plain", lambda _: None)
        assert told() == short


def test_object_without_action_is_a_spec():
    """A JSON object with neither `action` nor `spec` is the whole spec."""
    assert read_task(b' {"invoice": 17}') == Task(spec={"invoice": 17})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty message"),
        (b" \n\t", "empty message"),
        (b"{", "no task"),
        (b'{"action": 3}', "Expected `str`"),
        (b'{"action": "x", "constraints": "y"}', "constraints"),
        (b"\xff\xfe", "neither JSON nor UTF-8"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"x" * (MAX_BODY + 1), str(MAX_BODY)),
        (b'{"spec": 1e999}', "no task"),
        (b'{"spec": ' + b"9" * 5000 + b"}", "no task"),
    ],
)
def test_what_is_no_task_is_refused_with_a_reason(payload, reason):
    """Every kind of unusable body is a BadMessage that says what is wrong."""
    with pytest.raises(BadMessage, match=reason):
        read_task(payload)


@given(st.binary(max_size=300) | st.builds(lambda data: b"{" + data, st.binary(max_size=300)))
def test_no_bytes_break_the_reader(payload):
    """Arbitrary bytes give a task that can be written again, or a BadMessage, and nothing else."""
    try:
        task = read_task(payload)
    except BadMessage:
        return
    encode(task)


@given(JSON)
def test_every_json_value_survives_as_spec(value):
    """A task read back from its own bytes is the same task."""
    task = Task(action="do", spec=value)
    assert read_task(encode(task)) == task


@given(JSON)
def test_depth_is_measured_as_the_decoder_would(value):
    """The scan finds a body too deep exactly where the decoded value is."""

    def depth(found):
        inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else None
        return 0 if inner is None else 1 + max((depth(one) for one in inner), default=0)

    payload = msgspec.json.encode(value)
    for limit in (0, 1, 2, 3):
        assert too_deep(payload, limit) == (depth(value) > limit)


def test_brackets_in_strings_are_not_depth():
    """A body may talk about brackets as much as it likes, with escaped quotes beside them."""
    assert read_task(encode(Task(spec='[{"\\' * 1000))).spec == '[{"\\' * 1000


def test_the_deepest_allowed_body_is_read():
    """Thirty-two levels are read, thirty-three are not."""
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read_task(deepest).spec


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":[' + b"[" * 40 + b'"\\"' * 700_000,
        b'{"a":' * 400_000,
        b'{"a":[' + b"[]," * 700_000 + b"1]}",
        b'{"a":' + b"[" * 40 + b'"' + b"\\" * 2_000_001,
    ],
    ids=["unterminated strings", "deep", "wide", "backslashes"],
)
def test_hostile_bodies_take_linear_time(payload):
    """Two megabytes made to be slow are judged in seconds, not minutes."""
    started = time.process_time()
    with suppress(BadMessage):
        read_task(payload)
    assert time.process_time() - started < 5


def test_result_and_event_survive_the_wire():
    """Results and events read back are what was written, failures and artifacts included."""
    result = Result(
        status=Status.PARTIAL,
        data={"x": 1},
        artifacts=(Artifact(type=ArtifactType.CODE, path="a.py"),),
        metrics=Metrics(execution_time_ms=3, tokens_used=5),
        error="no more money",
        failure=Failure(code="budget", message="no more money", effect=Effect.YES),
    )
    event = Event(kind="started", agent="writer", data={"n": 1})
    assert read_result(encode(result)) == result
    assert read_event(encode(event)) == event


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"status":"great"}', b"\xff"])
def test_what_is_no_result_is_refused(payload):
    """Bytes that hold no result are a BadMessage."""
    with pytest.raises(BadMessage, match="no result"):
        read_result(payload)


def test_what_json_cannot_say_is_refused():
    """A field without a JSON form is a BadMessage of the sender, not a crash."""
    with pytest.raises(BadMessage, match="cannot be written"):
        encode(Task(spec=object()))


def test_headers_count_for_the_size_of_a_frame():
    """A body that fits alone is refused with headers that make it too large: the server counts both."""
    check_frame("a", b"x" * 100, None, 100)
    with pytest.raises(BadMessage, match="100"):
        check_frame("a", b"x" * 80, {"Task-Id": "ü" * 10}, 100)
