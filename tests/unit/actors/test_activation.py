"""One actor alive: what it records, in which order, and what becomes of it when code or ledger fail."""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from actorium.actors.actor import Actor
from actorium.actors.definition import Options
from actorium.actors.errors import Reject
from actorium.actors.port import Directive
from actorium.bus.codec import encode, read_result
from actorium.bus.errors import ActoriumError, Effect, MailboxFull
from actorium.bus.task import AgentStatus, Result, Status, Task
from actorium.storage.errors import Fenced, StoreUnavailable
from actorium.storage.port import Entry, Ledger
from eventually import eventually

AGAIN = Directive(restart=True)
GIVE_UP = Directive(restart=False, reason="enough")


class Total(msgspec.Struct):
    total: int = 0
    seen: list[str] = []
    by_number: dict[int, str] = {}


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


class Counter(Actor):
    """Adds numbers; does what words say."""

    state: Total

    async def receive(self, message: Task, ctx: Any) -> int:
        match message.spec:
            case int(amount):
                self.state.total += amount
            case "raise":
                self.state.total += 1000
                raise ValueError("no")
            case "reject":
                self.state.total += 1000
                raise Reject("not today")
            case "object":
                self.state.total += 1000
                return object()  # type: ignore[return-value]
            case "surrogate":
                raise ValueError("half a \ud800 pair")
            case "cancel itself":
                raise asyncio.CancelledError
            case "unreadable":
                raise Unreadable
            case "reject with anything":
                raise Reject("half a \ud800 pair", amount=5)  # type: ignore[arg-type]
            case "very long":
                raise ValueError("x" * 10_000_000)
            case "number":
                self.state.by_number[self.state.total] = "here"
        return self.state.total


class Odd(Counter):
    """Cancels the task it runs in, or leaves a state that is none of its own."""

    async def receive(self, message: Task, ctx: Any) -> int:
        task = asyncio.current_task()
        assert task is not None
        match message.spec:
            case "cancel its task":
                task.cancel()
                await asyncio.sleep(5)
            case "cancel its task and return":
                task.cancel()
            case "cancel its task and raise":
                task.cancel()
                raise ValueError("no")
            case "cancel its task in a moment":
                asyncio.get_running_loop().call_soon(task.cancel)
                await asyncio.sleep(5)
            case "state of another type":
                self.state = 5  # type: ignore[assignment]
            case "a field of another type":
                self.state.total = "4"  # type: ignore[assignment]
            case _:
                return await super().receive(message, ctx)
        return 0


def waiting(gate: asyncio.Event, begun: asyncio.Event) -> type[Actor]:
    """A counter whose handler waits at the gate, in the middle of its change."""

    class Waiting(Actor):
        state: Total

        async def receive(self, message: int, ctx: Any) -> int:
            self.state.total += message
            begun.set()
            await gate.wait()
            return self.state.total

    return Waiting


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def begun() -> asyncio.Event:
    return asyncio.Event()


async def test_the_outcome_stands_before_the_letter_is_settled(stage) -> None:
    """Start, then result with state in one record, then the settlement: a crash in between loses nothing."""
    actor = await stage.begin(Counter)

    result = await stage.tell(actor, 5)

    assert result.data == 5
    assert stage.post.stood == ["completed"]
    assert stage.kinds() == ["started", "completed"]
    assert stage.records()[-1].body["state"] == {"total": 5, "seen": [], "by_number": {}}
    assert stage.post.events == ["started", "completed"]


async def test_a_failed_attempt_leaves_no_trace_in_the_state(stage) -> None:
    """A handler that raises is run again on a fresh instance with the last durable state, then buried."""
    actor = await stage.begin(Counter, Options(attempts=3))
    await stage.tell(actor, 5)

    buried = await stage.tell(actor, "raise")
    result = await stage.tell(actor, 1)

    assert buried.failure.code == "undeliverable"
    assert stage.post.dead == [("t2", "attempts", 3)]
    assert stage.kinds()[2:9] == ["started", "failed"] * 3 + ["buried"]
    assert stage.post.crashes == ["ValueError: no"] * 3
    assert result.data == 6
    assert [task for task, _, _ in stage.post.settled] == ["t1", "t2", "t3"]


async def test_a_retried_letter_keeps_its_place(stage, settle) -> None:
    """What waits behind a failing letter waits for its last attempt: order per actor."""
    actor = await stage.begin(Counter, Options(attempts=2))
    for spec in (1, "raise", 2):
        actor.offer(stage.stored_letter(spec))
    await settle(actor)

    assert [(task, result.data) for task, result, _ in stage.post.settled] == [
        ("t1", 1),
        ("t2", None),
        ("t3", 3),
    ]


