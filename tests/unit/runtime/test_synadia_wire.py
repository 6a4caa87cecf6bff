"""The agent protocol's words, and its edge over the in-process twin: what goes back for which prompt."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.actors.definition import Definition
from actorium.actors.errors import ActorStopped, Reject, UnknownAgent
from actorium.bus import subjects
from actorium.bus.claim import LIMIT
from actorium.bus.envelope import may_answer
from actorium.bus.errors import BadMessage, DeadlineExceeded, Failure, MailboxFull
from actorium.bus.port import Bus, Message
from actorium.bus.task import Result, Status, Task
from actorium.runtime.config import Settings
from actorium.runtime.memory import MemoryWorld
from actorium.runtime.namespace import Namespace
from actorium.runtime.reports import Reporter
from actorium.runtime.spec import WorkerSpec
from actorium.runtime.synadia import wire
from actorium.runtime.synadia.edge import Rhythm, SynadiaEdge
from actorium.runtime.worker import hosting
from actorium.storage.port import Session
from eventually import eventually

ALLOWED = {"400", "401", "403", "404", "409", "429", "500"}
TOKEN = st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
REQUEST = st.fixed_dictionaries({}, optional={"prompt": JSON | st.text(), "attachments": JSON, "x": JSON})


# --- words ------------------------------------------------------------------------------------------------


@given(st.binary() | st.text().map(str.encode) | REQUEST.map(lambda told: json.dumps(told).encode()))
@example(b"")
@example(b"{")
@example(b'{"prompt":' + b"[" * 100_000)
@example(b'{"prompt":"a","attachments":[{"filename":"f","content":"*"}]}')
def test_any_request_is_a_task_or_a_bad_message(payload: bytes):
    """Whatever the bytes are, a request is a task with a text, or refused with a reason."""
    with suppress(BadMessage):
        task = wire.read_prompt(payload)
        assert isinstance(task.spec, str)
        assert task.spec.strip()


def test_text_is_the_prompt():
    """A request that does not begin with a brace is the prompt itself, white space included."""
    assert wire.read_prompt(b" hello\n") == Task(spec=" hello\n")


def test_object_carries_prompt_and_attachments():
    """Attachments stand in the task's inputs; fields nobody defined are ignored."""
    content = base64.b64encode(b"\x00\xff").decode()
    attachments = [{"filename": "a.bin", "content": content, "mime": "x"}]
    body = json.dumps({"prompt": "read it", "session": "s", "attachments": attachments}).encode()
    expected = [{"filename": "a.bin", "content": content}]
    assert wire.read_prompt(b"\r\n " + body) == Task(spec="read it", inputs={"attachments": expected})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"prompt":""}', "empty"),
        (b'{"prompt":7}', "must be text"),
        (b'{"text":"hi"}', "empty"),
        (b'{"prompt":', "JSON|brackets"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * (wire.MAX_PROMPT + 1), "max_payload"),
        (b'{"prompt":"a","attachments":{}}', "attachment"),
        (b'{"prompt":"a","attachments":[{"filename":"f"}]}', "attachment"),
        (b'{"prompt":"a","attachments":[{"filename":"f","content":"YQ"}]}', "attachment"),
        ('{"prompt":"a","attachments":[{"filename":"f","content":"é"}]}'.encode(), "attachment"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_reason(payload: bytes, reason: str):
    """Each way to be malformed is a BadMessage that names it."""
    with pytest.raises(BadMessage, match=reason):
        wire.read_prompt(payload)


def said(result: Result) -> tuple[str, list[str], list[tuple[bytes, dict[str, str]]]]:
    """The text of a stream's end, its chunks, and its errors; the terminator is checked and left out."""
    *messages, last = wire.closing(result)
    assert last == (b"", None)
    chunks = [json.loads(payload) for payload, headers in messages if headers is None]
    assert all(chunk["type"] == "response" for chunk in chunks)
    assert all(len(payload) <= LIMIT for payload, _ in messages)
    texts = [chunk["data"] for chunk in chunks]
    return "".join(texts), texts, [(payload, headers) for payload, headers in messages if headers]


@given(st.text(), st.integers(1, 3))
def test_long_answer_is_whole_after_it_was_split(text: str, times: int):
    """A long text travels in chunks that each fit a message, and their texts make it up again."""
    long = text * (times * 2 * wire.PIECE // max(1, len(text)))
    expected = long.encode(errors="replace").decode()
    assert said(Result(status=Status.SUCCESS, data=long))[0] == expected


def test_largest_characters_still_fit():
    """A chunk of characters that JSON makes six bytes of is no larger than what may travel."""
    text, texts, _ = said(Result(status=Status.SUCCESS, data="\x01" * 40_000))
    assert text == "\x01" * 40_000
    assert len(texts) == 5


@pytest.mark.parametrize(
    ("data", "text"),
    [("hi", "hi"), ({"a": [1, None]}, '{"a":[1,null]}'), (7, "7"), (None, ""), ("\udcff", "?")],
)
def test_answer_as_text(data: object, text: str):
    """A text goes as it is, anything else as compact JSON, and nothing as nothing."""
    assert said(Result(status=Status.SUCCESS, data=data))[0] == text


def test_answer_that_json_cannot_hold_is_an_error_of_the_agent():
    """An answer that is no JSON ends the stream with a 500, not with an exception."""
    text, _, [(_, headers)] = said(Result(status=Status.SUCCESS, data=object()))
    assert text == ""
    assert headers[wire.ERROR_CODE] == "500"


def test_partial_answer_comes_before_its_error():
    """What a partial result has is told, and then why it is not all."""
    result = Result(status=Status.PARTIAL, data="half", error="the budget is spent")
    text, _, [(body, headers)] = said(result)
    assert text == "half"
    assert headers == {wire.ERROR_CODE: "500", wire.ERROR: "the budget is spent"}
    assert json.loads(body) == {"error": "partial", "message": "the budget is spent"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadMessage("x"), "400"),
        (Reject("x"), "400"),
        (UnknownAgent("x"), "404"),
        (ActorStopped("x"), "409"),
        (MailboxFull("x"), "429"),
        (DeadlineExceeded("x"), "500"),
    ],
)
def test_error_codes(error: Exception, code: str):
    """Each error of ours has the protocol's code, and its own name in the body."""
    body, headers = wire.error_frame(error.failure())
    assert headers[wire.ERROR_CODE] == code
    assert json.loads(body)["error"] == error.code
    assert json.loads(body).get("retry_after_s") == (1 if code == "429" else None)


