"""Whatever dies, hangs, lies or comes back, in any order: nothing acknowledged is lost, nothing counts twice.

A hypothesis state machine drives a cluster in virtual time; the model is a list of what was acknowledged.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actorium.actors import handling
from actorium.actors.ledger import ActorLedger
from actorium.actors.mailbox import Mailbox
from actorium.actors.progress import Kind, Run
from actorium.bus import subjects
from actorium.bus.codec import encode, read_result
from actorium.bus.envelope import TASK_ID, Envelope
from actorium.bus.errors import BusError, MailboxFull
from actorium.bus.port import Delivered, Feed, Past
from actorium.bus.streams import StreamSettings
from actorium.bus.task import Result, Status, Task
from actorium.runtime.post import HostPost, PostOffice
from actorium.storage.errors import Corrupt, StorageError
from actorium.storage.memory import MemoryLedger
from actorium.storage.port import Entry
from actorium.storage.record import decode_record
from actorium.storage.verifier import verify
from simulation.cluster import (
    AGENTS,
    ATTEMPTS,
    MAILBOX,
    Bugs,
    Cluster,
    SimWorker,
    Sum,
    WiredBus,
    WiredFeed,
    until,
)

EXAMPLES = int(os.environ.get("ACTORIUM_SIM_EXAMPLES", "120"))
PROFILE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
SEED = 2  # with which each planted bug is found soon; with the others later
FORGOTTEN = 150.0  # seconds after which the server stores a message under an id that it knew
RECENT = 5  # operations back for which a repetition is certainly remembered


class Told(msgspec.Struct):
    """One acknowledged task."""

    id: str
    agent: str
    amount: int
    kind: str
    moment: int


class ClusterMachine(RuleBasedStateMachine):
    """Workers against a list."""

    bugs = Bugs()

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(self.bugs)
        self.told: list[Told] = []
        self.asked: dict[str, tuple[str, int, bool]] = {}  # agent, amount, whether it certainly counts
        self.called_off: dict[str, bool] = {}  # whether it certainly stands
        self.operations = 0
        self.kills = 0

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        for _ in range(workers):
            self.cluster.start()
        self.cluster.pass_time(1.0)

    # what users do

    @rule(
        agent=st.sampled_from(AGENTS),
        kind=st.sampled_from(["add"] * 6 + ["raise", "kill"]),
        pause=st.sampled_from([0.0, 0.0, 0.3, 3.0]),
        count=st.sampled_from([1, 1, 2, MAILBOX + 2]),
    )
    def tell(self, agent: str, kind: str, pause: float, count: int) -> None:
        if kind == "kill":
            if self.kills >= 2:
                kind = "add"
            self.kills += 1
            count = 1
        for _ in range(count):
            self.operations += 1
            number = self.operations
            told = Told(f"t{number}", agent, 2**number, kind, number)
            spec = {"id": told.id, "amount": told.amount, "kind": kind, "pause": pause}
            try:
                self.cluster.loop.play(self._store(agent, spec, told.id, told.id))
            except MailboxFull:
                assert len(self._waiting(agent)) >= MAILBOX
            else:
                self.told.append(told)

    @precondition(lambda self: self.told and self.operations - self.told[-1].moment < RECENT)
    @rule(fresh=st.booleans())
    def tell_again(self, fresh: bool) -> None:
        """The same task id: as a retry of the publisher, or as another message altogether."""
        told = self.told[-1]
        self.operations += 1
        spec = {"id": told.id, "amount": told.amount, "kind": told.kind, "pause": 0.0}
        msg_id = f"again-{self.operations}" if fresh else told.id
        with suppress(MailboxFull):
            self.cluster.loop.play(self._store(told.agent, spec, told.id, msg_id))

    @rule(agent=st.sampled_from(AGENTS), pause=st.sampled_from([0.0, 0.0, 1.0]))
    def ask(self, agent: str, pause: float) -> None:
        self.operations += 1
        amount, name = 2**self.operations, f"q{self.operations}"
        spec = {"id": name, "amount": amount, "kind": "add", "pause": pause}
        deadline = self.cluster.loop.time() + 2.0
        envelope = Envelope(task_id=name, deadline=deadline)
        try:
            result = self.cluster.loop.play(self.cluster.courier.ask(agent, Task(spec=spec), envelope))
        except BusError:
            counts = False
        else:
            counts = result.status is Status.SUCCESS
        self.asked[name] = (agent, amount, counts)

    @precondition(lambda self: self.told)
    @rule(back=st.integers(1, MAILBOX))
    def call_off(self, back: int) -> None:
        """A task that waits, runs, ended, or whose owner dies of it."""
        told = self.told[-min(back, len(self.told))]
        try:
            receipt = self.cluster.loop.play(self.cluster.courier.cancel(told.agent, told.id))
        except (BusError, StorageError):
            self.called_off.setdefault(told.id, False)
        else:
            self.called_off[told.id] = receipt.cancelled or self.called_off.get(told.id, False)

    # what happens to workers

    @rule()
    def start_worker(self) -> None:
        if len(self.cluster.workers) < 4:
            self.cluster.start()

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    @rule(which=st.integers(0, 3), steps=st.integers(0, 60), tell=st.booleans())
    def crash(self, which: int, steps: int, tell: bool) -> None:
        """A process is killed, wherever it stands after so many turns of the loop."""
        if worker := self._worker(which):
            self.cluster.loop.steps(steps)
            worker.wire.die()
            self.cluster.reap(tell=tell)

    @rule(operations=st.integers(1, 12), before=st.booleans())
    def nobody_for_long(self, operations: int, before: bool) -> None:
        """Every process dies, and the next begins when the server knows no message id any more."""
        for worker in self.cluster.workers:
            worker.wire.deadly, worker.wire.before = operations, before
        self.cluster.pass_time(5.0)
        for worker in self.cluster.workers:
            worker.wire.die()
        self.cluster.reap(tell=True)
        self.cluster.pass_time(FORGOTTEN)
        self.cluster.start()

    @rule(which=st.integers(0, 3), operations=st.integers(1, 8), before=st.booleans())
    def crash_between_operations(self, which: int, operations: int, before: bool) -> None:
        """A process is going to be killed right before or after its n-th operation from now."""
        if worker := self._worker(which):
            worker.wire.deadly, worker.wire.before = operations, before

    @rule(tell=st.booleans())
    def see_who_died(self, tell: bool) -> None:
        self.cluster.reap(tell=tell)

    @rule(agent=st.sampled_from(AGENTS), busy=st.booleans(), seconds=st.sampled_from([0.5, 7.0, 9.0]))
    def zombie(self, agent: str, busy: bool, seconds: float) -> None:
        """An owner loses its lease, works on, and is seen to be dead by the others."""
        part = subjects.partition("default", agent)
        alive = [worker for worker in self.cluster.workers if not worker.dead]
        owner = next((worker for worker in alive if part in worker.hosts), None)
        if owner and len(alive) > 1:
            if busy:
                self.tell(agent=agent, kind="add", pause=8.0, count=1)
                self.cluster.pass_time(0.01)
            owner.wire.zombie = True
            self.cluster.pass_time(seconds)

    @rule()
    def zombies_see(self) -> None:
        for worker in self.cluster.workers:
            worker.wire.zombie = worker.wire.blind = False

    @rule(which=st.integers(0, 3))
    def session_ended_by_others(self, which: int) -> None:
        if worker := self._worker(which):
            self.cluster.loop.play(self.cluster.leases.end_session(worker.session))

    @rule(which=st.integers(0, 3))
    def blind(self, which: int) -> None:
        if worker := self._worker(which):
            worker.wire.blind = True

    @rule(which=st.integers(0, 3), seconds=st.sampled_from([0.0, 0.5]))
    def connection_lost(self, which: int, seconds: float) -> None:
        if worker := self._worker(which):
            worker.bus.sever()
            self.cluster.pass_time(seconds)
            worker.bus.heal()

    @rule(which=st.integers(0, 3), stands=st.booleans())
    def append_without_an_answer(self, which: int, stands: bool) -> None:
        if worker := self._worker(which):
            worker.wire.uncertain = stands

    @rule(which=st.integers(0, 3))
    def passivate(self, which: int) -> None:
        if worker := self._worker(which):
            self.cluster.loop.play(worker.sweep())

    @rule(which=st.integers(0, 3), steps=st.integers(0, 30))
    def reload(self, which: int, steps: int) -> None:
        """A live actor is let go in the middle of whatever it does."""
        if worker := self._worker(which):
            self.cluster.loop.play(self._let_go(worker))
            self.cluster.loop.steps(steps)

    async def _let_go(self, worker: SimWorker) -> None:
        for host in list(worker.hosts.values()):
            for key in list(host.live):
                worker.office.spawn(host.let_go(key))

    @rule(which=st.integers(0, 3))
    def drain(self, which: int) -> None:
        """A planned stop hands everything back."""
        worker = self._worker(which)
        if worker and not (worker.wire.zombie or worker.wire.blind):
            self.cluster.loop.play(self._drained(worker))
            worker.wire.die()
            self.cluster.reap(tell=True)

    async def _drained(self, worker: Any) -> None:
        drain = asyncio.ensure_future(worker.holder.drain(5.0))
        dying = asyncio.ensure_future(worker.wire.dead.wait())
        await asyncio.wait([drain, dying], return_when=asyncio.FIRST_COMPLETED)
        for task in (drain, dying):
            task.cancel()
        await asyncio.wait([drain, dying])

    # what must hold

    @invariant()
    def no_worker_ends_by_our_error(self) -> None:
        assert self.cluster.failed() == []

    @invariant()
    def no_mailbox_is_above_its_bound(self) -> None:
        for agent in AGENTS:
            assert len(self._waiting(agent)) <= MAILBOX, f"I10: {agent} holds more than its bound"

    def teardown(self) -> None:
        try:
            self._heal()
            self._check()
        finally:
            self.cluster.close()

    def _heal(self) -> None:
        """Everybody alive sees and hears; dead ones are replaced until all work is done."""

        def done() -> bool:
            self.cluster.reap(tell=True)
            for worker in self.cluster.workers:
                worker.wire.zombie = worker.wire.blind = False
                worker.wire.deadly = worker.wire.uncertain = None
            if not self.cluster.workers:
                self.cluster.start()
            return not self.cluster.hub.stream(subjects.INBOX).kept

        assert until(self.cluster, done, 300.0), "I7: work that never ends"
        self.cluster.pass_time(1.0)
        assert self.cluster.failed() == []

    def _check(self) -> None:
        results = self._results()
        for agent in AGENTS:
            state = self._state(agent)
            told = [one for one in self.told if one.agent == agent]
            certain = {
                name: amount for name, (who, amount, counts) in self.asked.items() if who == agent and counts
            }
            perhaps = {name: amount for name, (who, amount, counts) in self.asked.items() if who == agent}
            assert len(set(state.log)) == len(state.log), f"I2: applied twice: {state.log}"
            kept = [name for name in state.log if name.startswith("t")]
            succeeded = [one.id for one in told if results.get(one.id, [""])[0] == "success"]
            assert kept == succeeded, "I3: applied in another order, or without a result"
            for one in told:
                ended = results.get(one.id, [])
                assert len(ended) == 1, f"I1: {one.id} has {len(ended)} results"
                assert not self.called_off.get(one.id) or ended[0] == "cancelled", f"{one.id} was called off"
                if ended[0] == "cancelled":
                    assert one.id in self.called_off
                elif ended[0] == "success":
                    assert one.kind == "add", f"{one.id} ({one.kind}) succeeded"
                else:  # an innocent task may stand in the way of so many crashes
                    attempts = self._attempts(agent, one.id)
                    assert attempts == ATTEMPTS, f"{one.id} was given up after {attempts} attempts"
            answers = {name for name in state.log if name.startswith("q")}
            assert certain.keys() <= answers <= perhaps.keys(), "an answered ask was lost"
            amounts = {one.id: one.amount for one in told} | perhaps
            assert state.total == sum(amounts[name] for name in state.log), "the total is not what was added"
            self._verify(agent)
        known = {one.id for one in self.told}
        assert results.keys() <= known, "a result of a task that nobody acknowledged"

    def _verify(self, agent: str) -> None:
        """I4, I6: the chain is whole and its epochs never fall."""
        subject = subjects.ledger(subjects.partition("default", agent), "default", agent)
        chain = self.cluster.ledger._chains.get(subject, [])
        verify([entry.value for entry in chain], subject)

    def _attempts(self, agent: str, task_id: str) -> int:
        subject = subjects.ledger(subjects.partition("default", agent), "default", agent)
        records = [decode_record(entry.value) for entry in self.cluster.ledger._chains.get(subject, [])]
        kinds = [record.kind for record in records if record.body.get("task_id") == task_id]
        return kinds.count(Kind.STARTED) - kinds.count(Kind.INTERRUPTED)

    def _state(self, agent: str) -> Sum:
        subject = subjects.ledger(subjects.partition("default", agent), "default", agent)
        opening = ActorLedger.open(self.cluster.ledger, self.cluster.blobs, subject, 10_000)
        state = self.cluster.loop.play(opening).progress.state
        return Sum() if state is None else msgspec.convert(state, Sum)

    def _results(self) -> dict[str, list[str]]:
        """By task: `success`, or the code of the failure."""
        results: dict[str, list[str]] = {}
        for past in self.cluster.hub.stream(subjects.OUTBOX).kept.values():
            name = (past.message.headers or {})[TASK_ID]
            result = read_result(past.message.payload)
            results.setdefault(name, []).append(result.failure.code if result.failure else result.status)
        return results

    def _waiting(self, agent: str) -> list[Past]:
        part = subjects.partition("default", agent)
        return self.cluster.hub.stream(subjects.INBOX).on(subjects.inbox(part, "default", agent))

    def _worker(self, which: int) -> Any:
        alive = [worker for worker in self.cluster.workers if not worker.dead]
        return alive[which % len(alive)] if alive else None

    async def _store(self, agent: str, spec: Mapping[str, Any], task_id: str, msg_id: str) -> None:
        part = subjects.partition("default", agent)
        subject = subjects.inbox(part, "default", agent)
        headers = {TASK_ID: task_id}
        await self.cluster.bus.store(subject, encode(Task(spec=spec)), headers, msg_id=msg_id)


TestCluster = ClusterMachine.TestCase
TestCluster.settings = PROFILE


# The checkers can fail: each of these is a bug that somebody could write, and must be found.


class NoFence(Bugs):
    """The ledger takes an append whatever stands last."""

    class Ledger(MemoryLedger):
        async def append(self, subject: str, record: bytes, *, after: int) -> int:
            chain = self._chains.setdefault(subject, [])
            self._seq += 1
            chain.append(Entry(record, self._seq))
            return self._seq

    ledger = Ledger


class AckBeforeAppend(Bugs):
    """A task is acknowledged when it arrives."""

    class Bus(WiredBus):
        async def feed(self, part: int, epoch: int) -> Feed:
            return AckBeforeAppend.Acking(self._wire, await self.inner.feed(part, epoch))

    class Acking(WiredFeed):
        async def __aiter__(self) -> AsyncIterator[Delivered]:
            async for delivered in self._inner:
                await self._inner.ack(delivered.token)
                yield delivered

    def bus(self, bus: WiredBus) -> WiredBus:
        return self.Bus(bus._wire, bus.inner)


class PublishesUnderNewIds(Bugs):
    """A result that is published again is another message."""

    class Office(PostOffice):
        async def settle(self, key: Any, letter: Any, result: Result, *, again: bool) -> None:
            outbox = subjects.public(*key, "outbox")
            await self.bus.store(
                outbox,
                encode(result),
                {TASK_ID: letter.task_id},
                msg_id=f"{letter.task_id}.{secrets.token_hex(4)}",
            )

    office = Office


class ForgetsResults(Bugs):
    """The letter is acknowledged, and its result was only told, not kept."""

    class Office(PostOffice):
        async def settle(self, key: Any, letter: Any, result: Result, *, again: bool) -> None:
            self.spawn(super().settle(key, letter, result, again=again))

    office = Office


class NoBound(Bugs):
    """Mailboxes hold as much as is sent."""

    settings = StreamSettings(mailbox=1000, partitions=Bugs.settings.partitions)


def no_done_check(patch: pytest.MonkeyPatch) -> None:
    """Every delivery is a first one."""
    patch.setattr(handling, "judge", lambda *_, **__: Run(1))


def retries_last(patch: pytest.MonkeyPatch) -> None:
    """What failed goes to the end of the queue."""
    patch.setattr(Mailbox, "put_back", Mailbox.put_anyway)


def keeps_the_state_in_memory(patch: pytest.MonkeyPatch) -> None:
    """An ask is answered without its record."""

    async def answered(self: ActorLedger, task_id: str, state: bytes) -> None:
        return None

    patch.setattr(ActorLedger, "answered", answered)


def calls_off_in_memory(patch: pytest.MonkeyPatch) -> None:
    """A cancel is acknowledged without its record."""

    async def cancelled(self: ActorLedger, seq: int, task_id: str) -> bool:
        return task_id not in self.progress.finished

    patch.setattr(ActorLedger, "cancelled", cancelled)


def looks_into_no_outbox(patch: pytest.MonkeyPatch) -> None:
    """A result that is on record is stored again, whatever stands in the outbox."""

    async def is_kept(self: Any, letter: Any) -> bool:
        return False

    patch.setattr(handling.Handling, "_is_kept", is_kept)


def falling_epochs(patch: pytest.MonkeyPatch) -> None:
    """An owner opens a chain in whatever epoch it believes in, without a look at the last record."""
    whole = ActorLedger.open.__func__

    async def open_(cls: Any, ledger: Any, blobs: Any, subject: str, epoch: int) -> ActorLedger:
        last = await ledger.last(subject)
        opened = await whole(
            cls, ledger, blobs, subject, max(epoch, decode_record(last.value).epoch if last else 0)
        )
        opened._chain.epoch = epoch if epoch == 10_000 else 10 - epoch
        return opened

    patch.setattr(ActorLedger, "open", classmethod(open_))


def swallows_poison(patch: pytest.MonkeyPatch) -> None:
    """What was given up is acknowledged, and nobody is told."""

    async def settle(self: Any, letter: Any, result: Result, *, again: bool = False) -> None:
        if result.failure is None or result.failure.code != "undeliverable":
            await self._office.settle(self._key, letter, result, again=again)
        await self._host.feed.ack(letter.token)
        self._host.release(letter)

    patch.setattr(HostPost, "settle", settle)


PLANTED = [
    NoFence, AckBeforeAppend, PublishesUnderNewIds, ForgetsResults, NoBound,
    no_done_check, retries_last, keeps_the_state_in_memory, calls_off_in_memory, looks_into_no_outbox,
    falling_epochs, swallows_poison,
]  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_a_planted_bug_is_found(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine, with one bug in the code under test, fails."""
    machine = type("Planted", (ClusterMachine,), {"bugs": planted() if isinstance(planted, type) else Bugs()})
    if not isinstance(planted, type):
        planted(monkeypatch)
    profile = settings(
        PROFILE, max_examples=400, derandomize=False, database=None, phases=[Phase.generate], print_blob=False
    )
    with pytest.raises((AssertionError, Corrupt)):
        run_state_machine_as_test(seed(SEED)(machine), settings=profile)
