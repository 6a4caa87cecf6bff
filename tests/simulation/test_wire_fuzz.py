"""Whatever strangers send: no worker ends, nothing hangs, who asks is answered, garbage is buried once."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actorium.bus import envelope as names
from actorium.bus import subjects
from actorium.bus.codec import read_event, read_result, read_task
from actorium.bus.envelope import Envelope, read_envelope
from actorium.bus.errors import ActoriumError, BadMessage
from actorium.bus.port import Message
from actorium.bus.task import Result, Status, Task
from actorium.runtime.isolation.frames import Begin, Cancel, Done, End, Failed, Handle, read_frame
from simulation.cluster import AGENTS, PARTITIONS, Bugs, Cluster, until

PROFILE = settings(
    max_examples=int(os.environ.get("ACTORIUM_FUZZ_EXAMPLES", "250")),
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# what can stand in a NATS header, or between two dots of a subject
LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
TOKENS = st.text(
    st.characters(exclude_characters=" .*>\t\r\n\f\v", exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]),
    min_size=1,
    max_size=10,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            names.TASK_ID, names.CORRELATION_ID, names.PARENT_RUN, names.DEADLINE_MS, names.REPLY_TO,
            names.TENANT, names.TRACEPARENT, names.VERSION, names.BLOB, names.REASON, "X-Other",
        ]
    ),
    LINES
    | st.sampled_from(["0", "5", "99999999999999999999", "-1", "1", "2", "a" * 64, "0" * 63, "_INBOX.x"])
    | st.sampled_from(["inp.0.default.a105", "$JS.API.STREAM.DELETE.LED_0", "a..b", "ctl.0.default.a105"]),
    max_size=4,
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["action", "spec", "inputs", "constraints", "task_id", "id", "amount", "kind", "pause"]),
    JSON,
)
BODIES = (
    st.binary(max_size=60)
    | st.binary(max_size=20).map(lambda tail: b"{" + tail)
    | JSON.map(msgspec.json.encode)
    | FIELDS.map(msgspec.json.encode)
    | st.sampled_from([b"[" * 500, b'{"a":' * 500, b'{"task_id":"\xff"}', b'{"x":' + b"[" * 5000])
    | st.integers(1, 40).map(lambda depth: b'{"spec":' + b"[" * depth + b"]" * depth + b"}")
)
VERBS = (
    st.sampled_from(["", "cancel", "stop", "start", "restart", "reload", "status", "result", "drop"]) | LINES
)
NOBODIES = TOKENS | st.sampled_from(["nobody", "Upper", "a/b", "a=b", "prompt", "run-1", "x" * 200])


@pytest.fixture(scope="module")
def clusters() -> Iterator[list[Cluster]]:
    """One worker for all examples; after one that it did not survive comes a new one."""
    clusters: list[Cluster] = []
    yield clusters
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def whole(clusters: list[Cluster]) -> "Whole":
    """Whichever is whole."""
    return Whole(clusters)


class Whole:
    """A cluster with a worker that lives."""

    def __init__(self, clusters: list[Cluster]) -> None:
        self._clusters = clusters

    def __call__(self) -> Cluster:
        if self._clusters and self._clusters[-1].failed():
            self._clusters.pop().close()
        if not self._clusters:
            self._clusters.append(Cluster(Bugs()))
            self._clusters[-1].start()
            self._clusters[-1].pass_time(1.0)
        return self._clusters[-1]


def part_of(agent: str) -> int:
    """Where a message can reach the worker."""
    part = subjects.partition("default", agent)
    return part if part < PARTITIONS else 0


def unharmed(cluster: Cluster) -> None:
    """Nothing ended, nothing was logged as a bug."""
    assert cluster.failed() == []
    (worker,) = cluster.workers
    assert not worker.dead
    assert sorted(worker.hosts) == list(range(PARTITIONS))


def asked(cluster: Cluster, subject: str, body: bytes, headers: dict[str, str]) -> Message:
    """The answer; within a second of virtual time, or the test fails."""
    return cluster.loop.play(cluster.bus.request(subject, body, headers or None, timeout=1.0))


@PROFILE
@given(st.sampled_from(AGENTS) | NOBODIES, BODIES, HEADERS)
@example(AGENTS[0], b"x", {names.BLOB: "a" * 64})
def test_every_ask_is_answered(whole: Whole, agent: str, body: bytes, headers: dict[str, str]) -> None:
    """Any body, any headers, any agent: a Result comes back, and the worker lives."""
    cluster = whole()
    answer = asked(cluster, subjects.control(part_of(agent), "default", agent), body, headers)

    assert isinstance(read_result(answer.payload), Result)
    unharmed(cluster)


@PROFILE
@given(st.sampled_from(AGENTS) | NOBODIES, VERBS, BODIES, HEADERS)
@example(AGENTS[0], "cancel", b'{"task_id":"\xff"}', {})
@example(AGENTS[0], "result", b'{"x":' + b"[" * 90_000, {})
def test_every_control_request_is_answered(
    whole: Whole, agent: str, verb: str, body: bytes, headers: dict[str, str]
) -> None:
    """Any verb with anything in it: JSON comes back, and the worker lives."""
    cluster = whole()
    told = headers | {names.OP: verb}
    answer = asked(cluster, subjects.control(part_of(agent), "default", agent), body, told)

    assert isinstance(msgspec.json.decode(answer.payload), dict)
    unharmed(cluster)


@PROFILE
@given(st.sampled_from(AGENTS) | NOBODIES, VERBS, BODIES, HEADERS)
def test_requests_without_a_reply_subject_do_no_harm(
    whole: Whole, agent: str, verb: str, body: bytes, headers: dict[str, str]
) -> None:
    """Nobody can be told, and nobody is."""
    cluster = whole()
    subject = subjects.control(part_of(agent), "default", agent)
    cluster.loop.play(cluster.bus.publish(subject, body, headers | {names.OP: verb}))
    cluster.pass_time(0.01)

    unharmed(cluster)


@PROFILE
@given(st.sampled_from(AGENTS) | NOBODIES, BODIES, HEADERS, st.booleans())
@example(AGENTS[0], b"x", {names.BLOB: "a" * 64}, False)
@example("Upper", b"x", {}, False)
def test_stored_garbage_is_buried_once(
    whole: Whole, agent: str, body: bytes, headers: dict[str, str], passivate: bool
) -> None:
    """It leaves the inbox within seconds, as one dead letter and one failed result under its id."""
    cluster = whole()
    for known in AGENTS:  # an earlier example may have stopped them
        asked(cluster, subjects.control(part_of(known), "default", known), b"", {names.OP: "restart"})
    dead, out = (cluster.hub.stream(name) for name in (subjects.DEAD_LETTERS, subjects.OUTBOX))
    before = set(dead.kept), set(out.kept)
    headers.pop(names.TASK_ID, None)  # the same id again would be the same task
    subject = subjects.inbox(part_of(agent), "default", agent)
    number = cluster.hub.stream(subjects.INBOX)._last + 1

    cluster.loop.play(cluster.bus.store(subject, body, headers, msg_id=f"fuzz-{number}"))
    if passivate:
        cluster.loop.play(cluster.workers[0].sweep())

    assert until(cluster, lambda: not cluster.hub.stream(subjects.INBOX).kept, 5.0)
    buried = [past for seq, past in dead.kept.items() if seq not in before[0]]
    told = [past for seq, past in out.kept.items() if seq not in before[1]]
    if len(told) == 1 and read_result(told[0].message.payload).failure.code == "deadline_exceeded":
        assert buried == []  # nobody waits for it any more: no garbage
    else:
        assert [(past.message.subject.split(".")[-1], past.message.payload) for past in buried] == [
            (agent, body)
        ]
        assert [read_result(past.message.payload).status for past in told] == [Status.FAILURE]
    unharmed(cluster)


@PROFILE
@given(BODIES, HEADERS)
def test_readers_answer_or_refuse(body: bytes, headers: dict[str, str]) -> None:
    """Tasks, results, events and envelopes from strangers are read, or are a BadMessage, and nothing else."""
    for read in (read_task, read_result, read_event):
        with suppress(BadMessage):
            read(body)
    with suppress(BadMessage):
        read_envelope(headers, 0.0)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@PROFILE
@given(
    st.binary(max_size=100)
    | st.binary(max_size=100).map(framed)
    | JSON.map(msgspec.msgpack.encode).map(framed)
    | st.sampled_from(
        [framed(b"\x91" * 200_000), b"\xff\xff\xff\xff", framed(b"\x82\xa4type\xa3end\xa1x\xa1\xff")]
    )
)
def test_a_frame_is_read_or_refused(data: bytes) -> None:
    """Between a worker and an isolated agent: a frame, the end of the connection, or a BadMessage."""

    async def read() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await asyncio.wait_for(read_frame(reader), 1.0)

    with suppress(asyncio.IncompleteReadError, BadMessage):
        assert isinstance(asyncio.run(read()), Begin | Handle | Cancel | End | Done | Failed)


@settings(PROFILE, max_examples=60)
@given(BODIES, HEADERS)
def test_answers_from_strangers_are_errors_of_that_call(
    whole: Whole, body: bytes, headers: dict[str, str]
) -> None:
    """Garbage on a reply subject costs its own caller an error, and the next caller nothing."""
    cluster = whole()

    subject = subjects.control(subjects.partition("default", "stranger"), "default", "stranger")
    loop, bus = cluster.loop, cluster.bus

    def answer(message: Message) -> None:
        loop.create_task(bus.publish(message.reply, body, headers))

    subscription = loop.play(bus.subscribe(subject, answer))
    envelope = Envelope(task_id="x", deadline=loop.time() + 1.0)
    with suppress(ActoriumError):
        assert isinstance(loop.play(cluster.courier.ask("stranger", Task(spec=1), envelope)), Result)
    loop.play(subscription.close())
    unharmed(cluster)
