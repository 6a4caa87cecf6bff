"""An app in one process: what users can do with agents, over the same code that runs on a cluster."""

import asyncio
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from actorium import (
    Actor,
    ActorStopped,
    App,
    BadTask,
    Client,
    ConfigError,
    Context,
    DeadlineExceeded,
    MailboxFull,
    Options,
    Reject,
    Status,
    Task,
    UnknownAgent,
)
from actorium.actors.definition import Definition
from actorium.actors.supervision import Policy
from actorium.bus import subjects
from actorium.bus.codec import encode
from actorium.bus.envelope import TASK_ID
from actorium.runtime.memory import MemoryWorld, in_memory
from eventually import eventually

FAST = Policy(backoff=0.001, backoff_max=0.001)


class Add(msgspec.Struct):
    amount: int = 1


class Wait(msgspec.Struct):
    """Waits until it is cancelled."""


class Total(msgspec.Struct):
    total: int = 0


class Counter(Actor):
    """Counts."""

    options = Options(policy=FAST)
    state: Total
    begun: ClassVar[list[str]] = []

    async def receive(self, message: Add | Wait, ctx: Context) -> int:
        if isinstance(message, Wait):
            self.begun.append(ctx.task_id)
            await asyncio.get_running_loop().create_future()
        else:
            if message.amount < 0:
                raise ValueError("negative")
            self.state.total += message.amount
        return self.state.total


class Echo(Actor):
    """Says what it is told."""

    async def receive(self, message: Any, ctx: Context) -> object:
        return message.spec


class Boss(Actor):
    """Has others do it."""

    async def receive(self, message: Task, ctx: Context) -> object:
        match message.action:
            case "tell":
                return await ctx.tell("counter", Add(amount=message.spec))
            case "ask":
                return (await ctx.ask("counter", Add(amount=message.spec))).data
            case "delegate":
                return (await ctx.delegate("counter", Add(amount=message.spec), timeout=5)).data
            case "wait":
                return (await ctx.delegate("counter", Wait())).data
            case "spawn":
                await ctx.spawn(Counter.named(message.spec))
                return (await ctx.ask(message.spec, Add(amount=5))).data
            case "relay":
                if message.spec:
                    await ctx.tell(ctx.agent, Task(action="relay", spec=message.spec - 1))
                else:
                    await ctx.tell("counter", Add(amount=1))
        raise Reject(f"cannot {message.action}")


APP = App(
    Counter.named("counter"),
    Counter.named("other"),
    Echo.named("echo", Options(mailbox=2)),
    Boss.named("boss", Options(policy=FAST, attempts=1)),
)


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld()


@pytest.fixture
async def actorium(world: MemoryWorld) -> AsyncIterator[Client]:
    Counter.begun.clear()
    async with in_memory(APP, world) as client:
        yield client


async def total(actorium: Client, agent: str = "counter") -> int:
    return (await actorium.ask(agent, Add(amount=0))).data


async def test_an_ask_is_answered(actorium: Client) -> None:
    """With the handler's value, and the state it left."""
    result = await actorium.ask("counter", Add(amount=2))

    assert (result.status, result.data) == (Status.SUCCESS, 2)
    assert await total(actorium) == 2


async def test_a_tell_ends_in_one_result(actorium: Client) -> None:
    """The handle has it, as often as it is asked."""
    handle = await actorium.tell("counter", Add(amount=2))

    assert (await handle.result(timeout=5)).data == 2
    assert (await handle.result(timeout=5)).data == 2


async def test_two_agents_of_one_class_are_two(actorium: Client) -> None:
    """Each has its own state."""
    await actorium.ask("counter", Add(amount=2))

    assert await total(actorium, "other") == 0


async def test_tells_of_one_sender_are_handled_in_order(actorium: Client) -> None:
    """Each result is the total so far."""
    handles = [await actorium.tell("counter", Add(amount=1)) for _ in range(200)]

    assert [(await handle.result(timeout=5)).data for handle in handles] == list(range(1, 201))


async def test_the_same_task_id_twice_is_one_task(actorium: Client) -> None:
    """It runs once, and both handles have its result."""
    first = await actorium.tell("counter", Add(amount=2), task_id="order-17")
    assert (await first.result(timeout=5)).data == 2
    second = await actorium.tell("counter", Add(amount=2), task_id="order-17")

    assert (await second.result(timeout=5)).data == 2
    assert await total(actorium) == 2


async def test_the_same_task_id_for_two_agents_is_two_tasks(actorium: Client) -> None:
    """An id of the business belongs to the agent it is told to."""
    one = await actorium.tell("counter", Add(amount=2), task_id="order-17")
    two = await actorium.tell("other", Add(amount=3), task_id="order-17")

    assert (await one.result(timeout=5)).data == 2
    assert (await two.result(timeout=5)).data == 3