async def test_a_rejection_is_an_answer(stage) -> None:
    """Reject ends a task at once, without retry, restart or dead letter, and without its changes."""
    actor = await stage.begin(Counter)

    result = await stage.tell(actor, "reject")

    assert result.failure.code == "rejected"
    assert stage.post.crashes == stage.post.dead == []
    assert (await stage.tell(actor, 1)).data == 1


async def test_a_task_that_does_not_fit_is_buried(stage, begun, gate) -> None:
    """A stored task of the wrong shape is a dead letter after one look; an ask is told what is wrong."""
    actor = await stage.begin(waiting(gate, begun))

    stored = await stage.tell(actor, "many")
    asked = await stage.ask(actor, "many")

    assert stored.failure.code == "undeliverable"
    assert stage.post.dead == [("t1", "bad_task", 1)]
    assert asked.failure.code == "bad_task"
    assert stage.post.crashes == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"action": 5, "spec": 1}', b"[" * 40])
async def test_bytes_that_are_no_task_are_buried(stage, body) -> None:
    """Garbage becomes one dead letter and one failed result, and the next task runs."""
    actor = await stage.begin(Counter)

    result = await stage.tell(actor, body) if body != b"[" * 40 else await stage.tell(actor, b"{" * 40)

    assert result.failure.code == "undeliverable"
    assert stage.post.dead == [("t1", "bad_message", 1)]
    assert (await stage.tell(actor, 1)).data == 1


STRANGE = [
    "object", "surrogate", "unreadable", "very long", "cancel itself", "reject with anything",
    "cancel its task", "cancel its task and return", "cancel its task and raise",
    "cancel its task in a moment", "state of another type", "a field of another type",
]  # fmt: skip


@pytest.mark.parametrize("word", STRANGE)
async def test_strange_ends_of_a_handler_are_failures_of_that_task_only(stage, word) -> None:
    """A value or an error that is no JSON, a stray CancelledError: an answer everybody can read, no crash."""
    actor = await stage.begin(Odd, Options(attempts=1))

    stored = await stage.tell(actor, word)
    asked = await stage.ask(actor, word)

    assert stored.status is asked.status is Status.FAILURE
    assert read_result(encode(stored)) == stored
    assert read_result(encode(asked)) == asked
    assert (await stage.tell(actor, 1)).data == 1
    assert stage.post.faults == []
    assert (await stage.tell(await stage.begin(Counter, epoch=2), 1)).data == 2


async def test_code_that_cancels_its_task_behind_its_turn_costs_the_activation_and_no_letter(
    stage, settle
) -> None:
    """Nobody knows what it cut short: the owner makes another activation, which reads what stands."""

    class Late(Actor):
        async def receive(self, message: Task, ctx: Any) -> str:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            return "done"

    actor = await stage.begin(Late)
    actor.offer(stage.stored_letter(1))
    actor.offer(stage.stored_letter(2))
    await settle(actor)

    assert [fault.code for fault in stage.post.faults] == ["handler_failed"]
    waiting = actor.abandon()
    second = await stage.begin(Counter, epoch=2)
    for letter in waiting:
        second.offer(letter)
    await settle(second)
    assert stage.post.outbox == ["t1", "t2"]


async def test_a_cancelled_task_that_waits_never_runs(stage, begun, gate, settle) -> None:
    """Its result says cancelled, it has no attempt on record, and those around it run."""
    actor = await stage.begin(waiting(gate, begun))
    for amount in (1, 2, 4):
        actor.offer(stage.stored_letter(amount))
    await begun.wait()

    assert await actor.cancel("t2")
    gate.set()
    await settle(actor)

    assert stage.post.result("t2").failure.code == "cancelled"
    assert stage.post.result("t3").data == 5
    assert stage.kinds().count("started") == 2


async def test_a_cancelled_task_that_runs_leaves_the_state_alone(stage, begun, gate, settle) -> None:
    """The handler is cut short at its await, and what it changed is undone; it is not tried again."""
    actor = await stage.begin(waiting(gate, begun))
    actor.offer(stage.stored_letter(100))
    await begun.wait()

    assert await actor.cancel("t1")
    await settle(actor)
    gate.set()

    assert stage.post.result("t1").failure.code == "cancelled"
    assert stage.post.crashes == []
    assert (await stage.tell(actor, 1)).data == 1


