"""A run that dies at any point goes on: nothing finished is repeated, nothing irreversible happens twice.

One scripted conversation with calls of every effect class, an approval and a delegate, killed at every
record, at every write to the state store, and at every await of a model or tool call. Outside of the run, a
world counts what really happened. Bugs that are planted must be found by the same check.
"""

import asyncio
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.actors.context import Context
from actorium.actors.models.port import ModelRequest, ToolResult
from actorium.actors.models.prices import Price, Prices
from actorium.actors.models.scripted import ScriptedModel, call, say
from actorium.actors.runs import clearance, state
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import About, Decision, Pending, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.book import RunBook
from actorium.actors.runs.budget import ONE_CALL, Budget
from actorium.actors.runs.caller import Caller
from actorium.actors.runs.config import AgentConfig
from actorium.actors.runs.delegation import DELEGATE
from actorium.actors.runs.ending import Ending
from actorium.actors.runs.engine import Engine
from actorium.actors.runs.plan import beginning
from actorium.actors.runs.reading import read_facts
from actorium.actors.runs.record import Done, Ended, Intended, Undone
from actorium.actors.runs.state import fold
from actorium.actors.runs.tool import NOT_DONE, Tool, tool
from actorium.bus.envelope import Envelope
from actorium.bus.task import Metrics, Result, Status, Task
from actorium.storage.errors import StoreUnavailable
from actorium.storage.memory import MemoryBlobs, MemoryLedger, MemoryState
from actorium.storage.record import decode_record
from actorium.storage.verifier import verify

SUBJECT, RUN, ACCOUNT = "led.7.default.run-1", "run-1", "team"
CONFIG = AgentConfig(
    model="scripted:script", delegates=("bob",), budget=Budget(steps=50, tokens=10**6, usd=1000.0)
)
PRICES = Prices({"*": Price(input=1.0, output=10.0)})
CARRIES = 30  # more than any number of crashes and questions needs
ONCE = ("send", "mail", "pay")


class Storm:
    """Kills the process at the boundaries it is told, in order; or has the store fail there."""

    def __init__(self, *fatal: int, failing: bool = False) -> None:
        self.fatal = fatal
        self.failing = failing
        self.passed = 0
        self.dead = False
        self._rng = random.Random(len(fatal) + sum(fatal))
        self.process: asyncio.Task[Ended | None] | None = None

    async def boundary(self, *, store: bool = False) -> None:
        self.passed += not self.dead
        if not self.dead and self.passed in self.fatal:
            if store and self.failing:
                raise StoreUnavailable("the server did not answer")
            self.dead = True
            self.process.cancel()
        if self.dead:
            await asyncio.Event().wait()  # nothing goes on in a process that is dead
        for _ in range(self._rng.randrange(4)):
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

    def kinds(self) -> list[tuple[str, dict]]:
        """The facts that stand, with the epochs of later owners."""
        records = (decode_record(entry.value) for entry in self._chains.get(SUBJECT, ()))
        return [
            (fact.get("type", record.kind), fact)
            for record in records
            for fact in record.body.get("facts", [record.body])
        ]


class StormyState(MemoryState):
    def __init__(self, storm: Storm) -> None:
        super().__init__()
        self._storm = storm

    async def put(self, key: str, value: bytes, **more) -> int:
        await self._storm.boundary(store=True)
        revision = await super().put(key, value, **more)
        await self._storm.boundary(store=True)
        return revision


