"""Lodging: where the agent of a one-shot runs: on the workers that are up, or on some of its own for as long.

Not responsible for the task. Invariant: workers are started only where none are up: on one server they would
take agents away from a program whose code they do not have.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from ..actors.definition import Definition
from ..actors.errors import ActorError
from ..bus import subjects
from ..bus.envelope import OP
from ..bus.errors import ActoriumError, BusLost, ConfigError, NoOwner
from .client import Client
from .config import Settings
from .dev import run
from .server.embedded import running_url
from .supervisor import NodeSupervisor

LOOK = 2.0  # seconds that a busy worker gets to answer
WORKERS = 1  # of a node for one task: most of what an agent does is waiting

Hurry = Callable[[], None]
Work = Callable[[Client, Hurry], Awaitable[None]]


async def found(settings: Settings) -> Settings | None:
    """Settings that lead to workers that are up; None where there are none."""
    url = settings.nats.url or await running_url(settings)
    if not url:
        return None
    there = msgspec.structs.replace(settings, nats=msgspec.structs.replace(settings.nats, url=url))
    async with Client(settings=there) as client:
        return there if await _is_up(client) else None


async def as_guest(
    settings: Settings, definitions: Sequence[Definition], work: Work, *, source: str, embedded: bool
) -> None:
    """Do the work with workers that are up.

    Args:
        definitions: Agents that must be there.
        source: The program they are of; empty: they need none, and are defined where they are not there.
        embedded: The server is this machine's own, beside which there can be another one.

    Raises:
        ConfigError: An agent is not there as it is defined here; it says what can be done.
    """
    async with Client(settings=settings) as client:
        for definition in definitions:
            there = await _there(client, definition)
            if there is not None and _same(there, definition):
                continue
            if source:
                told = _not_theirs(definition.name, source, known=there is not None, embedded=embedded)
                raise ConfigError(told, agent=definition.name)
            await client.spawn(definition)
        await work(client, lambda: None)


def at_home(settings: Settings, definitions: Sequence[Definition], source: str, work: Work) -> None:
    """Do the work on workers of our own, and a NATS where the settings name none. Blocks; takes the signals.

    Raises:
        ConfigError: An agent has no model that can answer.
        KeyboardInterrupt: Ctrl-C came before the work began.
    """
    few = msgspec.structs.replace(settings, workers=settings.workers or WORKERS)
    failed: list[BaseException] = []
    began: list[bool] = []

    async def inside(used: Settings, supervisor: NodeSupervisor) -> None:
        began.append(True)
        try:
            async with Client(settings=used) as client:
                await work(client, supervisor.hurry)
        except Exception as error:  # noqa: BLE001  # raised again below, when everything has ended in order
            failed.append(error)
        supervisor.stop()

    run(definitions, source, few, embed=True, started=inside)
    if failed:
        raise failed[0]
    if not began:
        raise KeyboardInterrupt


async def _is_up(client: Client) -> bool:
    """Whether somebody owns agents: any agent's owner would answer, also that there is no such agent."""
    part = subjects.partition(subjects.DEFAULT_TENANT, "anybody", client.names.partitions)
    subject = subjects.control(part, subjects.DEFAULT_TENANT, "anybody")
    try:
        await client.names.bus.request(subject, b"", {OP: "status"}, timeout=LOOK)
    except (NoOwner, BusLost):
        return False
    except ActoriumError:
        return True  # whoever is slow to tell is there
    return True


async def _there(client: Client, definition: Definition) -> Definition | None:
    """The agent of that name that the workers have."""
    with suppress(ActorError):
        return await client.names.registry.find(definition.tenant, definition.name)
    return None


def _same(there: Definition, definition: Definition) -> bool:
    started = msgspec.structs.replace(there, stopped=definition.stopped, given_up=definition.given_up)
    return msgspec.json.encode(started) == msgspec.json.encode(definition)  # a tuple comes back as a list


def _not_theirs(agent: str, source: str, *, known: bool, embedded: bool) -> str:
    """What is said where a program is named, and workers of another one are up."""
    wrong = f"agent {agent!r} otherwise than {source}" if known else f"no agent {agent!r}"
    theirs = f"--agent {agent} without {source} takes theirs, or " if known else ""
    apart = "ACTORIUM_DATA=DIR actorium run" if embedded else "NATS_URL=URL actorium run"
    return (
        f"the workers that are up have {wrong}: {theirs}start {source} in their place "
        f"(actorium dev {source}), or run it apart from them, on another server ({apart} ...)"
    )
