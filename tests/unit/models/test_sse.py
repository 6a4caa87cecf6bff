"""Server-sent events: any cutting of the bytes into chunks gives the same events."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorium.actors.models import sse
from actorium.actors.models.sse import Events, EventTooLong, consume


def read(chunks: list[bytes]) -> list[bytes]:
    events = Events()
    found = [data for chunk in chunks for data in events.feed(chunk)]
    return found + events.end()


def cut(text: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


LINES = st.lists(
    st.sampled_from(
        [
            b"data: {}",
            b"data:x",
            b"data",
            b": note",
            b"event: a",
            b"",
            b"\xef\xbb\xbf",
            b"\xff",
            b"data:  \xc3\xa9",
        ]
    )
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.builds(
    lambda lines, ends: b"".join(a + b for a, b in zip(lines, ends, strict=False)), LINES, st.lists(ENDS)
)


@given(st.one_of(STREAMS, st.binary()), st.lists(st.integers(0, 10_000)))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10])
@example(b"data: a\r\rdata: b\r\r", [8, 9])
def test_any_chunks_give_the_same_events(text, places):
    assert read(cut(text, places)) == read([text])


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\ndata:b\n\n", [b"a", b"b"]),
        (b"event: x\nid: 1\ndata: a\ndata: b\n\n", [b"a\nb"]),
        (b": keepalive\n\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a", [b"a"]),
        (b"data: a\r\n\r\n", [b"a"]),
        ("data: a\u2028b\x0b\x85\n\n".encode(), ["a\u2028b\x0b\x85".encode()]),
        (b"\n\n", []),
    ],
)
def test_events(text, events):
    assert read([text]) == events


def test_an_event_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(sse, "LONGEST_EVENT", 100)
    events = Events()
    with pytest.raises(EventTooLong):
        for _ in range(20):
            events.feed(b"data: aaaaaaaaaa\n")


async def chunks(*texts: bytes, fail: bool = False):
    for text in texts:
        yield text
    if fail:
        raise ConnectionError("reset")


async def test_what_comes_behind_the_last_event_spoils_nothing():
    taken = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return data == b"end"

    await consume(chunks(b"data: a\n\ndata: end\n\ndata: b\n\n", b"more", fail=True), take)
    assert taken == [b"a", b"end"]
