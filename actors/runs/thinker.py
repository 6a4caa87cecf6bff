"""Thinker: the carrier of agents that think: a run is the durable loop of plan, act, observe and decide.

Not responsible for the loop: see `engine.py`. Invariant: a run goes on with the definition it began with,
whatever the agent is by then.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from ...bus.envelope import Envelope
from ...bus.errors import ActoriumError, ConfigError
from ...bus.task import Result, Task
from ...bus.value import JsonObject
from ...storage.errors import Fenced
from ..card import is_owed
from ..carrier import CalledOff, Carrier, Order, Parked, Ports
from ..context import Context, child_id
from ..definition import Definition
from ..errors import BadTask
from ..receipt import Receipt
from .accounts import Accounts
from .agent_tool import PREFIX, agent_tool
from .approvals import Approvals
from .book import RunBook
from .budget import Budget
from .call import Call, Stage
from .config import AgentConfig, read_config
from .delegation import LONGEST, Grant, delegate_of, read_grant
from .ending import Ending
from .engine import Engine
from .objectives import Objectives
from .order import ordered
from .pins import Pins
from .plan import beginning
from .purse import Purse
from .record import Ended
from .tool import Tool, find_tool
from .voice import Voice


class Thinker(Carrier):
    """Carries the runs of one agent. Args and errors as `Carrier`."""

    loses_when_cut = True

    def __init__(
        self,
        definition: Definition,
        ports: Ports,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(definition, ports)
        self._config = read_config(definition.name, definition.config)
        self._approvals = Approvals(ports.state, wall)
        self._accounts = Accounts(ports.state)
        self._objectives = Objectives(ports.state)
        self._pins = Pins(ports.state)
        self._clock = clock
        self._wall = wall
        self._books: dict[str, RunBook] = {}  # of runs that began here and were not carried yet
        self._engines: dict[str, Engine] = {}
        self._summaries: dict[str, tuple[Task, str]] = {}  # of runs that ended here, until they were told
        self._ending: set[str] = set()  # what they delegated shall end with them

    async def begin(self, order: Order, task: Task, envelope: Envelope) -> Result | None:
        """Write down what the run is to do, and what it may spend."""
        grant, _ = read_grant(envelope.grant), ordered(task)
        before = await self._objectives.before(order.card, task)
        await self._pins.pin(self._config)
        card, ports = order.card, self.ports
        started = beginning(
            card.agent,
            card.task_id,
            task,
            self._config,
            grant=grant,
            before=before,
            parent=card.giver,
            at_ms=card.at_ms,
            seconds=None if envelope.deadline is None else max(0.0, envelope.deadline - self._clock()),
        )
        book = RunBook.fresh(ports.ledger, ports.blobs, order.subject, order.epoch, clock=self._clock)
        try:
            await book.begin(started, card.seq)
        except Fenced:  # it has begun, or we are not its owner any more
            book = await self._open(order)
            await book.begin(started, card.seq)
        if book.state.ended is not None and not is_owed(card, book.begun_by):
            return book.state.ended.result
        self._books[order.run] = book
        return None

    async def carry(self, order: Order) -> Result | Parked:
        """Think, act and observe, until there is a result or everything left waits for people."""
        book = self._books.pop(order.run, None) or await self._open(order)
        if book.state.ended is None:
            ctx = self._ctx(order)
            async with Voice(ctx) as voice:
                engine = await self._engine(order, book, ctx, voice)
                self._engines[order.run] = engine
                try:
                    await engine.carry()
                finally:
                    del self._engines[order.run]
        ended = book.state.ended
        if ended is None:
            return Parked()
        if book.state.started is not None:
            self._summaries[order.run] = (book.state.started.task, ended.summary)
        return ended.result

    async def told(self, order: Order) -> None:
        """Keep what the next run of the same objective is told."""
        kept = self._summaries.pop(order.run, None)
        if kept is not None:
            await self._objectives.keep(order.card, *kept)

    def rest(self, run: str) -> None:
        """Have a run return at its next step."""
        if run in self._engines:
            self._engines[run].rest()

    def news(self, run: str) -> None:
        """Have a run look at its questions and at what rests."""
        if run in self._engines:
            self._engines[run].nudge()

    def cancelling(self, run: str) -> None:
        """What its tools delegated by themselves is cancelled with them."""
        self._ending.add(run)

    def forget(self, run: str) -> None:
        """Somebody else writes its records from now on."""
        self._books.pop(run, None)

    async def call_off(self, order: Order, reason: str) -> CalledOff:
        """Cancel what it delegated, then the run itself."""
        self._books.pop(order.run, None)
        book = await self._open(order)
        children = await asyncio.gather(
            *(self._cancel_child(order, *one) for one in self._children(order, book))
        )
        ended = await (await self._end(order, book)).cancel(reason)
        self._ending.discard(order.run)
        return CalledOff(_result(order, ended), tuple(children))

    async def fail(self, order: Order, error: str) -> Result:
        """End a run that cannot be carried on."""
        self._books.pop(order.run, None)
        book = await self._open(order)
        return _result(order, await (await self._end(order, book)).fail(error))

    async def find(self, order: Order) -> Result | None:
        """The result of a run that ended."""
        ended = await RunBook.ended(self.ports.ledger, self.ports.blobs, order.subject)
        return ended.result if ended else None

    async def command(self, order: Order, verb: str, told: JsonObject) -> JsonObject:
        """A run of a thinking agent can be woken and cancelled, and nothing else."""
        raise BadTask(f"{order.run}: a thinking agent knows no {verb!r}", run=order.run, told=str(told))

    async def _open(self, order: Order) -> RunBook:
        ports = self.ports
        return await RunBook.open(ports.ledger, ports.blobs, order.subject, order.epoch, clock=self._clock)

    async def _engine(self, order: Order, book: RunBook, ctx: Context, voice: Voice) -> Engine:
        config = await self._config_of(book)
        return Engine(
            order.run,
            config,
            tools=tools_of(config),
            model=self.ports.models.chain([config.model, *config.fallback]),
            book=book,
            approvals=self._approvals,
            prices=self.ports.prices,
            accounts=self._accounts,
            ctx=ctx,
            tool_ctx=lambda key, grant: self._tool_ctx(order, book, key, grant),
            voice=voice,
            wall=self._wall,
        )

    async def _config_of(self, book: RunBook) -> AgentConfig:
        started = book.state.started
        if started is None:
            raise ConfigError("the run never began")
        return (
            self._config
            if started.definition == self._config.hash
            else await self._pins.find(started.definition)
        )

    async def _end(self, order: Order, book: RunBook) -> Ending:
        account = book.state.started.account if book.state.started else ""
        purse = Purse(order.run, self.ports.prices, self._accounts, account)
        return Ending(book, purse, self._approvals, self._ctx(order))

    def _children(self, order: Order, book: RunBook) -> list[tuple[str, str]]:
        """Agent and task of everything that was delegated and has not returned."""
        found = []
        for call in book.state.open_calls:
            if call.grant is not None and call.stage is Stage.INTENDED:
                agent = delegate_of(call.wanted.name, call.arguments)
                found.append((agent, child_id(_key(order, call), 1)))
        return found

    async def _cancel_child(self, order: Order, agent: str, task_id: str) -> Receipt:
        try:
            return await self.ports.courier.cancel(agent, task_id, f"{order.run} was cancelled")
        except ActoriumError as error:
            return Receipt(agent=agent, task_id=task_id, cancelled=False, error=error.message)

    def _ctx(self, order: Order) -> Context:
        """Of the run itself: its events are those of its task."""
        return Context(
            order.card.agent, Envelope(), order.card.task_id, self.ports.courier, tenant=order.card.tenant
        )

    def _tool_ctx(self, order: Order, book: RunBook, key: str, grant: Grant | None) -> Context:
        """Of one call: what it says has ids made of its key, and goes out in the name of the run."""
        card, deadline = order.card, None
        if grant is not None:
            seconds = grant.budget.seconds
            deadline = self._clock() + (LONGEST if seconds is None else seconds)
        template = Envelope(
            correlation_id=card.correlation_id or card.task_id,
            parent_run=card.task_id,
            traceparent=card.traceparent,
            grant=msgspec.json.encode(grant or _rights(book)).decode(),
            wakes=card.agent if grant is not None else "",
        )
        return Context(
            card.agent,
            Envelope(deadline=deadline),
            key,
            self.ports.courier,
            tenant=card.tenant,
            repeated=lambda: order.run not in self._ending,
            template=template,
        )


def tools_of(config: AgentConfig) -> dict[str, Tool]:
    """The tools of an agent, by name.

    Raises:
        ConfigError: One is not there, or two have one name.
    """
    found: dict[str, Tool] = {}
    for path in config.tools:
        tool = agent_tool(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else find_tool(path)
        if tool.spec.name in found:
            raise ConfigError(
                f"two tools are called {tool.spec.name}: rename one with @tool(name=...)", tool=path
            )
        found[tool.spec.name] = tool
    return found


def _rights(book: RunBook) -> Grant:
    """What goes along with what a tool delegates by itself: no wider rights, and the same account."""
    state = book.state
    depth = max(0, state.budget.depth - 1)
    budget = Budget(steps=None, tool_calls=None, seconds=None, depth=depth)
    return Grant(budget=budget, risk=state.risk, account=state.started.account if state.started else "")


def _key(order: Order, call: Call) -> str:
    return f"{order.run}/{call.id}"


def _result(order: Order, ended: Ended | None) -> Result:
    if ended is None:
        raise ConfigError(f"{order.run} has no end")
    return ended.result