async def test_a_handler_that_ignores_its_cancellation_leaves_nothing_of_it_behind(
    stage, begun, settle
) -> None:
    """What it returned is dropped; the next task may fail by a CancelledError of its own making."""

    class Stubborn(Actor):
        async def receive(self, message: str, ctx: Any) -> str:
            if message == "cancel itself":
                raise asyncio.CancelledError
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "ignored"
            return "never"

    actor = await stage.begin(Stubborn, Options(attempts=1))
    for spec in ("wait", "cancel itself"):
        actor.offer(stage.stored_letter(spec))
    await begun.wait()
    await actor.cancel("t1")
    await settle(actor)

    assert stage.post.result("t1").failure.code == "cancelled"
    assert stage.post.result("t2").failure.code == "undeliverable"


async def test_what_a_handler_changed_that_ignores_its_cancellation_is_gone(stage, begun, settle) -> None:
    """The next task finds the state of the last one that counts."""

    class Stubborn(Actor):
        state: Total

        async def receive(self, message: int, ctx: Any) -> int:
            self.state.total += message
            if message == 100:
                begun.set()
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return self.state.total

    actor = await stage.begin(Stubborn)
    actor.offer(stage.stored_letter(100))
    await begun.wait()
    await actor.cancel("t1")
    await settle(actor)

    assert (await stage.tell(actor, 1)).data == 1


async def test_a_handler_that_wants_to_end_its_process_has_failed(stage) -> None:
    """`sys.exit` in library code ends a task, not the worker of all its neighbours."""

    class Quitter(Actor):
        async def receive(self, message: str, ctx: Any) -> str:
            raise SystemExit(3)

    actor = await stage.begin(Quitter, Options(attempts=1))
    assert (await stage.tell(actor, "go")).failure.code == "undeliverable"


async def test_cancelling_what_is_not_there_says_so(stage) -> None:
    """A task that ended, or was never here."""
    actor = await stage.begin(Counter)
    await stage.tell(actor, 1)

    assert not await actor.cancel("t1")
    assert not await actor.cancel("other")


async def test_a_task_past_its_deadline_does_not_start(stage) -> None:
    """Nobody waits for it any more: it ends with a typed error, and without an attempt."""
    actor = await stage.begin(Counter)

    result = await stage.tell(actor, 1, deadline=time.monotonic() - 1)

    assert result.failure.code == "deadline_exceeded"
    assert stage.kinds() == ["completed"]


async def test_a_deadline_cuts_a_handler_short(stage, begun, gate) -> None:
    """The handler ends at the deadline, its changes are undone, and the actor lives on."""
    actor = await stage.begin(waiting(gate, begun))

    stored = await stage.tell(actor, 100, deadline=time.monotonic() + 0.02)
    asked = await stage.ask(actor, 100, deadline=time.monotonic() + 0.02)
    gate.set()

    assert stored.failure.code == asked.failure.code == "deadline_exceeded"
    assert (await stage.tell(actor, 1)).data == 1


async def test_an_ask_that_changes_the_state_is_recorded_before_its_reply(stage) -> None:
    """Who has the answer has the change: it survives whatever comes next."""
    actor = await stage.begin(Counter)
    stood: list[list[str]] = []

    letter, answer = stage.ask_letter(7)
    answer.add_done_callback(lambda _: stood.append(stage.kinds()))
    actor.offer(letter)
    await answer

    assert stood == [["answered"]]
    assert stage.records()[-1].body["state"]["total"] == 7


async def test_an_ask_that_changes_nothing_writes_nothing(stage) -> None:
    """Reading is free."""
    actor = await stage.begin(Counter)

    assert (await stage.ask(actor, 0)).data == 0
    assert stage.kinds() == []


async def test_an_ask_whose_handler_raises_is_told_once(stage) -> None:
    """An ask is not retried: it is told that the handler failed, and that what it did may stand."""
    actor = await stage.begin(Counter)

    result = await stage.ask(actor, "raise")

    assert result.failure.code == "handler_failed"
    assert result.failure.effect is Effect.UNKNOWN
    assert "ValueError: no" in result.error
    assert (await stage.ask(actor, 0)).data == 0


async def test_asks_beyond_the_bound_are_refused(stage, begun, gate) -> None:
    """The mailbox never holds more asks than its bound; stored tasks are bounded by their stream."""
    actor = await stage.begin(waiting(gate, begun), Options(mailbox=2))
    actor.offer(stage.stored_letter(1))
    await begun.wait()

    for _ in range(2):
        actor.offer(stage.ask_letter(1)[0])
    with pytest.raises(MailboxFull):
        actor.offer(stage.ask_letter(1)[0])
    actor.offer(stage.stored_letter(1))

    assert actor.waiting == 3