@given(st.text(), st.text())
@example("code", "two\r\nlines\x00 and é\udcff")
def test_no_error_breaks_a_header(code: str, message: str):
    """Whatever an agent puts into its error, the header is one line of ASCII and the body is JSON."""
    body, headers = wire.error_frame(Failure(code=code, message=message))
    line = headers[wire.ERROR]
    assert line
    assert line.isascii()
    assert not set(line) & {"\r", "\n"}
    assert headers[wire.ERROR_CODE] in ALLOWED
    assert "error" in json.loads(body)


@given(TOKEN, TOKEN)
def test_instance_id_leads_back_to_the_agent(tenant: str, agent: str):
    """A service id says which agent it is, and stands in a subject with any client."""
    instance = wire.instance_id(tenant, agent)
    assert wire.read_instance(instance) == (tenant, agent)
    assert instance.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("instance", ["", "x", "_AT_", "VMKS6MHK71PCPWGY38A7N5", "a_AT_b_AT_c", "a_AT_b.c"])
def test_foreign_instance_is_nobody(instance: str):
    """An id that is none of ours leads to no agent."""
    assert wire.read_instance(instance) is None


def test_calls():
    """Three questions, of everybody, of agents, and of one; anything else is not for us."""
    assert wire.read_call("$SRV.PING") == ("PING", "")
    assert wire.read_call("$SRV.INFO.agents") == ("INFO", "")
    assert wire.read_call("$SRV.STATS.agents.x_AT_y") == ("STATS", "x_AT_y")
    for other in ("$SRV.SCHEMA.agents", "$SRV.INFO.other", "$SRV.INFO.other.x", "$SRV.INFO.agents.x.y"):
        assert wire.read_call(other) is None


