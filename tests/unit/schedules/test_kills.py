"""Schedulers in processes of their own, killed with -9 as soon as they have published."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actorium.actors.schedules.schedule import Every, Misfire
from actorium.actors.schedules.schedules import Schedules
from actorium.bus import subjects
from actorium.bus.envelope import TASK_ID
from actorium.runtime.client import Client
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import connect_bus, over, prepare
from eventually import eventually
from servers import TestServer
from unit.schedules.stage import hourly

OWNER = Path(__file__).with_name("owner.py")
KILLS = 6


class Owners:
    """Two at a time; whoever is killed is replaced."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.alive = [self._start(), self._start()]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, OWNER, self._url])

    def kill(self) -> None:
        """The elder."""
        self.end(self.alive.pop(0))
        self.alive.append(self._start())

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()


@pytest.fixture
def owners(nats_server: TestServer) -> Iterator[Owners]:
    settings = Settings(nats=NatsSettings(url=nats_server.url))

    async def begin() -> None:
        bus = await connect_bus(settings.nats, "test")
        await prepare(settings, bus)
        when = {"when": Every(seconds=1), "created": datetime.now(UTC).replace(microsecond=0)}
        await Schedules(over(bus, 64).state).add(hourly(name="beat", misfire=Misfire.ALL, **when))
        await bus.close()

    asyncio.run(begin())
    owners = Owners(nats_server.url)
    yield owners
    for process in owners.alive:
        owners.end(process)


def test_every_second_is_told_once_whoever_is_killed(owners: Owners, nats_server: TestServer) -> None:
    """Killed right after a publish, in the middle of what follows it: nothing twice, nothing missing."""

    async def told(client: Client) -> list[str]:
        subject = subjects.inbox(subjects.partition("default", "writer"), "default", "writer")
        past = await client.names.bus.history(subjects.INBOX, subject, after=0, limit=1000)
        return [(each.message.headers or {})[TASK_ID] for each in past]

    async def play() -> list[str]:
        async with Client(nats_server.url) as client:
            heard: asyncio.Queue[object] = asyncio.Queue()
            subscription = await client.names.bus.subscribe("inp.*.*.*", heard.put_nowait)
            for _ in range(KILLS):
                await asyncio.wait_for(heard.get(), 30)
                owners.kill()
            killed = len(await told(client))
            await eventually(lambda: enough(client, killed), 30)
            await subscription.close()
            return await told(client)

    async def enough(client: Client, killed: int) -> bool:
        return len(await told(client)) >= killed + 3

    ids = asyncio.run(play())
    moments = [datetime.fromisoformat(each.partition("/")[2]) for each in ids]
    assert moments == [moments[0] + timedelta(seconds=number) for number in range(len(moments))]
