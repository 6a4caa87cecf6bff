"""Runner: the carrier of workflows: an agent by the workflow's name, each of whose tasks is one run of it.

Not responsible for what a run does: see `engine.py`. Invariant: a run goes on with the definition that stands
in its own first page, whatever the agent is by then.
"""

import asyncio
import time
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from ...bus.envelope import Envelope
from ...bus.errors import ConfigError
from ...bus.subjects import agent_id
from ...bus.task import Result, Task
from ...bus.value import Json, JsonObject
from ...storage.errors import Fenced
from ..card import chain, is_owed
from ..carrier import CalledOff, Carrier, Order, Parked, Ports
from ..definition import Definition, Options
from ..errors import BadTask, cancelled
from ..runs.accounts import Accounts
from ..runs.approvals import Approvals
from ..runs.delegation import read_grant
from .beginning import beginning, forking, retrying
from .book import WorkflowBook
from .definition import Workflow
from .edition import Dags, Edition, edition
from .engine import Engine
from .errand import EXECUTE
from .hand import CourierHands
from .problem import InvalidWorkflow
from .reading import find_ended, read_state
from .record import Adopted, Closing, Started, Why
from .timeline import show

T = TypeVar("T")
KIND = "actorium.actors.workflows.runner:Runner"
FORK, RETRY = "fork_workflow", "retry_workflow"
PARALLEL = 256  # runs of one workflow carried at the same time, where nothing else is said


def deployed(workflow: Workflow, options: Options | None = None) -> Definition:
    """The agent that carries a workflow.

    Raises:
        InvalidWorkflow: It cannot work; it tells all that is wrong.
        ConfigError: Its name cannot be an agent id.
    """
    edition(workflow)
    return Definition(
        name=agent_id(workflow.name),
        kind=KIND,
        config={"workflow": msgspec.to_builtins(workflow)},
        options=options or Options(parallel=PARALLEL),
        description=workflow.description,
        skills=(workflow.name,),
    )


