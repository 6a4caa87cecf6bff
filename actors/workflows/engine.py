"""Engine: carries one workflow run, doing what `plan.py` says and writing each thing down before and after.

Not responsible for deciding, nor for when a run is carried. Invariant: what stands as running is delegated,
and nothing else is: after a crash the same tasks are given again under the same keys, and happen once.
"""

import asyncio
import random
from collections.abc import Iterable

from ...bus.errors import ConfigError
from ...bus.value import Json
from ..errors import cancelled
from ..receipt import Receipt
from ..runs.accounts import Accounts
from ..runs.approvals import Approvals
from . import plan
from .alarm import Alarm
from .book import WorkflowBook
from .branch import Place
from .definition import Workflow
from .delegations import Delegations
from .errand import account_of
from .fact import Asked, Decided, Scheduled, Stopped, UndoScheduled
from .migration import migrated
from .news import news
from .port import Hands
from .putting_off import can_be_put_off
from .record import Closing, Ended, Paused, Resumed, Signalled, Why, WorkflowFact
from .repins import Repins
from .requests import Requests
from .setback import settled

LOOK = 60.0  # seconds after which it looks again: at the wall clock, which may be set, and at answers
BREATH = 0.002  # seconds that a page waits for a pure step to end
LONGEST_PUT_OFF = 0.01  # seconds that it waits at most
PATIENCE = 1.0  # seconds it waits by itself for a moment to come; for a later one it rests


