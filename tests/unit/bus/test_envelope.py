import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.bus.envelope import (
    BLOB,
    CORRELATION_ID,
    DEADLINE_MS,
    MAX_DEADLINE,
    MSG_ID,
    REPLY_TO,
    TASK_ID,
    VERSION,
    Envelope,
    read_envelope,
    salvaged,
)
from actorium.bus.errors import BadMessage

NAMES = st.sampled_from([TASK_ID, MSG_ID, CORRELATION_ID, DEADLINE_MS, REPLY_TO, BLOB, VERSION]) | st.text()


@given(st.dictionaries(NAMES, st.text()), st.floats(0, 1e9))
def test_no_headers_break_the_reader(headers, now):
    """Arbitrary headers give an envelope or a BadMessage, and nothing else."""
    try:
        read_envelope(headers, now)
    except BadMessage:
        return


def test_envelope_survives_the_wire():
    """An envelope read from its own headers is the same; the deadline moves with the reader's clock."""
    sent = Envelope(
        task_id="t1",
        correlation_id="c1",
        parent_run="run-1",
        deadline=105.5,
        reply_to="_INBOX.abc.1",
        traceparent="00-a-b-01",
        blob="ab" * 32,
    )
    read = read_envelope(sent.headers(100.0), 7.0)
    assert read.deadline == pytest.approx(12.5)
    assert Envelope(**{**{f: getattr(read, f) for f in read.__struct_fields__}, "deadline": 105.5}) == sent


def test_a_passed_deadline_travels_as_zero():
    """What remains of a deadline is never negative."""
    assert Envelope(deadline=3.0).headers(10.0) == {DEADLINE_MS: "0"}


def test_an_endless_deadline_is_cut():
    """A deadline in the far future cannot overflow anything."""
    assert read_envelope({DEADLINE_MS: "9" * 15}, 0.0).deadline == MAX_DEADLINE


def test_the_message_id_stands_in_for_the_task_id():
    """Without a Task-Id the publisher's message id is the task's, where it can be one."""
    assert read_envelope({MSG_ID: "m1"}, 0.0).task_id == "m1"
    assert not read_envelope({MSG_ID: "any text/=+"}, 0.0).task_id


def test_an_empty_header_is_none():
    """Clients that set every header they know harm nobody."""
    assert read_envelope({TASK_ID: "", DEADLINE_MS: "", BLOB: "", REPLY_TO: ""}, 0.0) == Envelope()


def test_what_cannot_be_read_still_says_who_waits_for_it():
    """The id and the reply subject beside a bad header count, unless they are bad themselves."""
    bad = {DEADLINE_MS: "soon", VERSION: "2", CORRELATION_ID: "a b"}
    told = salvaged(bad | {TASK_ID: "t1", REPLY_TO: "here"}, 0.0)
    assert told == Envelope(task_id="t1", reply_to="here")
    assert salvaged(bad | {TASK_ID: "a b", REPLY_TO: "$JS.x"}, 0.0) == Envelope()


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({VERSION: "2"}, "version"),
        ({TASK_ID: "a b"}, TASK_ID),
        ({TASK_ID: "x" * 129}, TASK_ID),
        ({CORRELATION_ID: "\n"}, CORRELATION_ID),
        ({DEADLINE_MS: "-1"}, DEADLINE_MS),
        ({DEADLINE_MS: "1e3"}, DEADLINE_MS),
        ({DEADLINE_MS: "٣"}, DEADLINE_MS),
        ({REPLY_TO: "$JS.API.STREAM.DELETE.INBOX"}, REPLY_TO),
        ({REPLY_TO: "inp.7.default.victim"}, REPLY_TO),
        ({REPLY_TO: "a.>"}, REPLY_TO),
        ({BLOB: "../../etc/passwd"}, BLOB),
    ],
)
def test_unusable_headers_are_refused_by_name(headers, named):
    """A header that cannot be used is a BadMessage that names it."""
    with pytest.raises(BadMessage, match=named):
        read_envelope(headers, 0.0)