class Runner(Carrier):
    """Carries the runs of one workflow. Args and errors as `Carrier`."""

    def __init__(
        self,
        definition: Definition,
        ports: Ports,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(definition, ports)
        self._workflow = workflow_of(definition)
        self._approvals = Approvals(ports.state, wall)
        self._accounts = Accounts(ports.state)
        self._dags = Dags()
        self._clock = clock
        self._wall = wall
        self._books: dict[str, WorkflowBook] = {}  # of runs that began here and were not carried yet
        self._engines: dict[str, Engine] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @cached_property
    def _edition(self) -> Edition:
        """What new runs follow; live ones have their own, and go on where this one cannot work any more."""
        return edition(self._workflow)

    async def begin(self, order: Order, task: Task, envelope: Envelope) -> Result | None:
        """Write down what the run is given, and what it may spend."""
        first = await self._first(order, task, envelope)
        book = self._fresh(order)
        try:
            await book.begin(*first, seq=order.card.seq)
        except Fenced:  # it has begun, or we are not its owner any more
            book = await self._open(order)
            await book.begin(*first, seq=order.card.seq)
        if book.state.ended is not None and not is_owed(order.card, book.begun_by):
            return book.state.ended.result
        self._books[order.run] = book
        return None

    async def carry(self, order: Order) -> Result | Parked:
        """Have its steps done until there is a result, or until all that is left waits for the world."""
        async with self._turn(order):
            book = self._books.pop(order.run, None) or await self._open(order)
            if book.state.ended is not None:
                return book.state.ended.result
            engine = self._engines[order.run] = self._engine(order, book)
        try:
            ended = await engine.carry()
        finally:
            del self._engines[order.run]
        return ended.result if ended else Parked(engine.wake_at)

    def rest(self, run: str) -> None:
        """Have a run return at its next page."""
        if run in self._engines:
            self._engines[run].rest()

    def news(self, run: str) -> None:
        """Have a run look at its questions and at what rests."""
        if run in self._engines:
            self._engines[run].nudge()

    def forget(self, run: str) -> None:
        """Somebody else writes its pages from now on."""
        self._books.pop(run, None)

    async def call_off(self, order: Order, reason: str) -> CalledOff:
        """Cancel what runs, undo what is to be undone, then end the run."""
        return await self._close(order, Why.CANCELLED, cancelled(reason))

    async def fail(self, order: Order, error: str) -> Result:
        """End a run that cannot be carried on: what runs is cancelled."""
        return (await self._close(order, Why.FAULT, error)).result

    async def find(self, order: Order) -> Result | None:
        """The result of a run that ended."""
        ended = await find_ended(self.ports.ledger, self.ports.blobs, order.subject)
        return ended.result if ended else None

    async def command(self, order: Order, verb: str, told: JsonObject) -> JsonObject:
        """`signal`, `pause`, `resume`, `migrate` or `show` a run."""
        if verb == "show":
            state = await read_state(self.ports.ledger, self.ports.blobs, order.subject, dags=self._dags)
            return show(state, int(self._wall() * 1000))
        async with self._turn(order):
            return await self._tell(order, verb, told)

    async def _tell(self, order: Order, verb: str, told: JsonObject) -> JsonObject:
        engine = self._engines.get(order.run)
        if engine is None:
            self.forget(order.run)
            engine = self._engine(order, await self._open(order))
        match verb:
            case "signal":
                signal = _convert(told, _Signal)
                counts = await engine.signal(signal.name, signal.data, signal_id=signal.id, by=signal.by)
            case "pause":
                counts = await engine.pause(str(told.get("by", "")))
            case "resume":
                counts = await engine.resume(str(told.get("by", "")))
            case "migrate":
                new = edition(_convert(told.get("workflow"), Workflow)).workflow
                await engine.migrate(new)
                return {"counts": True, "definition": new.hash}
            case _:
                raise BadTask(f"{order.run}: a workflow knows no {verb!r}", run=order.run)
        return {"counts": counts}

    async def _first(self, order: Order, task: Task, envelope: Envelope) -> tuple[Started | Adopted, ...]:
        """The first page of a run: new, or going on from another one."""
        try:
            match task.action:
                case action if action in (FORK, RETRY):
                    return await self._from_another(order, action, _convert(task.spec, _Source))
                case _:
                    return (self._new(order, task, envelope),)
        except (InvalidWorkflow, ConfigError) as error:
            raise BadTask(f"{self.definition.name}: {error.message}", **error.fields) from error

    def _new(self, order: Order, task: Task, envelope: Envelope) -> Started:
        spec = task.spec if isinstance(task.spec, dict) and task.action == EXECUTE else {}
        other = spec.get("workflow_id", self.definition.name)
        if other != self.definition.name:
            raise BadTask(
                f"{self.definition.name} runs itself, and no workflow {other!r}", workflow=str(other)
            )
        return beginning(
            order.run,
            self._edition,
            inputs_of(task),
            grant=read_grant(envelope.grant),
            trigger=str(spec.get("trigger", "manual")),
            task_id=order.card.task_id,
            reply_to=order.card.reply_to,
            correlation_id=order.card.correlation_id,
        )

    async def _from_another(self, order: Order, action: str, told: "_Source") -> tuple[Started, Adopted]:
        ports, card = self.ports, order.card
        subject = f"{order.subject.rpartition('.')[0]}.{chain(card.tenant, card.agent, told.run)}"
        source = await read_state(ports.ledger, ports.blobs, subject, pages=told.page, dags=self._dags)
        new = self._edition if told.latest else None
        if action == FORK:
            return forking(order.run, source, told.page or 0, edition=new)
        return retrying(order.run, source, told.page or 0, told.step, edition=new)

    async def _close(self, order: Order, why: Why, error: str) -> CalledOff:
        """Turn a run to its end, and carry it there, however long its undoing takes."""
        async with self._turn(order):
            self._books.pop(order.run, None)
            book = await self._open(order)
            engine = self._engines[order.run] = self._engine(order, book)
        try:
            if book.state.closing is None:
                await engine.tell(Closing(why=why, error=error))
            ended = book.state.ended
            while ended is None:
                ended = await engine.carry()
                if ended is None:
                    await asyncio.sleep(_until(engine.wake_at, self._wall()))
        finally:
            del self._engines[order.run]
        return CalledOff(ended.result, tuple(engine.receipts))

    def _turn(self, order: Order) -> asyncio.Lock:
        """Held while the book of a run is opened, or written by hand: two of one run fence each other."""
        return self._turns.setdefault(order.run, asyncio.Lock())

    def _fresh(self, order: Order) -> WorkflowBook:
        ports, clock, wall, dags = self.ports, self._clock, self._wall, self._dags
        ledger, blobs = ports.ledger, ports.blobs
        return WorkflowBook.fresh(
            ledger, blobs, order.subject, order.epoch, clock=clock, wall=wall, dags=dags
        )

    async def _open(self, order: Order) -> WorkflowBook:
        ports, clock, wall, dags = self.ports, self._clock, self._wall, self._dags
        ledger, blobs = ports.ledger, ports.blobs
        return await WorkflowBook.open(
            ledger, blobs, order.subject, order.epoch, clock=clock, wall=wall, dags=dags
        )

    def _engine(self, order: Order, book: WorkflowBook) -> Engine:
        hands = CourierHands(order.card, self.ports.courier, self._clock)
        return Engine(book, hands=hands, approvals=self._approvals, accounts=self._accounts)


class _Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with a signal; the same id twice is the same signal."""

    name: str
    id: str
    data: Json = None
    by: str = ""


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """The run that another goes on from: its task id, a page or a step, whether by the newest definition."""

    run: str
    page: int | None = None
    step: str = ""
    latest: bool = False


def workflow_of(definition: Definition) -> Workflow:
    """The workflow of an agent that carries one.

    Raises:
        ConfigError: There is none, or it does not read.
    """
    try:
        return msgspec.convert(definition.config.get("workflow"), Workflow)
    except msgspec.ValidationError as error:
        raise ConfigError(f"agent {definition.name}: its workflow does not read: {error}") from error


def inputs_of(task: Task) -> JsonObject:
    """What a task gives a workflow: its inputs, or its spec where that is all there is.

    Raises:
        BadTask: It is no object of named inputs.
    """
    given = task.spec if task.inputs is None and task.action != EXECUTE else task.inputs
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise BadTask("the inputs of a workflow are a JSON object, by name")
    return given


def _convert(told: object, shape: type[T]) -> T:
    try:
        return msgspec.convert(told, shape)
    except msgspec.ValidationError as error:
        raise BadTask(f"{shape.__name__.strip('_').lower()}: {error}") from error


def _until(wake_at: float | None, now: float) -> float:
    return 1.0 if wake_at is None else min(5.0, max(0.05, wake_at - now))