async def test_a_stopped_actor_refuses_asks_and_keeps_stored_tasks(stage, begun, gate, settle) -> None:
    """Stop lets the letter in hand finish; what is stored waits for the restart, in order."""
    actor = await stage.begin(waiting(gate, begun))
    actor.offer(stage.stored_letter(1))
    await begun.wait()
    actor.offer(stage.stored_letter(2))
    asking, early = stage.ask_letter(50)
    actor.offer(asking)

    halting = asyncio.ensure_future(actor.halt())
    await asyncio.sleep(0)
    gate.set()
    await halting
    actor.offer(stage.stored_letter(4))
    late = await stage.ask(actor, 50)

    assert [task for task, _, _ in stage.post.settled] == ["t1"]
    assert actor.status is AgentStatus.STOPPED
    assert (await early).failure.code == late.failure.code == "actor_stopped"

    await actor.restart()
    await settle(actor)

    assert [result.data for _, result, _ in stage.post.settled] == [1, 3, 7]


async def test_a_stop_that_runs_out_of_grace_costs_no_attempt(stage, begun, gate, settle) -> None:
    """The attempt is cut short and undone, and runs again after the restart, even the only one."""
    actor = await stage.begin(waiting(gate, begun), Options(attempts=1))
    actor.offer(stage.stored_letter(5))
    await begun.wait()

    await actor.halt(grace=0.01)
    assert stage.post.settled == []
    gate.set()
    await actor.restart()
    await settle(actor)

    assert stage.post.result("t1").data == 5
    assert stage.post.dead == []


async def test_what_a_handler_raises_when_it_is_cut_short_is_no_failure_of_its_own(
    stage, begun, gate, settle
) -> None:
    """As wrappers of connections do, which make an error of theirs of a cancellation."""

    class Wrapping(waiting(gate, begun)):  # type: ignore[misc]
        async def receive(self, message: int, ctx: Any) -> int:
            try:
                return await super().receive(message, ctx)
            except asyncio.CancelledError:
                raise RuntimeError("the connection was lost") from None

    actor = await stage.begin(Wrapping, Options(attempts=1))
    actor.offer(stage.stored_letter(5))
    await begun.wait()

    await actor.halt(grace=0.01)
    gate.set()
    await actor.restart()
    await settle(actor)

    assert stage.post.result("t1").data == 5
    assert stage.post.dead == []


async def test_a_restart_that_cuts_a_letter_short_is_supervised_until_an_instance_lives(
    stage, begun, gate, settle
) -> None:
    """An `on_start` that fails then is tried again, at the cost of no attempt of the letter that was cut."""
    starts: list[int] = []

    class Late(waiting(gate, begun)):  # type: ignore[misc]
        async def on_start(self, ctx: Any) -> None:
            starts.append(1)
            if len(starts) == 2:
                raise OSError("not yet")

    actor = await stage.begin(Late, Options(attempts=1))
    actor.offer(stage.stored_letter(5))
    await begun.wait()

    restarting = asyncio.ensure_future(actor.restart(grace=0.01))
    await eventually(lambda: len(starts) > 1, every=0.005)
    gate.set()
    await restarting
    await settle(actor)

    assert stage.post.crashes == ["OSError: not yet"]
    assert stage.post.result("t1").data == 5


async def test_an_ask_cut_short_by_a_stop_is_told_that_it_may_have_acted(stage, begun, gate) -> None:
    """It ran: whoever reads the error must not take it for one that did not."""
    actor = await stage.begin(waiting(gate, begun))
    letter, answer = stage.ask_letter(5)
    actor.offer(letter)
    await begun.wait()

    await actor.halt(grace=0.01)

    assert (await answer).failure.effect is Effect.UNKNOWN
    assert stage.kinds() == []


async def test_stopping_calls_on_stop_once_and_starting_on_start_again(stage) -> None:
    """Every instance that began and did not fail is told of its end."""
    told: list[str] = []

    class Told(Actor):
        async def on_start(self, ctx: Any) -> None:
            told.append("start")

        async def on_stop(self) -> None:
            told.append("stop")

    actor = await stage.begin(Told)
    await actor.halt()
    assert told == [], "it never began"
    await actor.restart()
    await actor.halt()
    await actor.halt()
    await actor.restart()
    await actor.retire()

    assert told == ["start", "stop", "start", "stop"]


async def test_letters_that_come_while_it_restarts_wait_for_the_new_instance(stage, settle) -> None:
    """A letter during a slow on_start is handled after it, as its first attempt."""
    gate, starting = asyncio.Event(), asyncio.Event()
    gate.set()

    class Slow(Counter):
        async def on_start(self, ctx: Any) -> None:
            starting.set()
            await gate.wait()

    actor = await stage.begin(Slow)
    starting.clear()
    gate.clear()
    restarting = asyncio.ensure_future(actor.restart())
    await starting.wait()
    actor.offer(stage.stored_letter(3))
    asking, answer = stage.ask_letter(0)
    actor.offer(asking)
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    await restarting
    await settle(actor)

    assert stage.post.crashes == []
    assert (await answer).data == 3


