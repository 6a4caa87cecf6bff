"""Groups: a supervisor restarts the siblings its strategy names, in order, or gives up and stops them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from actorium import Actor, App, Client, Context, Policy, Restart, Strategy, Supervisor, Task
from actorium.actors.definition import Definition, Options
from actorium.actors.supervisor import Mend
from actorium.bus.codec import read_event
from actorium.bus.errors import ConfigError
from actorium.bus.subjects import EVENTS
from actorium.runtime.memory import in_memory
from eventually import eventually

NAMES = ("one", "two", "three")


class Member(Actor):
    """Writes down when it begins and ends; fails when it is told to."""

    history: ClassVar[list[str]] = []

    async def on_start(self, ctx: Context) -> None:
        self.history.append(f"+{ctx.agent}")
        self.name = ctx.agent

    async def on_stop(self) -> None:
        self.history.append(f"-{self.name}")

    async def receive(self, message: Task, ctx: Context) -> str:
        if message.spec == "fail":
            raise ValueError("no")
        return "here"


@asynccontextmanager
async def group(strategy: Strategy, intensity: int = 10, **options: Any) -> AsyncIterator[Client]:
    """A group of three that are all alive."""
    policy = Policy(strategy=strategy, intensity=intensity, backoff=0.001)
    members = [Member.named(name, Options(attempts=1, **options)) for name in NAMES]
    async with in_memory(App(Supervisor.of("boss", *members, policy=policy))) as actorium:
        for name in NAMES:
            await actorium.ask(name, "hello")
        Member.history.clear()
        yield actorium
        Member.history.clear()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["+two"]),
        (Strategy.REST_FOR_ONE, ["-three", "+three", "+two"]),
        (Strategy.ONE_FOR_ALL, ["-three", "-one", "+one", "+three", "+two"]),
    ],
)
async def test_the_siblings_of_the_strategy_are_restarted_in_order(strategy, expected) -> None:
    """Stopped in reverse order of their start, started in order; the one that failed is told itself."""
    async with group(strategy) as actorium:
        await actorium.ask("two", "fail")
        await eventually(lambda: "+two" in Member.history)

        assert Member.history == expected
        for name in NAMES:
            assert (await actorium.ask(name, "hello")).data == "here"
        after = await actorium.tell("boss", Mend(id="behind all that it told itself", agents=()))
        await after.result(timeout=5)
        assert Member.history == expected, "what is done is not made good again"


async def test_what_a_supervisor_stopped_before_its_death_is_started_by_the_next_owner() -> None:
    """It told itself before it stopped them; a restart that came to its end is not made again."""
    async with group(Strategy.ONE_FOR_ALL) as actorium:
        for name in ("one", "three"):
            await actorium.stop(name)
        handle = await actorium.tell("boss", Mend(id="of an earlier life", agents=("one", "three")))
        await handle.result(timeout=5)

        for name in NAMES:
            assert (await actorium.ask(name, "hello")).data == "here"


async def test_a_group_that_was_given_up_stays_stopped() -> None:
    """Also where a supervisor reads late what it told itself before it gave up."""
    async with group(Strategy.ONE_FOR_ONE, intensity=0) as actorium:
        await actorium.ask("two", "fail")

        async def stopped() -> bool:
            return (await actorium.status("three"))["status"] == "error"

        await eventually(stopped)
        handle = await actorium.tell("boss", Mend(id="of an earlier life", agents=("three",)))
        await handle.result(timeout=5)
        assert await stopped()


async def test_a_group_that_fails_too_often_is_stopped() -> None:
    """With intensity 1 the second failure stops all children, and an event says why."""
    async with group(Strategy.ONE_FOR_ONE, intensity=1) as actorium:
        await actorium.ask("two", "fail")
        await eventually(lambda: "+two" in Member.history)
        await actorium.ask("two", "fail")

        async def stopped() -> bool:
            return [(await actorium.status(name))["status"] for name in NAMES] == ["error"] * 3

        await eventually(stopped)
        assert sorted(Member.history) == ["+two", "-one", "-three"]


def nested(above: Policy, *, intensity: int = 0, restart: Restart = Restart.PERMANENT) -> list[Definition]:
    """A group of two, by default of intensity 0, before a third agent, in a group that the policy is of."""
    one, two, three = (Member.named(name, Options(attempts=1)) for name in NAMES)
    inner = Supervisor.of(
        "inner", one, two, policy=Policy(intensity=intensity, backoff=0.001), restart=restart
    )
    return Supervisor.of("outer", inner, three, policy=above)


@asynccontextmanager
async def alive(definitions: list[Definition]) -> AsyncIterator[Client]:
    """Agents that have all been asked once."""
    async with in_memory(App(definitions)) as actorium:
        for name in NAMES:
            await actorium.ask(name, "hello")
        Member.history.clear()
        yield actorium
        Member.history.clear()


async def escalations(actorium: Client, name: str) -> list[dict[str, Any]]:
    """What a supervisor told when it could not go on by itself."""
    stored = await actorium.names.bus.history(EVENTS, f"agents.{name}.events")
    events = [read_event(past.message.payload) for past in stored]
    return [event.data for event in events if event.kind == "escalated"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["-one", "+one", "+two"]),
        (Strategy.ONE_FOR_ALL, ["-three", "+three", "-one", "+one", "+two"]),
    ],
)
async def test_a_group_that_gives_up_begins_anew_where_the_one_above_says_so(strategy, expected) -> None:
    """The group as a whole is the child; the strategy above says who else begins anew with it."""
    async with alive(nested(Policy(strategy=strategy, backoff=0.001))) as actorium:
        await actorium.ask("two", "fail")
        await eventually(lambda: "+two" in Member.history)

        assert Member.history == expected
        for name in NAMES:
            assert (await actorium.ask(name, "hello")).data == "here"
        (told,) = await escalations(actorium, "inner")
        assert (told["child"], told["to"], told["restarted"]) == ("two", "outer", True)
        assert await escalations(actorium, "outer") == []


async def test_a_group_begins_anew_with_no_failures_to_its_name() -> None:
    """As often as the one above allows it: each time it may fail as often as at first."""
    async with alive(nested(Policy(intensity=3, backoff=0.001), intensity=1)) as actorium:
        for turn in range(1, 7):
            await actorium.ask("one", "fail")
            await eventually(lambda turn=turn: Member.history.count("+one") == turn)

        assert len(await escalations(actorium, "inner")) == 3
        assert (await actorium.ask("two", "hello")).data == "here"


async def test_where_the_one_above_gives_up_too_everything_stops() -> None:
    """Up to the top, whose event says that nobody is left to decide."""
    async with alive(
        Supervisor.of("top", nested(Policy(intensity=0)), policy=Policy(intensity=0))
    ) as actorium:
        await actorium.ask("two", "fail")

        async def stopped() -> bool:
            told = [(await actorium.status(name))["status"] for name in NAMES]
            return told == ["error"] * 3

        await eventually(stopped)
        assert sorted(Member.history) == ["-one", "-three"]
        for name, child, above in (
            ("inner", "two", "outer"),
            ("outer", "inner", "top"),
            ("top", "outer", ""),
        ):
            (told,) = await escalations(actorium, name)
            assert (told["child"], told["to"], told["restarted"]) == (child, above, False)


async def test_a_temporary_group_that_gives_up_stops_alone() -> None:
    """Those beside it do not notice."""
    async with alive(nested(Policy(), restart=Restart.TEMPORARY)) as actorium:
        await actorium.ask("two", "fail")

        async def down() -> bool:
            return [(await actorium.status(name))["status"] for name in NAMES[:2]] == ["error"] * 2

        await eventually(down)
        assert (await actorium.ask("three", "hello")).data == "here"


async def test_a_group_whose_supervisor_above_is_gone_gives_up() -> None:
    """Nobody answers for it, so it ends as one that stands in no group."""
    orphan = [one for one in nested(Policy()) if one.name != "outer"]
    async with alive(orphan) as actorium:
        await actorium.ask("two", "fail")

        async def stopped() -> bool:
            return [(await actorium.status(name))["status"] for name in NAMES[:2]] == ["error"] * 2

        await eventually(stopped)
        (told,) = await escalations(actorium, "inner")
        assert not told["restarted"]


def test_an_agent_stands_in_one_group() -> None:
    """A group that was taken apart is refused: its agents would ask two supervisors."""
    inner = Supervisor.of("inner", Member.named("one"))

    with pytest.raises(ConfigError, match="'one' belongs to group 'inner'"):
        Supervisor.of("outer", *inner)


async def test_a_temporary_child_is_not_restarted() -> None:
    """It stays down and the others do not notice."""
    async with group(Strategy.ONE_FOR_ALL, restart=Restart.TEMPORARY) as actorium:
        await actorium.ask("two", "fail")

        async def down() -> bool:
            return (await actorium.status("two"))["status"] == "error"

        await eventually(down)
        assert Member.history == []
        assert (await actorium.ask("one", "hello")).data == "here"


async def test_two_siblings_that_fail_at_once_both_come_back() -> None:
    """Their failures are handled one after the other, and nobody waits for nobody."""
    async with group(Strategy.ONE_FOR_ALL) as actorium:
        async with asyncio.timeout(4):
            await asyncio.gather(actorium.ask("one", "fail"), actorium.ask("three", "fail"))

            async def back() -> bool:
                return [(await actorium.status(name))["status"] for name in NAMES] == ["idle"] * 3

            await eventually(back)
            for name in NAMES:
                assert (await actorium.ask(name, "hello")).data == "here"


async def test_a_supervisor_that_is_none_does_not_end_the_worker() -> None:
    """Where the named supervisor answers something else, the actor's own policy decides."""
    policy = Policy(backoff=0.001)
    lonely = Member.named("lonely", Options(attempts=1, supervisor="one", policy=policy))
    astray = Member.named("astray", Options(attempts=1, supervisor="No Name!", policy=policy))
    async with in_memory(App(lonely, astray, Member.named("one"))) as actorium:
        for name in ("lonely", "astray"):
            await actorium.ask(name, "fail")
            assert (await actorium.ask(name, "hello")).data == "here"
    Member.history.clear()
