"""The agent protocol over a real server and real workers: its official client, and any NATS client."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as Raw
from nats.aio.msg import Msg

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.bus.task import Task
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import connect, connect_bus, prepare
from actorium.runtime.reports import Reporter
from actorium.runtime.spec import WorkerSpec
from actorium.runtime.synadia import wire
from actorium.runtime.synadia.edge import Rhythm, SynadiaEdge
from actorium.runtime.worker import hosting
from actorium.storage.port import Session
from cluster.harness import Node, attached
from eventually import eventually
from servers import TestServer

PROGRAM = '''
import asyncio
from actorium import Actor, App, Reject, Task


class Host(Actor):
    """Answers prompts."""

    async def receive(self, message: Task, ctx) -> object:
        match message.spec.split():
            case ["fail"]:
                raise ValueError("as told")
            case ["reject"]:
                raise Reject("not today")
            case ["inputs"]:
                return message.inputs
            case ["long", size]:
                return "aé€😀" * (int(size) // 4)
            case ["sleep", seconds]:
                await asyncio.sleep(float(seconds))
        return f"{ctx.agent}: {message.spec}"


app = App(*[Host.named(f"host_{n}") for n in range(40)])
'''
AGENTS = {f"host_{n}" for n in range(40)}


@pytest.fixture(scope="module")
def node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server, and two workers that run the program above."""
    home = tmp_path_factory.mktemp("synadia")
    program = home / "hosts.py"
    program.write_text(PROGRAM)
    server = TestServer(nats_binary, home / "nats")
    server.start()
    made = Node(server.url, home, "synadia").start(str(program))
    yield made
    made.end()
    server.kill()


@pytest.fixture
async def raw(node: Node) -> AsyncIterator[Raw]:
    """A plain NATS client, when both workers are at work."""
    url = node.settings.nats.url
    async with attached(url) as cluster:
        await cluster.settled(2)
    client = await nats.connect(url)
    yield client
    await client.close()


async def stream(
    client: Raw, agent: str, payload: bytes, *, headers: dict[str, str] | None = None, timeout: float = 20
) -> list[Msg]:
    """Everything that goes back for a prompt until the empty message without headers."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish(wire.subject("prompt", "default", agent), payload, reply=inbox, headers=headers)
    found = [await subscription.next_msg(timeout)]
    while found[-1].data or found[-1].headers:
        found.append(await subscription.next_msg(timeout))
    await subscription.unsubscribe()
    return found


async def replies(client: Raw, subject: str, quiet: float = 0.75) -> list[dict[str, object]]:
    """Every answer to a question, until it has been quiet for a while."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish(subject, b"", reply=inbox)
    found = []
    try:
        while True:
            found.append(json.loads((await subscription.next_msg(quiet)).data))
    except nats.errors.TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()


# --- any NATS client --------------------------------------------------------------------------------------


async def test_prompt_is_ack_answer_and_an_empty_message(raw: Raw):
    """The chunks of a prompt come in the order of the protocol, whoever owns the agent."""
    for agent in sorted(AGENTS)[:10]:  # of both workers
        ack, answer, last = await stream(raw, agent, b"hello")
        assert json.loads(ack.data) == {"type": "status", "data": "ack"}
        assert json.loads(answer.data) == {"type": "response", "data": f"{agent}: hello"}
        assert (last.data, last.headers) == (b"", None)


async def test_json_prompt_with_attachments(raw: Raw):
    """A prompt with files near the bound reaches the agent whole, and its long answer comes back whole."""
    attachment = {"filename": "a.bin", "content": base64.b64encode(bytes(700_000)).decode()}
    body = json.dumps({"prompt": "inputs", "attachments": [attachment], "unknown": 1}).encode()
    for agent in ("host_1", "host_2", "host_3"):
        _, *chunks, _ = await stream(raw, agent, body)
        text = "".join(json.loads(chunk.data)["data"] for chunk in chunks)
        assert json.loads(text) == {"attachments": [attachment]}


async def test_answer_larger_than_a_message_is_split_on_characters(raw: Raw):
    """An answer over the server's max_payload comes in pieces, each of them JSON with whole characters."""
    _, *chunks, _ = await stream(raw, "host_4", b"long 1200000")
    text = "".join(json.loads(chunk.data)["data"] for chunk in chunks)
    assert len(text.encode()) > raw.max_payload
    assert text == "aé€😀" * 300_000


