"""A world for workflow runs: agents that live outside of the process that carries the run, storage, people.

Like the real one it knows a task by its key: given again it is the same task, whoever gives it. It notes what
happened and what must not have. Time is virtual. A `Storm` kills the process at the boundaries it is told.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import TypeVar

import msgspec

from actorium.actors.receipt import Receipt
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.delegation import Grant
from actorium.actors.runs.effect import EffectClass
from actorium.actors.workflows.beginning import beginning
from actorium.actors.workflows.book import WorkflowBook
from actorium.actors.workflows.branch import Place
from actorium.actors.workflows.definition import Workflow
from actorium.actors.workflows.edition import edition
from actorium.actors.workflows.engine import Engine
from actorium.actors.workflows.record import Ended, Page
from actorium.bus.errors import DeadlineExceeded, Effect, Failure, MailboxFull
from actorium.bus.task import Metrics, Result, Status, Task
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryBlobs, MemoryLedger, MemoryState
from actorium.storage.record import decode_record

RUN, SUBJECT = "run-1", "led.7.default.run-1"
WALL = 1_800_000_000.0  # seconds since 1970
CARRIES = 100  # more than any run needs
T = TypeVar("T")


class Storm:
    """Kills the process at the boundaries it is told, in order; or has the store fail there."""

    def __init__(self, *fatal: int, failing: bool = False) -> None:
        self.fatal = fatal
        self.failing = failing
        self.passed = 0
        self.dead = False
        self.process: asyncio.Task[object] | None = None
        self._rng = random.Random(repr(fatal))

    async def boundary(self, *, store: bool = False) -> None:
        self.passed += not self.dead
        if not self.dead and self.passed in self.fatal:
            if store and self.failing:
                raise StoreUnavailable("the server did not answer")
            self.dead = True
            self.process.cancel()
        if self.dead:
            await asyncio.Event().wait()  # nothing goes on in a process that is dead
        for _ in range(self._rng.randrange(3)):
            await asyncio.sleep(0)  # what runs side by side takes turns


class StormyLedger(MemoryLedger):
    def __init__(self, storm: Storm) -> None:
        super().__init__()
        self._storm = storm

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        await self._storm.boundary(store=True)
        sequence = await super().append(subject, record, after=after)
        await self._storm.boundary(store=True)
        return sequence


class StormyState(MemoryState):
    def __init__(self, storm: Storm, now: Callable[[], float]) -> None:
        super().__init__(now=now)
        self._storm = storm

    async def put(self, key: str, value: bytes, **more) -> int:
        await self._storm.boundary(store=True)
        revision = await super().put(key, value, **more)
        await self._storm.boundary(store=True)
        return revision


class Job(msgspec.Struct):
    """A task that some agent has: it is done there, whatever becomes of whoever gave it."""

    agent: str
    task: Task
    ends: "asyncio.Future[Result]"
    work: "asyncio.Task[None]"


Acts = Callable[[str, Task, str, random.Random], tuple[float, Result]]


def succeeds(agent: str, task: Task, key: str, rng: random.Random) -> tuple[float, Result]:
    """Every agent does what it is told, at once."""
    return 0.0, Result(status=Status.SUCCESS, data=key)


def fails(code: str = "error", effect: Effect = Effect.NO) -> Result:
    failure = Failure(code=code, message=f"it failed: {code}", effect=effect)
    return Result(status=Status.FAILURE, error=failure.message, failure=failure)


def moody(agent: str, task: Task, key: str, rng: random.Random) -> tuple[float, Result]:
    """Agents of every kind; the same key is always treated the same."""
    chance, seconds = rng.random(), rng.choice((0.0, 0.0, 0.1, 1.0, 3.0))
    if "undo" in key:
        return seconds, Result(status=Status.SUCCESS) if chance < 0.8 else fails()
    if chance < 0.75:
        spent = Metrics(execution_time_ms=1, tokens_used=10, usd=0.01, steps=1, tool_calls=1)
        return seconds, Result(status=Status.SUCCESS, data=[key, key], metrics=spent)
    if chance < 0.78:
        return seconds, Result(status=Status.PARTIAL, data=["half"], error="it ran out of time")
    if chance < 0.86:
        return seconds, fails()
    if chance < 0.92:
        return seconds, fails("handler_failed", Effect.UNKNOWN)
    if chance < 0.95:
        return seconds, fails("rejected")
    return 50.0, Result(status=Status.SUCCESS, data="at last")


class World:
    """Everything outside of the process that carries the run. Implements `Hands`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        workflow: Workflow,
        *,
        storm: Storm | None = None,
        acts: Acts = succeeds,
        seed: int = 0,
    ) -> None:
        self.loop = loop
        self.storm = storm or Storm()
        self.workflow = workflow
        self.edition = edition(workflow)
        self.ledger = StormyLedger(self.storm)
        self.state = StormyState(self.storm, self.wall)
        self.blobs = MemoryBlobs()
        self.acts = acts
        self.seed = seed
        self.jobs: dict[str, Job] = {}
        self.unstored: set[str] = set()  # keys of jobs that nobody finds again when the run is let go
        self.given: list[str] = []  # keys in the order they were first given
        self.grants: dict[str, Grant] = {}
        self.succeeded: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.events: list[tuple[str, dict]] = []
        self.wrong: list[str] = []
        self._read: dict[str, list[dict | None]] = {}
        self.engine: Engine | None = None
        self.book: WorkflowBook | None = None
        self.epoch = 0

    def wall(self) -> float:
        return WALL + self.loop.time()

    # Hands

    async def nearby(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant
    ) -> Result | None:
        await self.storm.boundary()
        self._check_at_once(key)
        if sha256(f"near {self.seed}/{key}".encode()).digest()[0] % 4 == 0:
            return None
        self.unstored.add(key)
        return await self._do(agent, task, key=key, timeout=timeout, grant=grant)

    async def delegate(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant, once: bool = False
    ) -> Result:
        await self.storm.boundary()
        self._check(key)
        return await self._do(agent, task, key=key, timeout=timeout, grant=grant)

    async def _do(self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant) -> Result:
        job = self.jobs.get(key) or self._take_on(agent, task, key)
        self.grants.setdefault(key, grant)
        if (job.agent, job.task) != (agent, task):
            self.wrong.append(f"{key} is another task: {job.task} and {task}")
        await self.storm.boundary()
        try:
            async with asyncio.timeout(timeout):
                result = await asyncio.shield(job.ends)
        except TimeoutError:
            await self.cancel(agent, key)
            raise DeadlineExceeded(f"{key} had {timeout:g} seconds") from None
        await self.storm.boundary()
        if result.failure is not None and result.failure.code == "mailbox_full":
            raise MailboxFull("no room")
        return result

    async def cancel(self, agent: str, key: str) -> Receipt:
        await self.storm.boundary()
        job = self.jobs.get(key)
        over = job is None or job.ends.done()
        if job is not None and not over:
            job.work.cancel()
            job.ends.set_result(fails("cancelled", Effect.UNKNOWN))
            self.cancelled.append(key)
        await self.storm.boundary()
        return Receipt(agent=agent, task_id=key, cancelled=not over)

    async def emit(self, kind: str, **data) -> None:
        self.events.append((kind, data))

    # agents

    def _take_on(self, agent: str, task: Task, key: str) -> Job:
        self.given.append(key)
        rng = random.Random(sha256(f"{self.seed}/{key}".encode()).digest())
        seconds, result = self.acts(agent, task, key, rng)
        ends: asyncio.Future[Result] = self.loop.create_future()

        async def work() -> None:
            await asyncio.sleep(seconds)
            self.succeeded[key] += result.status is not Status.FAILURE
            ends.set_result(result)

        job = self.jobs[key] = Job(agent, task, ends, self.loop.create_task(work()))
        return job

    def _check(self, key: str) -> None:
        """What may be given stands as intended, and not as over."""
        intended, over = False, False
        for fact in self.facts():
            if fact.get("key") == key:
                intended, over = True, False
            elif intended and fact["type"] in ENDS and _same_branch(fact, key):
                over = True
        if not intended:
            self.wrong.append(f"{key} was given before its intention stood")
        if over:
            self.wrong.append(f"{key} was given when its outcome stood")

    def _check_at_once(self, key: str) -> None:
        """What need not be stored may happen twice, and was never given before."""
        place = place_of(key)
        (effect,) = (step.effect for step in self.workflow.steps if step.id == place.step)
        if effect is not EffectClass.PURE or place.undo or key in self.given:
            self.wrong.append(f"{key} was given without being stored")

    # the ledger

    def pages(self) -> list[Page]:
        return [msgspec.convert(body, Page) for body in self._bodies()]

    def facts(self) -> list[dict]:
        return [fact for body in self._bodies() for fact in body["facts"]]

    def _bodies(self) -> list[dict]:
        """The pages of all chains; each is read once."""
        for subject, entries in self.ledger._chains.items():
            read = self._read.setdefault(subject, [])
            for entry in entries[len(read) :]:
                record = decode_record(entry.value)
                body = record.body if record.kind == "page" else None
                if body is not None and "blob" in body:
                    body = msgspec.json.decode(self.blobs._blobs[body["blob"]])
                read.append(body)
        return [body for read in self._read.values() for body in read if body is not None]

    # a process

    async def process(self, *, inputs: dict | None = None, **more) -> Ended | None:
        """What a worker does that finds the run."""
        self.epoch += 1
        clock = self.loop.time
        self.book = await WorkflowBook.open(
            self.ledger, self.blobs, SUBJECT, self.epoch, clock=clock, wall=self.wall, **more
        )
        if self.book.state.started is None:
            await self.book.begin(beginning(RUN, self.edition, inputs or {}))
        self.engine = Engine(
            self.book,
            hands=self,
            approvals=self.approvals(),
            accounts=Accounts(self.state, random.Random(1)),
            rng=random.Random(self.seed + self.epoch),
        )
        return await self.engine.carry()

    def approvals(self) -> Approvals:
        return Approvals(self.state, self.wall)

    async def carry(self, *, patient: bool = True, **more) -> Ended | None:
        """Carry the run as often as it takes, over deaths and by timers; None: it waits for people."""
        for _ in range(CARRIES):
            survived, ended = await self.alone(self.process(**more))
            if ended is not None:
                return ended
            if survived and not (patient and await self.meanwhile()):
                return None
        raise AssertionError("it goes on for ever")

    async def alone(self, work: Coroutine[object, object, T]) -> tuple[bool, T | None]:
        """Do something in the process that the storm may kill; whether it survived, and what came of it."""
        self.storm.process = self.loop.create_task(work)
        try:
            return True, await self.storm.process
        except (asyncio.CancelledError, StoreUnavailable):
            self.storm.dead = False
            return False, None
        finally:
            for key in self.unstored:
                if (lost := self.jobs.pop(key, None)) is not None:
                    lost.work.cancel()
            self.unstored.clear()

    async def meanwhile(self) -> bool:
        """What happens while nobody carries the run; False: nothing."""
        answered = await self.answer(Verdict.ACCEPT)
        wake_at = self.engine.wake_at
        if answered or wake_at is None:
            return bool(answered)
        await asyncio.sleep(max(0.0, wake_at - self.wall()))
        return True

    async def answer(self, verdict: Verdict, **more) -> int:
        """Answer all that is asked, outside of any storm."""
        calm = MemoryState(now=self.wall)
        calm._values, calm._seq = self.state._values, self.state._seq + 1000
        approvals = Approvals(calm, self.wall)
        asked = await approvals.list()
        for pending in asked:
            decision = Decision(verdict=verdict, hash=pending.question.hash, by="ann", **more)
            await approvals.answer(pending.question.id, decision)
        self.state._seq = calm._seq
        return len(asked)


ENDS = {"done", "failed", "retried", "stopped", "undone", "undo_failed", "undo_retried"}


def _same_branch(fact: dict, key: str) -> bool:
    place = place_of(key)
    undo = fact["type"].startswith("und")
    return (fact["step"], fact.get("item", 0), undo) == tuple(place)


def place_of(key: str) -> Place:
    """The branch that a key is of."""
    _, step, said, *item = key.split("/")
    return Place(step, int(item[0]) if item else 0, undo=said.startswith("undo"))
