"""The bus twice: in memory, and on a real server of the test's own, because the streams have fixed names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import pytest

from actorium.bus.feed import FeedSettings
from actorium.bus.memory import MemoryBus
from actorium.bus.memory_hub import MemoryHub
from actorium.bus.nats import NatsBus
from actorium.bus.port import Bus
from actorium.bus.streams import StreamSettings, provision
from servers import TestServer

BOTH = ["memory", pytest.param("nats", marks=pytest.mark.server)]
MAILBOX = 10
STREAMS = StreamSettings(mailbox=MAILBOX)
FEEDS = FeedSettings(heartbeat=0.2, expires=1.0)

Connect = Callable[[], Awaitable[Bus]]


class Factory(Protocol):
    """Makes a world: `await factory(mailbox=.., mappings=..)` gives what connects to it."""

    def __call__(
        self, settings: StreamSettings = STREAMS, *, mappings: bool = True
    ) -> Awaitable[Connect]: ...


@pytest.fixture(params=BOTH)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[Factory]:
    """A server or a hub with every stream; all buses are closed at the end."""
    opened: list[Bus] = []
    # asked for here and not when it is called: then it is torn down after us
    start = request.getfixturevalue("nats_server_factory") if request.param == "nats" else None

    async def memory(settings: StreamSettings = STREAMS, *, mappings: bool = True) -> Connect:
        hub = MemoryHub(settings, mappings=mappings)

        async def connect() -> Bus:
            opened.append(MemoryBus(hub))
            return opened[-1]

        return connect

    async def nats(settings: StreamSettings = STREAMS, *, mappings: bool = True) -> Connect:
        server = start(mappings=mappings)

        async def connect() -> Bus:
            opened.append(await NatsBus.connect(server.url, name="test", feeds=FEEDS))
            return opened[-1]

        bus = await connect()
        await provision(bus.js, bus.server_version, settings)
        return connect

    yield memory if request.param == "memory" else nats
    for bus in opened:
        await bus.close()


@pytest.fixture
async def connect(world: Factory) -> Connect:
    """Connects to a world with small mailboxes and with mappings."""
    return await world()


@pytest.fixture
async def bus(connect: Connect) -> Bus:
    """One connection."""
    return await connect()


@pytest.fixture
async def nats_bus(nats_server: TestServer) -> AsyncIterator[NatsBus]:
    """A connection to `nats_server`, with every stream and impatient pulls."""
    bus = await NatsBus.connect(nats_server.url, name="test", feeds=FEEDS)
    await provision(bus.js, bus.server_version, STREAMS)
    yield bus
    await bus.close()