@pytest.mark.parametrize(
    ("agent", "payload", "code", "error"),
    [
        ("host_0", b"", "400", "bad_message"),
        ("host_0", b'{"prompt": ""}', "400", "bad_message"),
        ("host_0", b"{", "400", "bad_message"),
        ("host_0", b"\xff", "400", "bad_message"),
        ("host_0", b"reject", "400", "rejected"),
        ("nobody", b"hello", "404", "unknown_agent"),
        ("host_0", b"fail", "500", "handler_failed"),
    ],
)
async def test_errors_have_their_codes(raw: Raw, agent: str, payload: bytes, code: str, error: str):
    """What goes wrong is told in headers and body, and the stream still ends with an empty message."""
    *_, told, last = await stream(raw, agent, payload)
    assert told.headers["Nats-Service-Error-Code"] == code
    assert told.headers["Nats-Service-Error"]
    assert json.loads(told.data)["error"] == error
    assert (last.data, last.headers) == (b"", None)


async def test_headers_a_prompt_has_no_use_for_are_ignored(raw: Raw):
    """A prompt is its body: a claim check or another place for the answer change nothing."""
    headers = {"Actorium-Blob": "0" * 64, "Reply-To": "elsewhere"}
    for agent in sorted(AGENTS)[:10]:  # of both workers
        _, answer, _ = await stream(raw, agent, b"hello", headers=headers)
        assert json.loads(answer.data)["data"] == f"{agent}: hello"


async def test_deadline_of_the_caller_holds(raw: Raw):
    """A prompt ends by the deadline in its header."""
    *_, told, _ = await stream(raw, "host_5", b"sleep 30", headers={"Deadline-Ms": "300"})
    assert json.loads(told.data)["error"] == "deadline_exceeded"


async def test_each_agent_is_told_once(raw: Raw):
    """With two workers, each question on $SRV has one answer for each agent, with its endpoints."""
    for subject in ("$SRV.INFO.agents", "$SRV.PING", "$SRV.STATS.agents"):
        found = await replies(raw, subject)
        assert Counter(record["metadata"]["session"] for record in found) == Counter(AGENTS), subject
        assert {record["name"] for record in found} == {"agents"}
    (one,) = await replies(raw, f"$SRV.INFO.agents.{wire.instance_id('default', 'host_7')}")
    assert one["metadata"] == {
        "agent": "actorium",
        "owner": "default",
        "session": "host_7",
        "protocol_version": "0.3",
    }
    assert one["description"] == "Answers prompts."
    assert [(end["name"], end["subject"], end["queue_group"]) for end in one["endpoints"]] == [
        ("prompt", "agents.prompt.actorium.default.host_7", "agents"),
        ("status", "agents.status.actorium.default.host_7", "agents"),
    ]
    assert one["endpoints"][0]["metadata"] == {"max_payload": "1MB", "attachments_ok": "true"}
    assert await replies(raw, "$SRV.INFO.agents.nobody", quiet=0.2) == []
    assert await replies(raw, f"$SRV.PING.agents.{wire.instance_id('default', 'no')}", quiet=0.2) == []


async def test_spawned_agent_shows_and_stopped_one_does_not(raw: Raw, node: Node):
    """Discovery follows what is spawned and stopped; a stopped agent refuses prompts."""
    async with attached(node.settings.nats.url) as cluster:
        known = (await cluster.client.agents())[0]
        await cluster.client.spawn(type(known)(name="spawned", kind=known.kind))

        async def told(name: str) -> bool:
            return name in {
                record["metadata"]["session"] for record in await replies(raw, "$SRV.INFO.agents")
            }

        await eventually(lambda: told("spawned"))
        await cluster.client.stop("spawned")
        *_, refused, _ = await stream(raw, "spawned", b"hello")
        assert refused.headers["Nats-Service-Error-Code"] == "409"

        async def gone() -> bool:
            return not await told("spawned")

        await eventually(gone)


# --- the official client ----------------------------------------------------------------------------------


@pytest.fixture
async def official(raw: Raw) -> AsyncIterator[object]:
    """The official client."""
    kit = pytest.importorskip(
        "synadia_ai.agents", reason="synadia-ai-agents is not installed for this Python"
    )
    agents = kit.Agents(nc=raw)
    yield agents
    await agents.close()


async def text_of(chunks: AsyncIterator[object]) -> str:
    """The text of a prompt's response chunks."""
    return "".join([getattr(chunk, "text", "") async for chunk in chunks])


async def test_official_client_discovers_and_prompts(official):
    """The public client finds every agent and gets its answer, unchanged."""
    found = {agent.session_name: agent for agent in await official.discover()}
    assert set(found) >= AGENTS
    for name in ("host_0", "host_11", "host_22", "host_33"):
        agent = found[name]
        assert (agent.agent, agent.owner, agent.protocol_version) == ("actorium", "default", "0.3")
        assert await text_of(agent.prompt("hello")) == f"{name}: hello"
        assert len(await text_of(agent.prompt("long 200000"))) == 200_000


