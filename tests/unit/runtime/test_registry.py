"""Which agents exist, so that every worker agrees."""

import asyncio

import msgspec
import pytest

from actorium.actors.definition import Definition, Options
from actorium.actors.errors import ActorError, UnknownAgent
from actorium.bus.task import AgentStatus
from actorium.runtime.registry import Registry
from actorium.storage.memory import MemoryState

ONE = Definition(name="one", kind="m:A", options=Options(attempts=2))


async def test_what_was_defined_is_found() -> None:
    """By tenant and name, whole."""
    registry = Registry(MemoryState())
    other = Definition(name="one", kind="m:B", tenant="acme")
    await registry.define(ONE)
    await registry.define(other)

    assert await registry.find("default", "one") == ONE
    assert await registry.find("acme", "one") == other
    assert await registry.all("acme") == [other]
    assert await registry.all() == [other, ONE]


async def test_who_is_not_there_is_named_with_a_hint() -> None:
    """The error says which, and how to see those there are."""
    with pytest.raises(UnknownAgent, match="no agent 'nobody'; actorium agent ls") as refused:
        await Registry(MemoryState()).find("default", "nobody")
    assert refused.value.fields == {"agent": "nobody"}


async def test_the_same_definition_again_writes_nothing() -> None:
    """Every start of a program defines its agents: that must not wake anybody."""
    store = MemoryState()
    registry = Registry(store)
    await registry.define(ONE)
    first = await store.get(ONE.key)
    await registry.define(ONE)

    assert await store.get(ONE.key) == first


async def test_a_stopped_agent_stays_stopped_when_its_program_starts_again() -> None:
    """Only a start or a restart undoes a stop; a changed definition does not."""
    registry = Registry(MemoryState())
    await registry.define(ONE)
    await registry.set_stopped("default", "one", stopped=True)

    await registry.define(msgspec.structs.replace(ONE, description="changed"))
    assert (await registry.find("default", "one")).stopped
    assert (await registry.find("default", "one")).description == "changed"

    await registry.define(ONE, start=True)
    assert not (await registry.find("default", "one")).stopped


async def test_a_stop_and_a_change_at_once_are_both_kept() -> None:
    """Neither overwrites the other: compare-and-set, again and again."""
    registry = Registry(MemoryState())
    await registry.define(ONE)
    changed = msgspec.structs.replace(ONE, description="changed")

    await asyncio.gather(
        *(registry.set_stopped("default", "one", stopped=True) for _ in range(5)), registry.define(changed)
    )

    found = await registry.find("default", "one")
    assert found.stopped
    assert found.description == "changed"


@pytest.mark.parametrize(
    "stored", [b"", b"{", b'{"name": 5}', b"\xff", b'{"name":"one","kind":"m:A","options":{"idle":"x"}}']
)
async def test_a_definition_that_does_not_read_is_an_error_of_that_agent(stored) -> None:
    """What another release or a person wrote there costs one agent its answer, not the worker its life."""
    store = MemoryState()
    await store.put("default.one", stored)

    with pytest.raises(ActorError, match="definition of agent 'one' does not read"):
        await Registry(store).find("default", "one")


async def given_up(registry: Registry) -> None:
    """Define it, and give it up."""
    await registry.define(ONE)
    await registry.give_up(ONE, "failed 3 times", since=await registry.revision_of(ONE))


async def test_what_was_given_up_is_stopped_and_says_why() -> None:
    """For every owner to come: a death of a worker is no restart of what is in error."""
    registry = Registry(MemoryState())
    await given_up(registry)

    found = await registry.find("default", "one")
    assert (found.stopped, found.given_up) == (True, "failed 3 times")
    assert found.resting is AgentStatus.ERROR


async def test_what_was_given_up_is_started_by_a_start_and_by_its_program() -> None:
    """An operator's fix comes alive without another command; what somebody stopped does not."""
    registry = Registry(MemoryState())
    await given_up(registry)
    await registry.define(ONE)
    assert await registry.find("default", "one") == ONE

    await given_up(registry)
    assert await registry.set_stopped("default", "one", stopped=False) == ONE

    await given_up(registry)
    await registry.set_stopped("default", "one", stopped=True)
    await registry.define(ONE)
    assert (await registry.find("default", "one")).resting is AgentStatus.STOPPED


@pytest.mark.parametrize("again", [ONE, msgspec.structs.replace(ONE, description="changed")])
async def test_who_started_it_meanwhile_is_right(again: Definition) -> None:
    """A supervisor may take its time to decide; a start that came after the failure is not undone."""
    registry = Registry(MemoryState())
    await registry.define(ONE)
    since = await registry.revision_of(ONE)
    await registry.define(again)
    await registry.set_stopped("default", "one", stopped=False)
    await registry.give_up(ONE, "failed", since=since)

    assert await registry.find("default", "one") == again


async def test_a_reason_that_is_not_said_is_no_stop_of_somebody() -> None:
    """A supervisor of a program's own may say nothing."""
    registry = Registry(MemoryState())
    await registry.define(ONE)
    await registry.give_up(ONE, "", since=await registry.revision_of(ONE))
    assert (await registry.find("default", "one")).resting is AgentStatus.ERROR
