"""Which version is told where the package was never installed: a tree that was copied, frozen or vendored."""

import asyncio
import re
from importlib import metadata

import msgspec
import pytest

from actorium import Actor, App, Task
from actorium.bus.port import Message
from actorium.runtime.memory import in_memory
from actorium.runtime.version import UNKNOWN, installed

SEMVER = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


class Echo(Actor):
    async def receive(self, message: Task, ctx: object) -> object:
        return message.spec


def test_a_package_without_metadata_has_an_unknown_version() -> None:
    """A version all the same, for those who parse it."""
    assert installed("msgspec") == metadata.version("msgspec")
    assert installed("not-installed-anywhere") == UNKNOWN
    assert SEMVER.fullmatch(UNKNOWN)


async def test_a_worker_without_metadata_works_and_shows_its_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told to NATS tools about a worker is no reason for it to end."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    async with in_memory(App(Echo.named("echo"))) as actorium:
        assert (await actorium.ask("echo", "hello")).data == "hello"
        told: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        await actorium.names.bus.subscribe("here", told.set_result)
        await actorium.names.bus.publish("$SRV.PING.agents", b"", reply="here")
        async with asyncio.timeout(5):
            record = msgspec.json.decode((await told).payload)
    assert record["version"] == UNKNOWN