async def test_a_stop_during_the_backoff_holds(stage, settle) -> None:
    """An actor stopped while it waits for its restart stays stopped, at once, and no instance begins."""
    started: list[int] = []

    class Failing(Actor):
        async def on_start(self, ctx: Any) -> None:
            started.append(1)

        async def receive(self, message: Task, ctx: Any) -> None:
            raise ValueError("no")

    actor = await stage.begin(Failing)
    stage.post.directives.append(Directive(restart=True, delay=3600.0))
    actor.offer(stage.stored_letter(1))
    await eventually(lambda: stage.post.crashes, every=0)

    async with asyncio.timeout(1):
        await actor.halt()
        await settle(actor)

    assert actor.status is AgentStatus.STOPPED
    assert started == [1]
    assert actor.waiting == 1


async def test_a_restart_during_the_backoff_does_not_wait_for_it(stage, settle) -> None:
    """A person's restart comes first: the task goes on at once, on one new instance."""
    started: list[int] = []

    class FailsOnce(Actor):
        async def on_start(self, ctx: Any) -> None:
            started.append(1)

        async def receive(self, message: Task, ctx: Any) -> int:
            if len(started) == 1:
                raise ValueError("no")
            return len(started)

    actor = await stage.begin(FailsOnce)
    stage.post.directives.append(Directive(restart=True, delay=3600.0))
    actor.offer(stage.stored_letter(1))
    await eventually(lambda: stage.post.crashes, every=0)

    async with asyncio.timeout(1):
        await actor.restart()
        await settle(actor)

    assert stage.post.result("t1").data == 2
    assert started == [1, 1]


async def test_an_actor_that_cannot_start_is_supervised(stage) -> None:
    """It is tried again as its supervisor says, until it lives."""
    tries: list[int] = []

    class Late(Counter):
        async def on_start(self, ctx: Any) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("not yet")

    actor = await stage.begin(Late, Options(attempts=1))

    assert (await stage.tell(actor, 1)).data == 1
    assert stage.post.crashes == ["OSError: not yet"] * 2
    assert stage.kinds() == ["started", "interrupted"] * 2 + ["started", "completed"]


