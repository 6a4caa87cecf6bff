"""A store of schedules, in memory and on a real server, and what is told."""

import secrets
from collections.abc import AsyncIterator

import nats
import pytest

from actorium.actors.schedules.schedules import Schedules
from actorium.bus.jetstream import JetStream
from actorium.storage.memory import MemoryState
from actorium.storage.nats import NatsState
from actorium.storage.port import StateStore
from unit.schedules.stage import Inbox, Wall


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.server)])
async def store(request: pytest.FixtureRequest, wall: Wall) -> AsyncIterator[StateStore]:
    if request.param == "memory":
        yield MemoryState(now=wall.seconds)
        return
    client = await nats.connect(request.getfixturevalue("nats_url"))
    try:
        state = NatsState(JetStream(client), f"state-{secrets.token_hex(4)}", now=wall.seconds)
        await state.ensure()
        yield state
    finally:
        await client.close()


@pytest.fixture
def schedules(store: StateStore) -> Schedules:
    return Schedules(store)