@pytest.mark.parametrize("reply", ["", "$JS.API.STREAM.DELETE.INBOX", "inp.7.default.x", "ctl.1.a.b", "a.>"])
def test_nobody_borrows_our_right_to_publish(reply: str):
    """A reply subject that is not a caller's own is not answered."""
    assert not may_answer(reply)


def test_addresses():
    """The address of a prompt is a tenant and an agent, or no agent's."""
    assert wire.addressed("agents.prompt.actorium.acme.my_agent-1") == ("acme", "my_agent-1")
    for strange in ("agents.prompt.actorium.acme.Ünknown", "agents.prompt.actorium.ACME.x"):
        with pytest.raises(UnknownAgent):
            wire.addressed(strange)


# --- the edge ---------------------------------------------------------------------------------------------


class Host(Actor):
    """Answers prompts."""

    async def receive(self, message: Task, ctx: Context) -> object:
        match message.spec:
            case "fail":
                raise ValueError("as told")
            case "inputs":
                return message.inputs
            case "wait":
                await ctx.emit("waiting")
                await asyncio.Event().wait()
            case "remaining":
                return ctx.remaining
            case str(pause) if pause.startswith("sleep "):
                await asyncio.sleep(float(pause.split()[1]))
        return message.spec


@asynccontextmanager
async def edge(rhythm: Rhythm, *agents: Definition) -> AsyncIterator[tuple[SynadiaEdge, Namespace]]:
    """A worker over the in-process twin, with an edge of that rhythm instead of its own."""
    world = MemoryWorld()
    names = world.connect()
    for agent in agents:
        await names.registry.define(agent)
    session = Session(id="memory", node="memory")
    await world.leases.put_session(session, revision=0)
    spec = WorkerSpec(session=session.id, node=session.node, settings=Settings(), lease=3600.0)
    async with hosting(spec, names, lambda: True, Reporter("", session.id)) as worker:
        await worker.holder.settled.wait()
        await worker.synadia.close()
        async with asyncio.TaskGroup() as tasks:
            made = SynadiaEdge(names, worker.courier, worker.hosts, tasks, rhythm=rhythm)
            await made.open()
            yield made, names
            await made.close()
        await worker.drain(1.0)


async def stream(
    bus: Bus, agent: str, payload: bytes, headers: dict[str, str] | None = None, *, tenant: str = "default"
) -> list[Message]:
    """Everything that goes back for a prompt, the terminator included."""
    found: list[Message] = []
    done = asyncio.Event()

    def heard(message: Message) -> None:
        found.append(message)
        if not message.payload and not message.headers:
            done.set()

    inbox = await bus.subscribe(f"_INBOX.test.{id(found)}", heard)
    await bus.publish(
        wire.subject("prompt", tenant, agent), payload, headers, reply=f"_INBOX.test.{id(found)}"
    )
    async with asyncio.timeout(10):
        await done.wait()
    await inbox.close()
    return found


def code_of(messages: list[Message]) -> str:
    """The code of the error before the terminator."""
    return (messages[-2].headers or {})[wire.ERROR_CODE]


async def test_stream_is_ack_answer_and_an_empty_message():
    """A prompt is acknowledged, answered and ended, in that order."""
    async with edge(Rhythm(), Host.named("host")) as (_, names):
        ack, answer, last = await stream(names.bus, "host", b"hello")
    assert json.loads(ack.payload) == {"type": "status", "data": "ack"}
    assert json.loads(answer.payload) == {"type": "response", "data": "hello"}
    assert (last.payload, last.headers) == (b"", None)