class World:
    """What really happened, told by nobody but the tools themselves; and the person who answers."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.ledger = StormyLedger(storm)
        self.state = StormyState(storm)
        self.blobs = MemoryBlobs()
        self.happened: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self.wrong: list[str] = []
        self.approved = False

    # the tools' side

    async def start(self, name: str, n: int, ctx: Context) -> None:
        """Note a call that begins, and whether it may."""
        await self.storm.boundary()
        call_id = ctx.task_id.removeprefix(f"{RUN}/")
        self.keys.setdefault(f"{name} {n}", set()).add(ctx.task_id)
        for kind, body in self.ledger.kinds():
            if kind in {"done", "failed"} and body["call"] == call_id:
                self.wrong.append(f"{name} was called again when its outcome stood")
        if not any(kind == "intended" and body["key"] == ctx.task_id for kind, body in self.ledger.kinds()):
            self.wrong.append(f"{name} was called before its intention stood")
        if name == "pay" and not self.approved:
            self.wrong.append("pay was called and nobody had approved it")

    async def effect(self, name: str, by: int = 1) -> None:
        self.happened[name] += by
        await self.storm.boundary()

    # the model's side

    async def script(self, request: ModelRequest):
        await self.storm.boundary()
        if [kind for kind, _ in self.ledger.kinds()][-1:] != ["requested"]:
            self.wrong.append("the model was asked before the request stood")
        results = [p.content for turn in request.turns for p in turn.parts if isinstance(p, ToolResult)]
        await self.storm.boundary()
        if not results:
            return call(
                ("look", {"n": 1}), ("keep", {"n": 2}), ("book", {"n": 3}), ("send", {"n": 4}),
                ("mail", {"n": 5}), ("pay", {"n": 6}), (DELEGATE, {"agent": "bob", "task": "help"}),
            )  # fmt: skip
        if len(results) == 7:
            return call(("keep", {"n": 7}), ("look", {"n": 8}))
        return say(" | ".join(results))

    # the courier's side

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        await self.storm.boundary()
        self.keys.setdefault("delegate", set()).add(envelope.task_id)
        await self.storm.boundary()
        metrics = Metrics(execution_time_ms=1, tokens_used=50, usd=0.01)
        return Result(status=Status.SUCCESS, data="helped", metrics=metrics)

    async def cancel(self, agent: str, task_id: str) -> bool:
        return True

    async def emit(self, agent: str, kind: str, task_id: str, data: dict) -> None: ...

    # the person's side

    async def answer(self) -> None:
        """Answer what is asked, after somebody tried to have other arguments approved."""
        store = MemoryState()
        store._values = self.state._values
        store._seq = self.state._seq + 1000
        approvals = Approvals(store)
        for pending in await approvals.list():
            question = pending.question
            if question.about is About.UNKNOWN:
                happened = bool(self.happened[question.tool])
                verdict, text = (
                    (Verdict.RESPOND, f"{question.tool} done") if happened else (Verdict.ACCEPT, "")
                )
            else:
                verdict, text = Verdict.ACCEPT, ""
                if await self.forge(store, pending):
                    continue
                self.approved = True
            decision = Decision(verdict=verdict, hash=question.hash, by="ann", text=text)
            await approvals.answer(question.id, decision)
        self.state._seq = store._seq

    async def forge(self, store: MemoryState, pending: Pending) -> bool:
        """The first time, an answer for another hash is put there; the second time it is taken away."""
        forged = msgspec.structs.replace(pending, decision=Decision(verdict=Verdict.ACCEPT, hash="forged"))
        key = f"approval.{pending.question.id}"
        if self.keys.setdefault("forged", set()):
            return False
        self.keys["forged"].add(key)
        await store.put(key, msgspec.json.encode(forged))
        return True

    async def unforge(self) -> None:
        for key in self.keys.get("forged", ()):
            entry, end = self.state._values[key]
            pending = msgspec.json.decode(entry.value, type=Pending)
            if pending.decision is not None and pending.decision.hash == "forged":
                plain = msgspec.json.encode(msgspec.structs.replace(pending, decision=None))
                self.state._values[key] = (type(entry)(plain, entry.revision), end)


def tools_of(world: World) -> dict[str, Tool]:
    """One tool of each effect class; irreversible ones with a probe, without one, and with an approval."""

    def looked_for(n: int) -> object:
        return "mail done" if world.happened["mail"] else NOT_DONE

    async def take_back(n: int) -> None:
        await world.storm.boundary()
        world.happened["book"] = max(0, world.happened["book"] - 1)
        await world.storm.boundary()

    def made(name: str, **what) -> Tool:
        async def act(n: int, ctx: Context) -> str:
            await world.start(name, n, ctx)
            await world.effect(name)
            return f"{name} done"

        return tool(name=name, **what)(act)

    made_tools = (
        made("look", effect="pure"),
        made("keep", effect="idempotent"),
        made("book", effect="compensable", undo=take_back),
        made("send", effect="irreversible"),
        made("mail", effect="irreversible", probe=looked_for),
        made("pay", effect="irreversible", risk="high"),
    )
    return {one.spec.name: one for one in made_tools}


async def process(world: World, epoch: int) -> Ended | None:
    """What a worker does that finds the run."""
    book = await RunBook.open(world.ledger, world.blobs, SUBJECT, epoch)
    await book.begin(beginning("it", RUN, Task(spec="go"), CONFIG, account=ACCOUNT))
    engine = Engine(
        RUN,
        CONFIG,
        tools=tools_of(world),
        model=ScriptedModel(world.script),
        book=book,
        approvals=Approvals(world.state),
        prices=PRICES,
        accounts=Accounts(world.state, random.Random(1)),
        ctx=Context("it", Envelope(), RUN, world),
        tool_ctx=lambda key, grant: Context("it", Envelope(), key, world),
    )
    return await engine.carry()


async def live(*fatal: int, failing: bool = False) -> tuple[World, Ended | None]:
    """Carry the run to its end, over as many processes and answers as it takes."""
    storm = Storm(*fatal, failing=failing)
    world = World(storm)
    for epoch in range(1, CARRIES):
        storm.process = asyncio.create_task(process(world, epoch))
        try:
            ended = await storm.process
        except (asyncio.CancelledError, StoreUnavailable):
            storm.dead = False
            continue
        if ended is not None:
            return world, ended
        await world.unforge()
        await world.answer()
    return world, None


async def faults(world: World, ended: Ended | None) -> list[str]:
    """Everything that is not as it must be, whatever crashed."""
    wrong = list(world.wrong)
    if ended is None:
        return [*wrong, "it never ended"]
    names = ("look", "keep", "book", "send", "mail", "pay")
    expected = " | ".join([*(f"{name} done" for name in names), "helped", "keep done", "look done"])
    if (ended.why, ended.result.data) != ("completed", expected):
        wrong.append(f"it ended otherwise: {ended.why}, {ended.result.data}")
    wrong += [
        f"{name} happened {world.happened[name]} times"
        for name in (*ONCE, "book")
        if world.happened[name] != 1
    ]
    wrong += [f"{name} had keys {keys}" for name, keys in world.keys.items() if len(keys) != 1]
    kinds = world.ledger.kinds()
    steps = [body["step"] for kind, body in kinds if kind == "answered"]
    settled = Counter(body["call"] for kind, body in kinds if kind in {"done", "failed"})
    if steps != [1, 2, 3] or set(settled.values()) != {1} or len(settled) != 9:
        wrong.append(f"recorded twice, or not at all: {steps} {settled}")
    verify([entry.value for entry in world.ledger._chains[SUBJECT]], SUBJECT)
    account = await Accounts(world.state).open(ACCOUNT, Budget())
    if account.reserved:
        wrong.append(f"still reserved: {account.reserved}")
    metrics = ended.result.metrics
    if account.spent.tool_calls != 9 or account.spent.tokens != metrics.tokens_used - 50:
        wrong.append(f"the account says {account.spent}, the run {metrics}")
    return wrong


async def everything_that_goes_wrong(boundaries: int, *, failing: bool) -> dict[int, list[str]]:
    found = {}
    for fatal in range(1, boundaries + 1):
        wrong = await faults(*await live(fatal, failing=failing))
        if wrong:
            found[fatal] = wrong
    return found


async def boundaries() -> int:
    """How many there are without a crash; an answer that is sought again after one adds some."""
    world, ended = await live()
    assert await faults(world, ended) == []
    assert ended.result.metrics.steps == 3
    return world.storm.passed


@pytest.mark.parametrize("failing", [False, True], ids=["killed", "store fails"])
async def test_a_crash_at_any_point_repeats_nothing(failing):
    count = await boundaries()
    assert count > 100
    assert await everything_that_goes_wrong(count, failing=failing) == {}


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 400), max_size=8), st.booleans())
def test_crashes_upon_crashes_repeat_nothing(fatal, failing):
    async def check() -> None:
        assert await faults(*await live(*fatal, failing=failing)) == []

    asyncio.run(check())


async def test_a_second_carrier_is_fenced_off_and_does_nothing(monkeypatch):
    """An old owner that does not know that it is one."""
    world = World(Storm())
    old = await RunBook.open(world.ledger, world.blobs, SUBJECT, 1)
    await old.begin(beginning("it", RUN, Task(spec="go"), CONFIG))
    await RunBook.open(world.ledger, world.blobs, SUBJECT, 2)
    engine = Engine(
        RUN,
        CONFIG,
        tools=tools_of(world),
        model=ScriptedModel(world.script),
        book=old,
        approvals=Approvals(world.state),
        prices=PRICES,
        ctx=Context("it", Envelope(), RUN, world),
        tool_ctx=lambda key, grant: Context("it", Envelope(), key, world),
    )
    with pytest.raises(Exception, match="not the owner"):
        await engine.carry()
    assert not world.happened


# planted bugs


def skips_the_intention(monkeypatch) -> None:
    honest = RunBook.decide

    async def decide(self, choose):
        record = choose(self.state)
        if not isinstance(record, Intended):
            return await honest(self, lambda _: record)
        self.state = fold(self.state, record)
        return record

    monkeypatch.setattr(RunBook, "decide", decide)


def runs_before_the_record(monkeypatch) -> None:
    async def run(self, one) -> None:
        tool_, key = self._tools[one.wanted.name], self._key(one)
        await self._purse.reserve(state.bill(one, ONE_CALL))
        record = clearance.intention(self._book.state, one.id, self._tools, key, None)
        outcome = await self._perform(tool_, record)
        await self._book.write(record)
        await self._close(self._book.state.call(one.id), outcome)

    monkeypatch.setattr(Caller, "_run", run)


def ignores_the_hash_of_the_decision(monkeypatch) -> None:
    async def decision(self, question):
        return (await self.ask(question)).decision

    def decided(before, record):
        same = msgspec.structs.replace(record.decision, hash=before.call(record.call).question.hash)
        return honest(before, msgspec.structs.replace(record, decision=same))

    honest = state._decided
    monkeypatch.setattr(Approvals, "decision", decision)
    monkeypatch.setattr(state, "_decided", decided)


def retries_blindly(monkeypatch) -> None:
    monkeypatch.setattr(clearance, "_interrupted", lambda *_: clearance.Run())


def keeps_the_decision_after_it_was_used(monkeypatch) -> None:
    honest = clearance.call_action

    def call_action(one, tools, allowed):
        approved = one.question is not None and one.question.about is About.APPROVAL
        return clearance.Run() if one.stage == "intended" and approved else honest(one, tools, allowed)

    monkeypatch.setattr("actorium.actors.runs.caller.call_action", call_action)


def forgets_what_it_owes(monkeypatch) -> None:
    async def nothing(self) -> None: ...

    monkeypatch.setattr(Ending, "settle_owed", nothing)


def never_undoes(monkeypatch) -> None:
    async def taken_back(self, one) -> bool:
        return True

    monkeypatch.setattr(Caller, "_taken_back", taken_back)


def gives_every_attempt_a_key_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(Caller, "_key", lambda self, one: f"{RUN}/{one.id}.{one.attempt}")


def forgets_outcomes_when_it_reads_back(monkeypatch) -> None:
    async def read(body, blobs):
        facts = await read_facts(body, blobs)
        return tuple(Undone(call=fact.call) if isinstance(fact, Done) else fact for fact in facts)

    monkeypatch.setattr("actorium.actors.runs.book.read_facts", read)


def acts_on_what_was_only_noted(monkeypatch) -> None:
    async def nothing(self) -> None: ...

    monkeypatch.setattr(RunBook, "flush", nothing)


@pytest.mark.parametrize(
    "bug",
    [
        skips_the_intention,
        runs_before_the_record,
        ignores_the_hash_of_the_decision,
        retries_blindly,
        keeps_the_decision_after_it_was_used,
        forgets_what_it_owes,
        never_undoes,
        gives_every_attempt_a_key_of_its_own,
        forgets_outcomes_when_it_reads_back,
        acts_on_what_was_only_noted,
    ],
)
async def test_a_planted_bug_is_found(bug, monkeypatch):
    count = await boundaries()
    bug(monkeypatch)
    for fatal in [*range(count + 1)] * 12:  # calls of one step go side by side, in an order that varies
        if await faults(*await live(fatal)):
            return
    pytest.fail("the check does not see it")