async def test_an_ask_waits_until_there_is_an_instance_or_shall_be_none(stage) -> None:
    """It is answered by the one that could be made, or told that the agent is stopped; nothing is written."""

    class Late(Counter):
        async def on_start(self, ctx: Any) -> None:
            if len(stage.post.crashes) < 3:
                raise OSError("not yet")

    stage.post.directives += [AGAIN, GIVE_UP]
    assert (await stage.ask(await stage.begin(Late), 0)).failure.code == "actor_stopped"
    assert (await stage.ask(await stage.begin(Late), 0)).data == 0
    assert len(stage.post.crashes) == 3
    assert stage.kinds() == []


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_process_that_dies_of_making_the_instance_is_counted(stage, attempts) -> None:
    """After its attempts the task is a dead letter, and no owner begins for ever again."""
    begun = asyncio.Event()

    class Deadly(Counter):
        async def on_start(self, ctx: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

    for epoch in range(1, attempts + 1):
        begun.clear()
        actor = await stage.begin(Deadly, Options(attempts=attempts), epoch=epoch)
        actor.offer(stage.stored_letter(1, seq=1))
        await begun.wait()
        actor.abandon()
    actor = await stage.begin(Deadly, Options(attempts=attempts), epoch=9)

    await stage.tell(actor, 1, seq=1)

    assert stage.post.dead == [("t1", "process_died", attempts)]


async def test_a_slow_on_start_can_be_stopped_and_cancelled(stage, settle) -> None:
    """What waits for the instance is kept by a stop, and ends by its cancellation."""
    begun, gate = asyncio.Event(), asyncio.Event()

    class Slow(Counter):
        async def on_start(self, ctx: Any) -> None:
            begun.set()
            await gate.wait()

    actor = await stage.begin(Slow, Options(attempts=1))
    actor.offer(stage.stored_letter(1))
    actor.offer(stage.stored_letter(2))
    await begun.wait()
    await actor.halt(grace=0.01)
    begun.clear()
    restarting = asyncio.ensure_future(actor.restart())
    await begun.wait()
    gate.set()
    await restarting
    await settle(actor)
    assert [result.data for _, result, _ in stage.post.settled] == [1, 3]

    gate.clear()
    begun.clear()
    later = await stage.begin(Slow, epoch=2)
    later.offer(stage.stored_letter(4))
    await begun.wait()
    assert await later.cancel("t3")
    await settle(later)
    assert stage.post.result("t3").failure.code == "cancelled"


async def test_an_actor_that_is_given_up_keeps_its_stored_tasks(stage, settle) -> None:
    """Its status is error, asks are refused with a hint, and a restart brings it and its letters back."""
    actor = await stage.begin(Counter, Options(attempts=2))
    stage.post.directives.append(GIVE_UP)
    actor.offer(stage.stored_letter("raise"))
    actor.offer(stage.stored_letter(1))
    await settle(actor)

    refused = await stage.ask(actor, 0)
    assert actor.status is AgentStatus.ERROR
    assert refused.failure.code == "actor_stopped"
    assert "enough" in refused.failure.message
    assert stage.post.events[-1] == "stopped"
    assert actor.waiting == 2

    await actor.restart()
    await settle(actor)

    assert [task for task, _, _ in stage.post.settled] == ["t1", "t2"]
    assert stage.post.dead == [("t1", "attempts", 2)]


async def test_a_very_patient_supervisor_is_no_deep_recursion(stage) -> None:
    """A start that fails thousands of times is a loop, not a stack."""
    tries: list[int] = []

    class Never(Counter):
        async def on_start(self, ctx: Any) -> None:
            tries.append(1)
            if len(tries) < 3000:
                raise OSError("not yet")

    actor = await stage.begin(Never)

    assert (await stage.tell(actor, 1)).data == 1


async def test_a_plain_function_runs_off_the_event_loop(stage) -> None:
    """A blocking `receive` blocks its actor and nobody else."""
    release = threading.Event()

    class Blocking(Actor):
        def receive(self, message: Task, ctx: Any) -> str:  # type: ignore[override]
            assert release.wait(5)
            return threading.current_thread().name

    actor = await stage.begin(Blocking)
    letter, answer = stage.ask_letter(1)
    actor.offer(letter)
    await eventually(lambda: actor.status is AgentStatus.BUSY, every=0)
    release.set()

    assert (await answer).data != threading.main_thread().name


async def test_a_thread_that_was_cut_short_cannot_touch_the_state_afterwards(stage, settle) -> None:
    """Threads cannot be stopped: what one does after its task was cancelled goes to nobody's state."""
    release, left = threading.Event(), threading.Event()

    class Blocking(Actor):
        state: Total

        def receive(self, message: int, ctx: Any) -> int:  # type: ignore[override]
            if message == 100:
                release.wait(5)
            self.state.total += message
            if message == 100:
                left.set()
            return self.state.total

    actor = await stage.begin(Blocking)
    actor.offer(stage.stored_letter(100))
    await eventually(lambda: "started" in stage.post.events, every=0)
    for _ in range(10):
        await asyncio.sleep(0)
    await actor.cancel("t1")
    await asyncio.sleep(0)
    release.set()
    await asyncio.to_thread(left.wait, 5)
    await settle(actor)

    assert stage.post.result("t1").failure.code == "cancelled"
    assert (await stage.tell(actor, 1)).data == 1


async def test_the_durable_state_comes_back_with_the_next_owner(stage) -> None:
    """A new owner in a new epoch reads what the last one wrote, keys that are numbers included."""
    first = await stage.begin(Counter)
    await stage.tell(first, 5)
    await stage.ask(first, "number")
    first.abandon()

    second = await stage.begin(Counter, epoch=2)

    assert (await stage.ask(second, 1)).data == 6
    assert stage.post.crashes == []
    assert [record.epoch for record in stage.records()] == [1, 1, 1, 2, 2]


async def test_a_redelivered_task_is_settled_again_and_never_run_again(stage) -> None:
    """What stands in the outbox is only told and acknowledged again, however long ago that was."""
    first = await stage.begin(Counter)
    await stage.tell(first, 5)
    second = await stage.begin(Counter, epoch=2)

    await stage.tell(second, 5, seq=1)
    await stage.tell(second, 5, seq=9, task_id="t1")

    assert [(result.data, again) for _, result, again in stage.post.settled] == [
        (5, False),
        (5, True),
        (5, True),
    ]
    assert (await stage.ask(second, 0)).data == 5


async def test_a_result_that_is_on_record_and_not_in_the_outbox_is_published_by_the_next_owner(stage) -> None:
    """An owner died in between; those before it stand, and are not published twice."""
    first = await stage.begin(Counter)
    await stage.tell(first, 1)
    await stage.tell(first, 2)
    stage.post.full = True
    await stage.tell(first, 4)
    stage.post.full = False
    second = await stage.begin(Counter, epoch=2)

    for seq in (1, 2, 3, 4):
        await stage.tell(second, 8, seq=seq)

    assert stage.post.outbox == ["t1", "t2", "t3", "t4"]
    assert (await stage.ask(second, 0)).data == 15


async def test_a_task_older_than_the_memory_is_found_in_the_whole_chain(stage) -> None:
    """A new owner remembers a few ids; one below `done` is looked up before it could run twice."""
    first = await stage.begin(Counter)
    for _ in range(20):
        await stage.tell(first, 1)
    second = await stage.begin(Counter, epoch=2)
    assert second.recall("t1") is None

    result = await stage.tell(second, 1, seq=1)

    assert result.data == 1
    assert (await stage.ask(second, 0)).data == 20


async def test_another_task_under_a_sequence_that_was_given_out_before_is_a_new_one(stage, settle) -> None:
    """An inbox that lost its end counts again: nothing that is known of a sequence holds for another task."""
    first = await stage.begin(Counter, Options(attempts=1))
    await stage.tell(first, 1, seq=1)
    stage.post.directives.append(GIVE_UP)
    await stage.tell(first, "raise", seq=2)
    first.offer(stage.stored_letter(8, seq=3))
    assert await first.cancel("t3")
    second = await stage.begin(Counter, epoch=2)

    results = [await stage.tell(second, 16 * seq, seq=seq, task_id=f"new-{seq}") for seq in (1, 2, 3)]

    assert [result.data for result in results] == [17, 49, 97]


async def test_another_task_has_all_its_attempts(stage) -> None:
    """What came under its sequence before may have killed its process; it did not."""
    first = await stage.begin(waiting(asyncio.Event(), begun := asyncio.Event()), Options(attempts=1))
    first.offer(stage.stored_letter(1, seq=1))
    await begun.wait()
    first.abandon()
    second = await stage.begin(Counter, Options(attempts=1), epoch=2)

    assert (await stage.tell(second, 4, seq=1, task_id="new")).data == 4
    assert stage.post.dead == []


async def test_a_task_overtaken_by_a_later_one_still_has_its_attempts_counted(stage) -> None:
    """A poison below `done` that was never finished is buried after its attempts, not tried for ever."""
    actor = await stage.begin(Counter, Options(attempts=2))
    await stage.tell(actor, 1, seq=5)

    result = await stage.tell(actor, "raise", seq=3, task_id="late")

    assert result.failure.code == "undeliverable"
    assert stage.post.dead == [("late", "attempts", 2)]


@pytest.mark.parametrize("died", [1, 2])
async def test_attempts_whose_process_died_are_counted_over_owners(stage, died) -> None:
    """A message that kills its process is buried by the owner after the last attempt, without running."""
    for wanted in range(1, died + 1):
        actor = await stage.begin(
            waiting(asyncio.Event(), asyncio.Event()), Options(attempts=2), epoch=wanted
        )
        actor.offer(stage.stored_letter(1, seq=1))
        await eventually(lambda: stage.kinds()[-1:] == ["started"], every=0)
        actor.abandon()

    actor = await stage.begin(Counter, Options(attempts=2), epoch=9)
    result = await stage.tell(actor, 1, seq=1)

    if died < 2:
        assert result.data == 1
    else:
        assert stage.post.dead == [("t1", "process_died", 2)]


async def test_owners_that_die_before_they_begin_do_not_reset_the_count(stage) -> None:
    """Takeovers that write nothing but their epoch leave the attempts before them in sight."""
    actor = await stage.begin(waiting(asyncio.Event(), asyncio.Event()), Options(attempts=1), epoch=1)
    actor.offer(stage.stored_letter(1, seq=1))
    await eventually(lambda: "started" in stage.kinds(), every=0)
    actor.abandon()
    for epoch in (2, 3, 4):
        (await stage.begin(Counter, Options(attempts=1), epoch=epoch)).abandon()

    actor = await stage.begin(Counter, Options(attempts=1), epoch=5)
    await stage.tell(actor, 1, seq=1)

    assert stage.post.dead == [("t1", "process_died", 1)]


async def test_retiring_gives_back_what_waits(stage, begun, gate) -> None:
    """Passivation finishes the letter in hand and hands the others back in order, asks too."""
    actor = await stage.begin(waiting(gate, begun))
    letters = [stage.stored_letter(n) for n in (1, 2)] + [stage.ask_letter(3)[0]]
    for letter in letters:
        actor.offer(letter)
    await begun.wait()

    retiring = asyncio.ensure_future(actor.retire())
    await asyncio.sleep(0)
    gate.set()

    assert await retiring == letters[1:]
    assert [task for task, _, _ in stage.post.settled] == ["t1"]


async def test_nothing_runs_while_nobody_knows_who_owns_it(stage, settle) -> None:
    """A blind owner waits: it neither runs nor settles nor answers."""
    actor = await stage.begin(Counter)
    stage.post.ours.clear()
    actor.offer(stage.stored_letter(1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.kinds() == []

    stage.post.ours.set()
    await settle(actor)

    assert stage.post.result("t1").data == 1


async def test_an_ask_that_outlasts_its_owner_is_told_that_nothing_is_known(
    stage, begun, gate, settle
) -> None:
    """Another owner may have answered it: it does not get a second answer, and is not left alone."""
    actor = await stage.begin(waiting(gate, begun))
    letter, answer = stage.ask_letter(1)
    actor.offer(letter)
    await begun.wait()
    stage.post.ours.clear()
    gate.set()
    assert (await answer).failure.code == "bus_lost"
    stage.post.ours.set()
    await settle(actor)


class Failing:
    """The Ledger port over another: the n-th append fails, before or after it stands."""

    def __init__(self, inner: Ledger, n: int, error: ActoriumError, *, stands: bool) -> None:
        self._inner = inner
        self._left = n
        self._error = error
        self._stands = stands

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        self._left -= 1
        if self._left == 0 and not self._stands:
            raise self._error
        sequence = await self._inner.append(subject, record, after=after)
        if self._left == 0:
            raise self._error
        return sequence

    async def last(self, subject: str) -> Entry | None:
        return await self._inner.last(subject)

    def read(self, subject: str, *, after: int = 0) -> Any:
        return self._inner.read(subject, after=after)


@pytest.mark.parametrize("stands", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
async def test_a_ledger_that_fails_ends_the_activation_and_loses_no_letter(stage, settle, n, stands) -> None:
    """Faulted is told once, nothing more runs, and the next activation takes the letters in their order."""
    stage.ledger = Failing(stage.stored, n, StoreUnavailable("slow"), stands=stands)
    actor = await stage.begin(Counter)
    for amount in (1, 2, 4):
        actor.offer(stage.stored_letter(amount))
    await settle(actor)

    assert [type(error) for error in stage.post.faults] == [StoreUnavailable]
    assert actor.fault is stage.post.faults[0]
    actor.offer(stage.stored_letter(8))
    given_back = actor.abandon()
    done = len(stage.post.settled)
    assert [letter.task_id for letter in given_back] == ["t1", "t2", "t3", "t4"][done:]

    stage.ledger = stage.stored
    again = await stage.begin(Counter)
    for letter in given_back:
        again.offer(letter)
    await settle(again)

    assert [result.data for _, result, _ in stage.post.settled] == [1, 3, 7, 15]


async def test_a_fenced_owner_stops(stage, settle) -> None:
    """Once a newer owner wrote, the old one records and settles nothing."""
    old = await stage.begin(Counter)
    await stage.tell(old, 1)
    new = await stage.begin(Counter, epoch=2)
    old.offer(stage.stored_letter(2))
    await settle(old)

    assert [type(error) for error in stage.post.faults] == [Fenced]
    assert len(stage.post.settled) == 1
    assert (await stage.tell(new, 4)).data == 5


async def test_an_ask_whose_record_is_uncertain_is_told_so(stage) -> None:
    """The change may stand: the answer must not read like one that is safe to repeat."""
    stage.ledger = Failing(stage.stored, 1, StoreUnavailable("slow"), stands=True)
    actor = await stage.begin(Counter)

    result: Result = await stage.ask(actor, 5)

    assert result.failure.effect is Effect.UNKNOWN


async def test_a_letter_whose_record_failed_while_it_retired_is_given_back(stage) -> None:
    """A fault during passivation loses no letter: it comes back with those that wait."""
    gate, begun = asyncio.Event(), asyncio.Event()
    stage.ledger = Failing(stage.stored, 2, StoreUnavailable("slow"), stands=False)
    actor = await stage.begin(waiting(gate, begun))
    letters = [stage.stored_letter(1), stage.stored_letter(2)]
    for letter in letters:
        actor.offer(letter)
    await begun.wait()

    retiring = asyncio.ensure_future(actor.retire())
    await asyncio.sleep(0)
    gate.set()

    assert await retiring == letters


async def test_the_tally_counts_every_task_once(stage) -> None:
    """Successes, refusals, dead letters and failed asks: each is one task."""
    actor = await stage.begin(Counter, Options(attempts=2))
    await stage.tell(actor, 1)
    await stage.tell(actor, "reject")
    await stage.tell(actor, "object")
    await stage.tell(actor, "raise")
    await stage.ask(actor, 0)
    await stage.ask(actor, "raise")
    await stage.ask(actor, "raise")

    tally = actor.tally
    assert (tally.total_tasks, tally.successful_tasks, tally.failed_tasks) == (7, 2, 5)
    assert tally.restarts == 4