async def test_official_client_sends_attachments(official):
    """Attachments of the public client arrive, as our metadata says they may."""
    kit = pytest.importorskip("synadia_ai.agents")
    agent = next(agent for agent in await official.discover() if agent.session_name == "host_1")
    attachment = kit.Attachment.from_bytes("a.txt", b"content")
    told = json.loads(await text_of(agent.prompt("inputs", attachments=[attachment])))
    assert told == {"attachments": [{"filename": "a.txt", "content": attachment.content}]}


async def test_official_client_sees_errors(official):
    """A failing agent raises in the public client, with our code and message."""
    kit = pytest.importorskip("synadia_ai.agents")
    agent = next(agent for agent in await official.discover() if agent.session_name == "host_2")
    with pytest.raises(kit.ProtocolError, match="500: agent 'host_2' failed: ValueError: as told"):
        await text_of(agent.prompt("fail"))
    with pytest.raises(kit.ProtocolError, match="400: not today"):
        await text_of(agent.prompt("reject"))


async def test_official_client_asks_status_and_pings(official):
    """Status and ping of the public client are answered for an agent that is there, and only for it."""
    agent = next(agent for agent in await official.discover() if agent.session_name == "host_3")
    status = await agent.status()
    assert (status.agent, status.owner, status.session) == ("actorium", "default", "host_3")
    assert (status.instance_id, status.interval_s) == (agent.instance_id, 30)
    assert await official.ping(agent.instance_id)
    assert not await official.ping(wire.instance_id("default", "nobody"), timeout=0.5)


async def test_official_client_hears_first_heartbeats(
    make_node: Callable[..., Node], nats_server, tmp_path: Path
):
    """Every agent of a node that starts is online for the public client soon, not an interval later."""
    kit = pytest.importorskip(
        "synadia_ai.agents", reason="synadia-ai-agents is not installed for this Python"
    )
    program = tmp_path / "hosts.py"
    program.write_text(PROGRAM)
    client = await nats.connect(nats_server.url)
    agents = kit.Agents(nc=client)
    await agents.start_tracking()
    make_node(nats_server.url, source=str(program))
    ids = [wire.instance_id("default", name) for name in AGENTS]
    await eventually(lambda: all((seen := agents.liveness(one)) and seen.is_online for one in ids), 15)
    await agents.close()
    await client.close()


# --- time -------------------------------------------------------------------------------------------------


class Slow(Actor):
    """Takes its time."""

    async def receive(self, message: Task, ctx: Context) -> str:
        await asyncio.sleep(float(message.spec))
        return "done"


@asynccontextmanager
async def edge(url: str, rhythm: Rhythm) -> AsyncIterator[None]:
    """A worker in this process on a real server, with an edge of that rhythm instead of its own."""
    settings = Settings(nats=NatsSettings(url=url))
    bus = await connect_bus(settings.nats, "test")
    await prepare(settings, bus)
    await bus.close()
    names = await connect(settings, "test")
    await names.registry.define(Slow.named("slow"))
    await names.leases.put_session(Session(id="w", node="n"), revision=0)
    spec = WorkerSpec(session="w", node="n", settings=settings, lease=3600.0)
    async with hosting(spec, names, lambda: True, Reporter("", "w")) as worker:
        await worker.holder.settled.wait()
        await worker.synadia.close()
        async with asyncio.TaskGroup() as tasks:
            made = SynadiaEdge(names, worker.courier, worker.hosts, tasks, rhythm=rhythm)
            await made.open()
            yield
            await made.close()
        await worker.drain(2.0)
    await names.close()


async def test_slow_prompt_is_kept_alive(nats_server: TestServer):
    """A caller with a short patience hears of a slow prompt often enough to wait for it."""
    kit = pytest.importorskip(
        "synadia_ai.agents", reason="synadia-ai-agents is not installed for this Python"
    )
    client = await nats.connect(nats_server.url)
    agents = kit.Agents(nc=client, stream_inactivity_timeout=0.5)
    async with edge(nats_server.url, Rhythm(keep_alive=0.1)):
        (agent,) = await agents.discover()
        assert await text_of(agent.prompt("1.5")) == "done"
        *acks, _, _ = await stream(client, "slow", b"0.5")
    assert len(acks) >= 3
    assert {ack.data for ack in acks} == {wire.ACK}
    await agents.close()
    await client.close()
