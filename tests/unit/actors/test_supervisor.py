"""What a supervisor says to those that are not as it was told, and about those that are gone."""

import pytest

from actorium import Actor, App, Context, Policy, Strategy, Supervisor, Task
from actorium.actors.definition import Options
from actorium.runtime.memory import MemoryWorld, in_memory
from eventually import eventually

QUICK = Policy(backoff=0.001)


class Member(Actor):
    """Fails when it is told to."""

    async def receive(self, message: Task, ctx: Context) -> str:
        if message.action == "fail":
            raise ValueError("as told")
        return "here"


async def test_a_child_that_is_none_is_restarted_as_its_own_policy_says_and_harms_no_supervisor() -> None:
    """While nodes are updated a supervisor may not know yet, or not any more, who stands in its group."""
    world = MemoryWorld()
    await world.registry.define(Member.named("stray", Options(attempts=1, supervisor="boss", policy=QUICK)))
    async with in_memory(App(Supervisor.of("boss", Member.named("one"))), world) as client:
        for _ in range(3):
            assert (await client.ask("stray", Task(action="fail"))).failure is not None
        assert (await client.ask("stray", Task())).data == "here"
        assert (await client.status("stray"))["restarts"] == 3
        assert (await client.status("boss"))["restarts"] == 0


@pytest.mark.parametrize("gone", ["one", "three"])
async def test_a_group_gives_up_also_where_one_of_it_is_gone(gone: str) -> None:
    """The others are given up all the same, with the one that failed."""
    world = MemoryWorld()
    members = [Member.named(name, Options(attempts=1)) for name in ("one", "two", "three", "four")]
    group = Supervisor.of("boss", *members, policy=Policy(strategy=Strategy.ONE_FOR_ALL, intensity=0))
    async with in_memory(App(group), world) as client:
        await world.registry._store.delete(f"default.{gone}")
        await client.ask("two", Task(action="fail"))
        left = [member.name for member in members if member.name != gone]

        async def given_up() -> bool:
            told = {name: (await client.status(name))["status"] for name in left}
            return told == dict.fromkeys(left, "error")

        await eventually(given_up)
        assert (await client.status("boss"))["restarts"] == 0