async def test_attachments_reach_the_agent():
    """What came with a prompt stands in the task's inputs."""
    attachment = {"filename": "a.txt", "content": base64.b64encode(b"x" * 200_000).decode()}
    body = json.dumps({"prompt": "inputs", "attachments": [attachment]}).encode()
    async with edge(Rhythm(), Host.named("host")) as (_, names):
        _, *chunks, _ = await stream(names.bus, "host", body)
    text = "".join(json.loads(chunk.payload)["data"] for chunk in chunks)
    assert json.loads(text) == {"attachments": [attachment]}


async def test_running_prompt_says_so_again_and_again():
    """A caller hears of a prompt that runs for long, once a keep-alive."""
    async with edge(Rhythm(keep_alive=0.02), Host.named("host")) as (_, names):
        *acks, answer, _ = await stream(names.bus, "host", b"sleep 0.2")
    assert len(acks) > 3
    assert {ack.payload for ack in acks} == {wire.ACK}
    assert json.loads(answer.payload)["data"] == "sleep 0.2"


async def test_malformed_prompt_is_400_without_an_ack():
    """What is no prompt is refused at once."""
    async with edge(Rhythm(), Host.named("host")) as (_, names):
        messages = await stream(names.bus, "host", b"")
        late = await stream(names.bus, "host", b"hello", {"Deadline-Ms": "soon"})
    assert (len(messages), code_of(messages)) == (2, "400")
    assert (len(late), code_of(late)) == (2, "400")


async def test_prompt_cannot_make_us_write_an_inbox():
    """A prompt whose reply subject is an inbox of ours is not answered there."""
    written: list[Message] = []
    async with edge(Rhythm(), Host.named("host")) as (_, names):
        await names.bus.subscribe("inp.>", written.append)
        for subject in (wire.subject("prompt", "default", "host"), wire.subject("status", "default", "host")):
            await names.bus.publish(subject, b"hello", reply="inp.1.default.host")
        await names.bus.publish("$SRV.PING", b"", reply="inp.1.default.host")
        await stream(names.bus, "host", b"hello")
    assert written == []


@pytest.mark.parametrize(
    ("agent", "payload", "code", "error"),
    [
        ("nobody", b"hello", "404", "unknown_agent"),
        ("Nobody", b"hello", "404", "unknown_agent"),
        ("host", b"fail", "500", "handler_failed"),
        ("stopped", b"hello", "409", "actor_stopped"),
    ],
)
async def test_errors_have_their_codes(agent: str, payload: bytes, code: str, error: str):
    """A prompt that fails ends with a typed error before the empty message."""
    async with edge(Rhythm(), Host.named("host"), Host.named("stopped")) as (_, names):
        await names.registry.set_stopped("default", "stopped", stopped=True)
        messages = await stream(names.bus, agent, payload)
    assert code_of(messages) == code
    assert json.loads(messages[-2].payload)["error"] == error


async def test_deadline_of_the_caller_ends_a_prompt():
    """A prompt ends by the deadline in its header, and by the edge's own where there is none."""
    async with edge(Rhythm(deadline=0.05), Host.named("host")) as (_, names):
        told = await stream(names.bus, "host", b"remaining", {"Deadline-Ms": "60000"})
        messages = await stream(names.bus, "host", b"wait")
    assert 50 < float(json.loads(told[1].payload)["data"]) <= 60
    assert json.loads(messages[-2].payload)["error"] == "deadline_exceeded"


async def test_prompt_without_an_owner_is_given_up():
    """Where nobody owns the agent, its caller is told after two keep-alives, long before the deadline."""
    world = MemoryWorld()
    names = world.connect()
    async with hosting_nothing(names, Rhythm(keep_alive=0.02)):
        messages = await stream(names.bus, "host", b"hello")
    assert len([message for message in messages if message.payload == wire.ACK]) == 3
    assert code_of(messages) == "500"
    assert json.loads(messages[-2].payload)["error"] == "no_owner"


