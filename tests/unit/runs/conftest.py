"""A stage for one real run: ledger, state and blobs in memory, a scripted model, a courier that is told."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from actorium.actors.context import Context
from actorium.actors.models.port import ModelRequest
from actorium.actors.models.prices import Price, Prices
from actorium.actors.models.scripted import Script, ScriptedModel
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.book import RunBook
from actorium.actors.runs.config import AgentConfig
from actorium.actors.runs.delegation import Grant
from actorium.actors.runs.engine import Engine
from actorium.actors.runs.plan import beginning
from actorium.actors.runs.reading import EPOCH
from actorium.actors.runs.record import Ended
from actorium.actors.runs.tool import Tool
from actorium.bus.envelope import Envelope
from actorium.bus.task import Metrics, Result, Status, Task
from actorium.storage.memory import MemoryBlobs, MemoryLedger, MemoryState
from actorium.storage.record import decode_record

SUBJECT = "led.7.default.run-1"
PRICES = Prices({"scripted:*": Price(input=1.0, output=10.0)})
TASK = Task(spec="Look after it")


class Office:
    """The Courier port: answers every delegation, once by its id, and keeps what it was told."""

    def __init__(self) -> None:
        self.delegated: dict[str, tuple[str, Task]] = {}
        self.grants: list[Grant] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[str, Task], Result] = lambda agent, task: Result(
            status=Status.SUCCESS,
            data=f"{agent} did it",
            metrics=Metrics(execution_time_ms=1, tokens_used=100, usd=0.25),
        )

    async def delegate(self, agent: str, task: Task, envelope: Envelope) -> Result:
        self.delegated[envelope.task_id] = (agent, task)
        await asyncio.sleep(0)  # others of the same step are given their tasks
        return self.answer(agent, task)

    async def emit(self, agent: str, kind: str, task_id: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    async def cancel(self, agent: str, task_id: str) -> bool:
        return True

    async def tell(self, agent: str, task: Task, envelope: Envelope) -> None: ...
    async def ask(self, agent: str, task: Task, envelope: Envelope) -> Result: ...
    async def spawn(self, definition: Any) -> None: ...
    async def command(self, agent: str, verb: str) -> dict[str, Any]: ...


class Stage:
    """Where a run is carried: as often as wanted, over the same records."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.state = MemoryState()
        self.blobs = MemoryBlobs()
        self.office = Office()
        self.now = 1000.0
        self.wall = 1_800_000_000.0
        self.approvals = Approvals(self.state, lambda: self.wall)
        self.accounts = Accounts(self.state, random.Random(1))
        self.prices = PRICES
        self.requests: list[ModelRequest] = []
        self.book: RunBook | None = None

    async def engine(
        self,
        script: Script,
        *tools: Tool,
        task: Task = TASK,
        grant: Grant | None = None,
        account: str = "",
        before: str = "",
        subject: str = SUBJECT,
        **config: Any,
    ) -> Engine:
        settings = msgspec.convert({"model": "scripted:script", **config}, AgentConfig)
        self.book = await RunBook.open(self.ledger, self.blobs, subject, 1, clock=lambda: self.now)
        started = beginning("it", "t-1", task, settings, grant=grant, account=account, before=before)
        await self.book.begin(started)
        run = subject.rsplit(".", 1)[-1]

        def watched(request: ModelRequest):
            self.requests.append(request)
            return script(request)

        return Engine(
            run,
            settings,
            tools={tool.spec.name: tool for tool in tools},
            model=ScriptedModel(watched),
            book=self.book,
            approvals=self.approvals,
            prices=self.prices,
            accounts=self.accounts,
            ctx=Context("it", Envelope(), "t-1", self.office),
            tool_ctx=self.tool_ctx,
            wall=lambda: self.wall,
        )

    def tool_ctx(self, key: str, grant: Grant | None) -> Context:
        if grant is not None:
            self.grants.append(grant)
        return Context("it", Envelope(), key, self.office)

    @property
    def grants(self) -> list[Grant]:
        return self.office.grants

    async def carry(self, script: Script, *tools: Tool, **config: Any) -> Ended | None:
        return await (await self.engine(script, *tools, **config)).carry()

    async def answer(self, verdict: Verdict, **more: Any) -> None:
        """Answer the one open question."""
        (pending,) = await self.approvals.list()
        question = pending.question
        await self.approvals.answer(
            question.id, Decision(verdict=verdict, hash=question.hash, by="ann", **more)
        )

    async def kinds(self, subject: str = SUBJECT) -> list[str]:
        """What stands, fact by fact, with the epochs of later owners."""
        return [kind for record in await self.records(subject) for kind in record]

    async def records(self, subject: str = SUBJECT) -> list[list[str]]:
        """What stands, record by record."""
        return [
            [fact["type"] for fact in (record.body or {}).get("facts", [record.body])]
            if record.kind != EPOCH
            else [EPOCH]
            for record in [decode_record(entry.value) async for entry in self.ledger.read(subject)]
        ]


@pytest.fixture
def stage() -> Stage:
    return Stage()