async def test_a_large_payload_travels_by_claim_check(actorium: Client) -> None:
    """Above 64 KiB the body goes to the blobs, there and back, for asks and for tells."""
    body = "x" * 300_000

    assert (await actorium.ask("echo", Task(spec=body))).data == body
    assert (await (await actorium.tell("echo", Task(spec=body))).result(timeout=5)).data == body


async def test_agents_speak_to_agents(actorium: Client) -> None:
    """A handler tells, asks, delegates and spawns."""
    assert (await actorium.ask("boss", Task(action="ask", spec=1))).data == 1
    assert (await actorium.ask("boss", Task(action="delegate", spec=2))).data == 3
    assert (await actorium.ask("boss", Task(action="spawn", spec="newcomer"))).data == 5
    await actorium.ask("boss", Task(action="tell", spec=4))

    await eventually(lambda: _is(actorium, "counter", 7))


async def _is(actorium: Client, agent: str, wanted: int) -> bool:
    return await total(actorium, agent) == wanted


async def test_a_task_may_tell_on_as_long_as_it_likes(actorium: Client) -> None:
    """Ids made of ids stay short enough to travel: the hundredth hop arrives like the first."""
    await actorium.tell("boss", Task(action="relay", spec=100))

    await eventually(lambda: _is(actorium, "counter", 1))
    assert [letter.agent for letter in await actorium.dead_letters.list()] == []


async def test_plain_requests_have_tasks_of_their_own(actorium: Client) -> None:
    """Two requests of a client that knows no headers are two tasks, and so is all that they set off."""
    bus = actorium.names.bus
    for _ in range(2):
        await bus.request("agents.boss.ask", encode(Task(action="tell", spec=1)), timeout=2)

    await eventually(lambda: _is(actorium, "counter", 2))


async def test_a_request_to_the_public_subject_is_answered(actorium: Client) -> None:
    """Any NATS client can ask, also for an agent that is not there, or with nonsense."""
    bus = actorium.names.bus
    replies = [
        await bus.request("agents.echo.ask", b"hello", timeout=2),
        await bus.request("agents.nobody.ask", b"hello", timeout=2),
        await bus.request("agents.echo.ask", b"{", timeout=2),
    ]
    told = [msgspec.json.decode(reply.payload) for reply in replies]

    assert told[0]["data"] == "hello"
    assert [answer["failure"]["code"] for answer in told[1:]] == ["unknown_agent", "bad_message"]


async def test_a_plain_publish_is_a_task(actorium: Client, world: MemoryWorld) -> None:
    """Text on `agents.<id>.inbox` becomes a task whose result stands in the outbox."""
    await actorium.names.bus.publish("agents.echo.inbox", b"hello")

    kept = await eventually(lambda: list(world.hub.stream(subjects.OUTBOX).kept.values()))
    assert kept[0].message.subject == "agents.echo.outbox"
    assert msgspec.json.decode(kept[0].message.payload)["data"] == "hello"


async def test_events_tell_a_task_from_its_start_to_its_end(actorium: Client) -> None:
    """Those that were missed and those that come, each once."""
    handle = await actorium.tell("counter", Add(amount=1))
    await handle.result(timeout=5)

    assert [event.kind async for event in handle.events()] == ["started", "completed"]


async def test_a_running_task_can_be_cancelled(actorium: Client) -> None:
    """It ends as cancelled, what comes after it runs, and cancelling it again is the same cancel."""
    handle = await actorium.tell("counter", Wait())
    await eventually(lambda: handle.id in Counter.begun)

    assert await handle.cancel()
    assert (await handle.result(timeout=5)).failure.code == "cancelled"
    assert await handle.cancel()
    assert await total(actorium) == 0


async def test_cancelling_a_task_cancels_what_it_delegated(actorium: Client) -> None:
    """The delegate is not left running for nobody."""
    handle = await actorium.tell("boss", Task(action="wait"))
    await eventually(lambda: Counter.begun)

    assert await handle.cancel()
    assert (await handle.result(timeout=5)).failure.code == "cancelled"
    assert await total(actorium) == 0


async def test_a_stopped_agent_refuses_asks_and_keeps_tells(actorium: Client) -> None:
    """Until it is restarted: then it goes on with its state and what waited."""
    await actorium.ask("counter", Add(amount=2))
    assert (await actorium.stop("counter"))["status"] == "stopped"
    handle = await actorium.tell("counter", Add(amount=3))

    with pytest.raises(ActorStopped):
        await actorium.ask("counter", Add(amount=1))
    with pytest.raises(DeadlineExceeded):
        await handle.result(timeout=0.05)
    await actorium.restart("counter")

    assert (await handle.result(timeout=5)).data == 5


