"""The line of an isolated agent's process: no connection before it says something, and one then."""

import asyncio
import socket
from pathlib import Path

import pytest

from actorium.bus.envelope import Envelope
from actorium.bus.errors import BusError
from actorium.bus.task import Task
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.isolation.line import AgentLine
from actorium.runtime.namespace import connect, connect_bus, prepare
from servers import TestServer

ESTABLISHED = "01"


def connections(port: int) -> int:
    """How many connections of the machine lead to a port of this host."""
    lines = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(line[2].endswith(f":{port:04X}") and line[3] == ESTABLISHED for line in lines)


@pytest.fixture
async def settings(nats_server: TestServer) -> Settings:
    settings = Settings(nats=NatsSettings(url=nats_server.url))
    bus = await connect_bus(settings.nats, "test")
    await prepare(settings, bus)
    await bus.close()
    return settings


async def test_it_connects_when_it_first_says_something_and_once(settings, nats_server) -> None:
    """An agent that only answers costs the server no connection."""
    line = AgentLine(settings)
    assert await line.nearby("echo", Task(spec=1), Envelope()) is None
    assert connections(nats_server.port) == 0

    await asyncio.gather(*(line.tell("echo", Task(spec=n), Envelope(task_id=f"t{n}")) for n in range(5)))
    assert connections(nats_server.port) == 1
    await line.close()

    names = await connect(settings, "test")
    stored = await names.bus.history("INBOX", "inp.*.default.echo")
    assert sorted(past.message.headers["Task-Id"] for past in stored) == [f"t{n}" for n in range(5)]
    await names.close()


async def test_a_line_that_could_not_connect_is_tried_again(settings, nats_server) -> None:
    """Who speaks while the server is away is told so, and who speaks afterwards is heard."""
    line = AgentLine(settings)
    nats_server.kill()
    with pytest.raises(BusError):
        await line.emit("echo", "told", "t1", {})

    nats_server.start()
    assert not await line.tell("echo", Task(spec=1), Envelope(task_id="t1"))
    await line.close()


async def test_a_line_that_was_never_used_closes() -> None:
    """Without looking for a server first."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        line = AgentLine(Settings(nats=NatsSettings(url=f"nats://127.0.0.1:{nobody.getsockname()[1]}")))
        await line.close()