class Engine:
    """Carries one run that has begun.

    Args:
        book: Its pages, the first of which stands: see `WorkflowBook.begin`.
        hands: Who does the work of its steps.
        approvals: Where people are asked.
        accounts: Shared budgets, where the run has one.
        rng: For the jitter of retries.
        patience: Seconds it waits in place for a timer when nothing else is under way.

    Attributes:
        receipts: What became of the tasks it cancelled.

    Raises:
        ConfigError: The run has not begun, or pays from an account and no accounts are given.
    """

    def __init__(
        self,
        book: WorkflowBook,
        *,
        hands: Hands,
        approvals: Approvals,
        accounts: Accounts | None = None,
        rng: random.Random | None = None,
        patience: float = PATIENCE,
    ) -> None:
        started = book.state.started
        if started is None:
            raise ConfigError("the run has not begun: write its first page with WorkflowBook.begin")
        if started.account and accounts is None:
            told = f"{started.run} pays from account {started.account}, and no accounts are given"
            raise ConfigError(told, run=started.run)
        self.receipts: list[Receipt] = []
        self._started = started
        self._book = book
        self._hands = hands
        self._approvals = approvals
        self._accounts = accounts
        self._rng = rng or random.Random()
        self._patience = patience
        self._woken = asyncio.Event()
        self._under_way = Delegations(book, hands, self._woken)
        self._requests = Requests()
        self._repins = Repins()
        self._writing = asyncio.Lock()
        self._alarm = Alarm(self.nudge)
        self._carried = False
        self._leaving = False
        self._look = True
        self._write_by: float | None = None  # of the loop's clock: a page that was put off is written by then

    @property
    def wake_at(self) -> float | None:
        """Wall clock, seconds since 1970, at which a run that rests goes on by itself; None: when woken."""
        due = plan.next_due(self._book.state, self._book.now_ms)
        return None if due is None else due / 1000

    async def carry(self) -> Ended | None:
        """Go on until the run ends, or until all that is left waits for people, signals or time (None).

        Cancellation: open the book again and carry on: what was under way is found under its key.

        Raises:
            Fenced: A newer owner carries the run.
            StorageError: Pages, questions or accounts cannot be kept; open the book again.
        """
        async with self._writing:
            self._carried = True
        self._look, self._leaving = True, False
        try:
            self._book.take_up()
            await self._open_account()
            async with asyncio.TaskGroup() as group:
                try:
                    return await self._go_on(group)
                finally:
                    self._under_way.let_go()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._carried = False
            self._alarm.stop()
            self._requests.disappoint(over=self._book.state.ended is not None)
            self._repins.disappoint()

    async def cancel(self, reason: str = "") -> Ended | None:
        """End the run: what runs is cancelled, and undone where its definition says so. Idempotent.

        Returns:
            The end; None where it is carried by somebody who will return it, or an undo waits for its time.

        Raises: As `carry`.
        """
        await self.tell(Closing(why=Why.CANCELLED, error=cancelled(reason)))
        return self._book.state.ended if self._carried else await self.carry()

    async def signal(self, name: str, data: Json = None, *, signal_id: str, by: str = "") -> bool:
        """Send a signal: it stands when this returns, and the same one again is the same signal.

        Returns:
            Whether it counts: a run that is over takes none.
        """
        return await self.tell(Signalled(name=name, id=signal_id, data=data, by=by))

    async def pause(self, by: str = "") -> bool:
        """Begin nothing more until `resume`; what runs goes on. Returns as `signal`."""
        return await self.tell(Paused(by=by))

    async def resume(self, by: str = "") -> bool:
        """Go on after a pause. Returns as `signal`."""
        return await self.tell(Resumed(by=by))

    async def migrate(self, workflow: Workflow) -> None:
        """Go on with another definition, which was checked: it stands when this returns. Idempotent.

        Raises:
            Incompatible: What the run did already does not fit it; it goes on with its own.
            StoreUnavailable: It may stand or not; say it again.
            Fenced: A newer owner carries the run.
        """
        if self._carried:
            stands = self._repins.add(workflow)
            self._woken.set()
            await stands
            return
        async with self._writing:
            await self._book.repin(workflow, migrated)

    async def tell(self, fact: WorkflowFact) -> bool:
        """Have a fact from outside written; when this returns it stands. It does not carry the run.

        Returns:
            Whether it counts: of a run that is over nothing more is written.

        Raises:
            StoreUnavailable: It may stand or not; say it again.
            Fenced: A newer owner carries the run.
        """
        if self._carried:
            stands = self._requests.add(fact)
            self._woken.set()
            return await stands
        async with self._writing:
            if self._book.state.ended is None:
                self._book.say(fact)
                await self._book.write()
                return True
            return False

    def nudge(self) -> None:
        """There is news of a question, or of a task that waited for people: look again."""
        self._look = True
        self._woken.set()

    def rest(self) -> None:
        """Have `carry` return as soon as what it writes stands; what is under way goes on without it."""
        self._leaving = True
        self._woken.set()

    async def _go_on(self, group: asyncio.TaskGroup) -> Ended | None:
        book, under_way = self._book, self._under_way
        under_way.begin(group, self._running())
        while True:
            self._woken.clear()
            if self._look:
                await self._look_again(group)
            counts = self._say()
            if await self._put_off(group):
                continue
            stood = await book.write()
            self._requests.answer(counts=counts)
            if await self._repins.carry_out(book):
                self._woken.set()
            under_way.begin(group, self._begun(stood), first=book.begun_here)
            await self._publish(stood)
            if book.state.ended is not None:
                await self._wrap_up()
                return book.state.ended
            if self._leaving:
                return None
            if self._halts():
                await self._halt()
            elif not await self._wait():
                await self._hands.emit("paused")
                return None

    def _say(self) -> bool:
        """Say all that can be said now. Returns whether what others asked for counts."""
        book, state = self._book, self._book.state
        asked, counts = self._requests.take(), state.ended is None
        if counts:
            book.say(*asked)
        self._take_outcomes()
        now_ms, elapsed = book.now_ms, book.elapsed
        while facts := plan.next_facts(state, now_ms, elapsed=elapsed):
            book.say(*facts)
        return counts

    async def _put_off(self, group: asyncio.TaskGroup) -> bool:
        """Put the page off while pure steps of it end at once: they and what follows stand in one page.

        False: it is to be written now.
        """
        book, now = self._book, asyncio.get_running_loop().time()
        if not book.begun_here or not can_be_put_off(book.state, said := book.said):
            self._write_by = None
            return False
        self._write_by = now + LONGEST_PUT_OFF if self._write_by is None else self._write_by
        self._under_way.begin_at_once(group, self._begun(said))
        timer = asyncio.get_running_loop().call_at(min(now + BREATH, self._write_by), self._woken.set)
        await self._woken.wait()
        timer.cancel()
        if self._under_way.ended and asyncio.get_running_loop().time() < self._write_by:
            return True
        self._write_by = None
        return False

    def _take_outcomes(self) -> None:
        book = self._book
        for place, result in self._under_way.take():
            if place in book.state.agenda.running:
                book.say(*settled(book.state, place, result, book.now_ms, self._rng.random()))

    def _running(self) -> list[Place]:
        """What is to be under way: while a run closes, only what is being undone."""
        state = self._book.state
        return [place for place in state.agenda.running if state.closing is None or place.undo]

    def _begun(self, stood: Iterable[WorkflowFact]) -> list[Place]:
        """What a page says is to be under way from now on."""
        begun = (
            Place(fact.step, fact.item, undo=isinstance(fact, UndoScheduled))
            for fact in stood
            if isinstance(fact, Scheduled | UndoScheduled)
        )
        closing, running = self._book.state.closing, self._book.state.agenda.running
        return [place for place in begun if place in running and (closing is None or place.undo)]

    def _halts(self) -> bool:
        """Whether something runs that shall not any more."""
        state = self._book.state
        return state.closing is not None and any(not place.undo for place in state.agenda.running)

    async def _halt(self) -> None:
        """Cancel what runs; what had ended before it was cancelled has ended."""
        running = [place for place in self._book.state.agenda.running if not place.undo]
        self.receipts += await self._under_way.cancel(running)
        self._take_outcomes()
        for place in running:
            if place in self._book.state.agenda.running:
                self._book.say(Stopped(step=place.step, item=place.item))

    async def _wait(self) -> bool:
        """Wait until something may go on. False: it is nothing that this process would wait for."""
        book = self._book
        now_ms = book.now_ms
        due = plan.next_due(book.state, now_ms)
        left = LOOK if due is None else (due - now_ms) / 1000
        if self._woken.is_set():
            return True
        if not self._under_way.busy and (due is None or left > self._patience):
            return False
        self._alarm.set(min(left, LOOK))
        await self._woken.wait()
        return True

    async def _look_again(self, group: asyncio.TaskGroup) -> None:
        """Take in what people answered, and see whether those that waited for people still do."""
        self._look = False
        state = self._book.state
        self._under_way.begin(group, self._under_way.take_resting())
        over = state.closing is not None or state.ended is not None
        for step_id in [] if over else list(state.agenda.asked):
            question = state.steps[step_id].question
            decision = await self._approvals.decision(question) if question else None
            if decision is not None:
                self._book.say(Decided(step=step_id, decision=decision))

    async def _publish(self, stood: tuple[WorkflowFact, ...]) -> None:
        """Ask what is to be asked, and tell what happened."""
        for fact in stood:
            if isinstance(fact, Asked):
                await self._approvals.ask(fact.question)
            elif isinstance(fact, Decided) and (question := self._book.state.steps[fact.step].question):
                await self._approvals.collected(question)
        for kind, data in news(self._book.state, stood):
            await self._hands.emit(kind, **data)

    async def _open_account(self) -> None:
        started = self._started
        if self._accounts is not None and started.account == account_of(started.run):
            await self._accounts.open(started.account, started.budget)

    async def _wrap_up(self) -> None:
        """Leave nobody asked of a run that is over. Idempotent."""
        for step in self._book.state.steps.values():
            if step.question is not None and step.decision is None:
                await self._approvals.withdraw(step.question)