async def test_status_says_what_an_agent_does(actorium: Client) -> None:
    """Idle before its first message, busy in one, and what it did so far."""
    assert (await actorium.status("counter"))["in_memory"] is False
    await actorium.ask("counter", Add(amount=1))
    handle = await actorium.tell("counter", Wait())
    await eventually(lambda: handle.id in Counter.begun)

    status = await actorium.status("counter")

    assert status["status"] == "busy"
    assert status["current_task_id"] == handle.id
    assert status["successful_tasks"] == 1
    await handle.cancel()


async def test_an_agent_can_be_spawned_from_outside(actorium: Client) -> None:
    """It comes alive with its first message, and is among the agents."""
    await actorium.spawn(Counter.named("newcomer"))

    assert await total(actorium, "newcomer") == 0
    assert "newcomer" in [definition.name for definition in await actorium.agents()]


@pytest.mark.parametrize("call", ["ask", "status", "stop", "restart"])
async def test_an_agent_that_nobody_defined_is_told_as_such(actorium: Client, call: str) -> None:
    """At once, by every call that waits for its owner."""
    with pytest.raises(UnknownAgent, match="nobody"):
        await getattr(actorium, call)("nobody", *(["hello"] if call == "ask" else []))


async def test_a_task_for_an_agent_that_nobody_defined_is_a_dead_letter(actorium: Client) -> None:
    """And a failed result, so that who waits is told."""
    handle = await actorium.tell("nobody", "hello")

    assert (await handle.result(timeout=5)).failure.code == "unknown_agent"
    (letter,) = await actorium.dead_letters.list()
    assert (letter.agent, letter.reason) == ("nobody", "unknown_agent")


async def test_a_task_that_does_not_fit_is_told_to_who_asks(actorium: Client) -> None:
    """With what was expected."""
    with pytest.raises(BadTask, match="is not one of Add, Wait"):
        await actorium.ask("counter", Task(action="fly"))


async def test_poison_becomes_a_dead_letter_that_can_be_sent_again(actorium: Client) -> None:
    """After its attempts, once, with its body; its neighbours run."""
    handle = await actorium.tell("counter", Add(amount=-1))
    after = await actorium.tell("counter", Add(amount=1))

    assert (await handle.result(timeout=5)).failure.code == "undeliverable"
    assert (await after.result(timeout=5)).data == 1
    (letter,) = await actorium.dead_letters.list()
    assert (letter.reason, letter.attempts) == ("attempts", 3)
    assert msgspec.json.decode((await actorium.dead_letters.show(letter.seq))[1])["spec"] == {"amount": -1}

    await actorium.dead_letters.redrive(letter.seq)
    again = await eventually(lambda: _dead_letter(actorium, after=letter.seq))
    assert again.error.endswith("ValueError: negative")


async def _dead_letter(actorium: Client, after: int = 0) -> Any:
    return next(iter(await actorium.dead_letters.list(after=after)), None)


async def test_the_body_of_a_dead_letter_is_the_one_that_came(actorium: Client, world: MemoryWorld) -> None:
    """Also with bad headers, and where it waited so far back that its body was left in the stream."""
    part = subjects.partition("default", "counter")
    inbox, bus = subjects.inbox(part, "default", "counter"), actorium.names.bus
    waiting = await actorium.tell("counter", Wait())
    await eventually(lambda: waiting.id in Counter.begun)
    for number in range(70):
        await bus.store(inbox, b'{"action": "add", "spec": {"amount": 1}}', msg_id=f"m{number}")
    await bus.store(inbox, b'{"action": "fly"}', msg_id="far-back")
    await bus.store(inbox, b"precious", {"Deadline-Ms": "soon"}, msg_id="bad-headers")
    await waiting.cancel()

    await eventually(lambda: len(world.hub.stream(subjects.DEAD_LETTERS).kept) == 2)
    bodies = {past.message.payload for past in world.hub.stream(subjects.DEAD_LETTERS).kept.values()}

    assert bodies == {b'{"action": "fly"}', b"precious"}


async def test_asks_beyond_the_mailbox_are_refused(actorium: Client) -> None:
    """The sender is told at once; those that were taken are answered."""
    asks = [asyncio.ensure_future(actorium.ask("echo", Task(spec=n))) for n in range(50)]
    done = await asyncio.gather(*asks, return_exceptions=True)

    refused = [error for error in done if isinstance(error, MailboxFull)]
    answered = [result for result in done if not isinstance(result, Exception)]
    assert len(refused) + len(answered) == 50
    assert refused
    assert answered


