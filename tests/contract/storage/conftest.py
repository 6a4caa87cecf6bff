"""Each storage port twice: in memory, and on a real server under names of this test's own."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats
import pytest

from actorium.bus.errors import DeadlineExceeded
from actorium.bus.jetstream import JetStream, PubAck
from actorium.bus.port import Past
from actorium.storage.memory import MemoryBlobs, MemoryLeases, MemoryLedger, MemoryState
from actorium.storage.nats import NatsBlobs, NatsLeases, NatsLedger, NatsState
from actorium.storage.port import Blobs, Leases, Ledger, StateStore

BOTH = ["memory", pytest.param("nats", marks=pytest.mark.server)]


class LossyJetStream(JetStream):
    """A real connection that loses what it is told to lose.

    Attributes:
        losses: What happens to the next publishes: "sent" is stored but its ack is lost, "unsent" is gone.
        meanwhile: Called once after the next loss.
        deaf: Whether reads get no answer.
    """

    def __init__(self, client: nats.NATS) -> None:
        super().__init__(client)
        self.losses: list[str] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.deaf = False
        self.published = 0

    async def publish(self, subject: str, payload: bytes, headers=None, **options) -> PubAck:
        self.published += 1
        loss = self.losses.pop(0) if self.losses else ""
        if loss != "unsent":
            ack = await super().publish(subject, payload, headers, **options)
        if loss:
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile:
                await meanwhile()
            raise DeadlineExceeded(f"lost: {loss}")
        return ack

    async def get(self, stream: str, **options) -> Past | None:
        if self.deaf:
            raise DeadlineExceeded("lost: read")
        return await super().get(stream, **options)


class Clock:
    """Wall seconds that a test moves."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[LossyJetStream]:
    client = await nats.connect(url)
    try:
        yield LossyJetStream(client)
    finally:
        await client.close()


@asynccontextmanager
async def connected_for(request: pytest.FixtureRequest) -> AsyncIterator[LossyJetStream | None]:
    """A connection for the parameter "nats", None for "memory"."""
    if request.param == "memory":
        yield None
        return
    async with connected(request.getfixturevalue("nats_url")) as js:
        yield js


@pytest.fixture
def unique() -> str:
    """A token that no other test uses."""
    return secrets.token_hex(4)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def js(nats_url: str) -> AsyncIterator[LossyJetStream]:
    async with connected(nats_url) as js:
        yield js


async def make_ledger(js: JetStream, unique: str) -> NatsLedger:
    stream = f"LED_{unique}"
    config = {"name": stream, "subjects": [f"led.{unique}.*.*"], "storage": "file", "retention": "limits"}
    await js.api(f"STREAM.CREATE.{stream}", {**config, "deny_delete": True, "deny_purge": True})
    return NatsLedger(js, stream_of=lambda _: stream)


@pytest.fixture
async def nats_ledger(js: LossyJetStream, unique: str) -> NatsLedger:
    return await make_ledger(js, unique)


@pytest.fixture(params=BOTH)
async def ledger(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Ledger]:
    async with connected_for(request) as js:
        yield MemoryLedger() if js is None else await make_ledger(js, unique)


@pytest.fixture
def subject(unique: str) -> str:
    return f"led.{unique}.acme.writer"


@pytest.fixture
async def nats_leases(js: LossyJetStream, unique: str) -> NatsLeases:
    leases = NatsLeases(js, nodes=f"nodes-{unique}", owners=f"owners-{unique}")
    await leases.ensure()
    return leases


@pytest.fixture(params=BOTH)
async def leases(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Leases]:
    async with connected_for(request) as js:
        if js is None:
            yield MemoryLeases()
            return
        leases = NatsLeases(js, nodes=f"nodes-{unique}", owners=f"owners-{unique}")
        await leases.ensure()
        yield leases


@pytest.fixture
async def nats_state(js: LossyJetStream, unique: str, clock: Clock) -> NatsState:
    state = NatsState(js, f"state-{unique}", now=clock)
    await state.ensure()
    return state


@pytest.fixture(params=BOTH)
async def state(request: pytest.FixtureRequest, unique: str, clock: Clock) -> AsyncIterator[StateStore]:
    async with connected_for(request) as js:
        if js is None:
            yield MemoryState(now=clock)
            return
        state = NatsState(js, f"state-{unique}", now=clock)
        await state.ensure()
        yield state


@pytest.fixture
async def nats_blobs(js: LossyJetStream, unique: str) -> NatsBlobs:
    blobs = NatsBlobs(js, f"blobs-{unique}")
    await blobs.ensure()
    return blobs


@pytest.fixture(params=BOTH)
async def blobs(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Blobs]:
    async with connected_for(request) as js:
        if js is None:
            yield MemoryBlobs()
            return
        blobs = NatsBlobs(js, f"blobs-{unique}")
        await blobs.ensure()
        yield blobs