@asynccontextmanager
async def hosting_nothing(names: Namespace, rhythm: Rhythm) -> AsyncIterator[SynadiaEdge]:
    """An edge of a worker that owns no partition."""
    from actorium.runtime.courier import BusCourier

    courier = BusCourier(names.bus, names.blobs, names.registry)
    async with asyncio.TaskGroup() as tasks:
        made = SynadiaEdge(names, courier, {}, tasks, rhythm=rhythm)
        await made.open()
        yield made
        await made.close()


async def test_ending_worker_tells_who_waits():
    """When the worker ends, a prompt it passed on ends with an error, not with silence."""
    async with edge(Rhythm(), Host.named("host")) as (made, names):
        waiting = asyncio.Event()
        await names.bus.subscribe(subjects.public("default", "host", "events"), lambda _: waiting.set())
        answer = asyncio.create_task(stream(names.bus, "host", b"wait"))
        await waiting.wait()
        await made.end()
        messages = await answer
    assert json.loads(messages[-2].payload)["error"] == "bus_lost"


async def test_status_is_a_heartbeat_that_knows_more():
    """The answer to a status request is what a heartbeat says, and what the owner tells."""
    async with edge(Rhythm(heartbeat=7.0), Host.named("host")) as (_, names):
        await stream(names.bus, "host", b"hello")
        reply = await names.bus.request(wire.subject("status", "default", "host"), b"", timeout=5)
        unknown = await names.bus.request(wire.subject("status", "default", "nobody"), b"", timeout=5)
    told = json.loads(reply.payload)
    assert told["agent"] == "actorium"
    assert (told["owner"], told["session"], told["interval_s"]) == ("default", "host", 7)
    assert (told["status"], told["total_tasks"]) == ("idle", 1)
    assert (unknown.headers or {})[wire.ERROR_CODE] == "404"


async def test_every_agent_beats_until_it_is_stopped():
    """Agents beat soon after a start and again every interval, also one that was spawned later."""
    beats: list[str] = []
    async with edge(Rhythm(heartbeat=0.1), Host.named("host")) as (_, names):
        await names.bus.subscribe(
            "agents.hb.*.*.*", lambda message: beats.append(json.loads(message.payload)["session"])
        )
        await eventually(lambda: beats.count("host") >= 3)
        await names.registry.define(Host.named("later"))
        await eventually(lambda: beats.count("later") >= 2)
        await names.registry.set_stopped("default", "host", stopped=True)

        async def silent() -> bool:
            beats.clear()
            await eventually(lambda: beats.count("later") >= 5)
            return "host" not in beats

        await eventually(silent)


async def test_agent_that_was_discovered_beats_at_once():
    """A spawned agent that a discovery has told beats then, not when its turn comes."""
    beats: set[str] = set()
    async with edge(Rhythm(heartbeat=20.0), Host.named("host")) as (_, names):
        await names.bus.subscribe(
            "agents.hb.*.*.*", lambda message: beats.add(json.loads(message.payload)["session"])
        )
        await eventually(lambda: "host" in beats)
        await names.registry.define(Host.named("later"))

        async def beating() -> bool:
            await names.bus.publish("$SRV.PING", b"", reply="_INBOX.nobody")
            return "later" in beats

        await eventually(beating, 5, every=0.1)


async def test_one_agent_is_found_by_its_id():
    """A question with an id is answered for that agent alone, at once and as it is now."""
    async with edge(Rhythm(), Host.named("host")) as (_, names):
        await names.registry.define(Host.named("new"))
        found = await names.bus.request(
            f"$SRV.INFO.agents.{wire.instance_id('default', 'new')}", b"", timeout=5
        )
        stats = await names.bus.request(
            f"$SRV.STATS.agents.{wire.instance_id('default', 'new')}", b"", timeout=5
        )
    assert json.loads(found.payload)["description"] == "Answers prompts."
    assert json.loads(stats.payload)["endpoints"][0]["num_requests"] == 0