async def test_a_full_inbox_refuses_the_teller(actorium: Client, world: MemoryWorld) -> None:
    """The stream holds its bound per agent; the next tell is refused and nothing of it is stored."""
    await actorium.stop("counter")
    for _ in range(1000):
        await actorium.tell("counter", Add())

    with pytest.raises(MailboxFull):
        await actorium.tell("counter", Add())
    assert len(world.hub.stream(subjects.INBOX).kept) == 1000


async def test_a_later_run_finds_what_an_earlier_one_left(world: MemoryWorld) -> None:
    """State, finished tasks, and that an agent was stopped."""
    async with in_memory(APP, world) as actorium:
        await actorium.ask("counter", Add(amount=2))
        handle = await actorium.tell("counter", Add(amount=3), task_id="once")
        await handle.result(timeout=5)
        await actorium.stop("other")
    async with in_memory(APP, world) as actorium:
        await actorium.tell("counter", Add(amount=3), task_id="once")
        assert (await (await actorium.tell("counter", Add(amount=1))).result(timeout=5)).data == 6
        with pytest.raises(ActorStopped):
            await actorium.ask("other", Add())


@pytest.mark.parametrize(
    "outcome", [ZeroDivisionError, pytest.skip.Exception, pytest.xfail.Exception, KeyboardInterrupt]
)
async def test_what_a_test_raises_comes_out_as_it_is(outcome: type[BaseException]) -> None:
    """An assertion, a skip or a Ctrl-C inside the block is just that, in no group; the worker has ended."""
    before = asyncio.all_tasks()
    with pytest.raises(outcome):
        async with in_memory(APP):
            raise outcome
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_a_client_that_is_open_stays_on_its_connection(actorium: Client) -> None:
    """To open it again would leave the first connection behind."""
    names = actorium.names
    await actorium.open()
    assert actorium.names is names


async def test_one_result_stands_in_the_outbox_for_each_task(actorium: Client, world: MemoryWorld) -> None:
    """Under the task's id, whatever became of it."""
    handles = [await actorium.tell("counter", Add(amount=n)) for n in (1, -1, 2)]
    handles.append(await actorium.tell("nobody", "hello"))
    for handle in handles:
        await handle.result(timeout=5)

    await eventually(lambda: len(world.hub.stream(subjects.OUTBOX).kept) == 4)
    kept = [past.message.headers[TASK_ID] for past in world.hub.stream(subjects.OUTBOX).kept.values()]
    assert sorted(kept) == sorted(handle.id for handle in handles)


async def test_an_agent_whose_class_cannot_work_is_told_as_such(actorium: Client, world: MemoryWorld) -> None:
    """A definition that came from elsewhere: its asks and tasks end, and the worker lives."""
    for kind in ("nowhere:X", f"{__name__}:Broken", f"{__name__}:Total"):
        await world.registry.define(Definition(name="broken", kind=kind))
        handle = await actorium.tell("broken", "hello")

        assert (await handle.result(timeout=5)).failure is not None
    assert await total(actorium) == 0


class Broken(Actor):
    state: dict[str, int]


async def test_a_task_id_that_is_none_is_refused_before_anything_is_stored() -> None:
    """Its result would stand under an id that nobody looks for."""
    async with in_memory(App(Counter.named("counter"))) as client:
        for bad in ("order 17", "ü", "a\nb", "x" * 129):
            with pytest.raises(ConfigError, match="task id"):
                await client.tell("counter", Add(), task_id=bad)
        assert (await client.ask("counter", Add())).data == 1


@pytest.mark.parametrize("timeout", [math.nan, math.inf, None, "5"])
async def test_a_wait_that_has_no_end_is_refused_before_anything_is_sent(
    actorium: Client, timeout: Any
) -> None:
    """An ask is for now; what to do instead stands in the error."""
    with pytest.raises(ConfigError, match="no number of seconds: to wait without an end, tell"):
        await actorium.ask("counter", Add(), timeout=timeout)
    with pytest.raises(ConfigError, match="no number of seconds"):
        await actorium.broadcast(Add(), timeout=timeout)
    assert await total(actorium) == 0


SCRIPT = """
import asyncio
from actorium import Actor, App
from actorium.runtime.memory import in_memory

class Echo(Actor):
    async def receive(self, message: str, ctx) -> str:
        return message

async def main():
    async with in_memory(App(Echo.named("echo"))) as actorium:
        print((await actorium.ask("echo", "hello")).data)

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["script.py", "-"])
def test_a_script_of_one_file_runs_once(tmp_path: Path, name: str) -> None:
    """Its classes are those of the script that runs, be it a file or what comes on stdin."""
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, name],
        cwd=tmp_path,
        input=SCRIPT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
