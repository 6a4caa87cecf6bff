"""Activation: one actor alive on its owner: its mailbox, its start and stop, and what follows a failure.

Not responsible for what is done with a letter (`handling.py`), nor for where letters come from or go to: that
is its `Post`. Invariant: one letter is in hand at a time, and none is lost: each is settled or given back.
"""

import asyncio
import time
from collections.abc import Callable

from ..bus.errors import ActoriumError
from ..bus.task import AgentStatus, Result
from .definition import Definition
from .errors import ActorStopped, HandlerFailed
from .handling import Handling
from .ledger import ActorLedger
from .mailbox import Mailbox
from .outcome import Interrupt, Tally, failure
from .port import Behaviour, Letter, Post

GLANCE = 0.25  # seconds between two looks at whether waiting still makes sense
GRACE = 2.0  # seconds a letter in hand gets when its actor is stopped
PARKED = frozenset({AgentStatus.STOPPED, AgentStatus.ERROR})


class Activation:
    """One live actor. Everything runs on the event loop of its owner.

    Args:
        definition: What it is.
        behaviour: Where its code runs.
        ledger: Its records, opened in the owner's epoch.
        post: How letters are settled.
        clock: Monotonic seconds.
    """

    __slots__ = (
        "_clock", "_cut", "_handling", "_held", "_instance", "_ledger", "_mailbox", "_post", "_resting",
        "_searching", "_task", "_turn", "_why", "born", "definition", "fault", "last_activity",
    )  # fmt: skip

    def __init__(
        self,
        definition: Definition,
        behaviour: Behaviour,
        ledger: ActorLedger,
        post: Post,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.definition = definition
        self.born = self.last_activity = clock()
        self.fault: ActoriumError | None = None
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._handling = Handling(definition, behaviour, ledger, post, clock)
        self._cut = self._handling.cut
        self._instance = self._handling.instance
        self._mailbox: Mailbox[Letter] = Mailbox(definition.options.mailbox)
        self._resting, self._why = definition.resting, definition.given_up
        self._task: asyncio.Task[None] | None = None
        self._held = False  # no further letter is taken
        self._searching = False
        self._turn = 0  # counts stops and restarts: what began before one must not go on after it

    @property
    def status(self) -> AgentStatus:
        """What it is doing."""
        return AgentStatus.BUSY if self._handling.trying else self._resting

    @property
    def tally(self) -> Tally:
        """What it did since it came alive."""
        return self._handling.tally

    @property
    def current_task(self) -> str | None:
        """The id of the task it is handling."""
        current = self._handling.current
        return current.task_id if current else None

    @property
    def waiting(self) -> int:
        """Letters in its mailbox."""
        return len(self._mailbox)

    @property
    def engaged(self) -> bool:
        """Whether a letter is in hand that is not tried again when it is cut short."""
        current = self._handling.current
        return current is not None and current.envelope.once

    @property
    def idle(self) -> bool:
        """Whether it may leave memory."""
        return not (self.waiting or self._handling.current or self._resting in PARKED)

    def recall(self, task_id: str) -> Result | None:
        """The result of a task it finished and remembers."""
        found = self._ledger.progress.finished.get(task_id)
        return found.result if found else None

    def has(self, task_id: str) -> bool:
        """Whether a task waits or runs here."""
        return any(letter.task_id == task_id for letter in self._here())

    async def search(self, task_id: str) -> Result | None:
        """The result of a task it finished, however long ago; None: it waits, it runs, or it never was here.

        Reads the whole ledger for what it does not remember, one search at a time; another finds nothing yet.
        """
        found = self.recall(task_id)
        if found or self._searching or self.has(task_id):
            return found
        self._searching = True
        try:
            return await self._ledger.find(task_id)
        finally:
            self._searching = False

    async def start(self) -> None:
        """Nothing yet: its first letter makes the instance, and a process that dies of that is counted."""

    def offer(self, letter: Letter) -> None:
        """Queue a letter; a stopped actor refuses an ask at once and keeps a stored letter.

        Raises:
            MailboxFull: It is an ask and the mailbox holds its bound.
        """
        if letter.seq:
            self._mailbox.put_anyway(letter)
        elif self._resting in PARKED:
            self._refuse(letter)
        else:
            self._mailbox.put_nowait(letter)
        self.wake()

    def wake(self) -> None:
        """Make sure that the mailbox is being drained."""
        ready = self.fault is None and not self._held and self._resting not in PARKED
        if self._task is None and ready and len(self._mailbox):
            self._task = self._post.spawn(self._drain())

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task that waits or runs here; False where there is none of that id, or it ended before.

        When this returns it stands: no later owner runs a stored task. Raises StorageError: it is not known.
        """
        letter = next((letter for letter in self._here() if letter.task_id == task_id), None)
        if letter is None or (letter.seq and not await self._ledger.cancelled(letter.seq, task_id)):
            return False
        if self._handling.trying and letter is self._handling.current and not letter.cancelled:
            self._cut.now()
        letter.cancelled = True
        return True

    async def halt(self, status: AgentStatus = AgentStatus.STOPPED, grace: float = GRACE) -> None:
        """Finish the letter in hand, call `on_stop`, refuse asks, keep stored letters for a `restart`.

        Args:
            grace: Seconds the letter in hand gets; then it is cut short, and repeated after a restart.
        """
        await self._quiet(grace)
        await self._instance.end()
        self._park(status)

    async def restart(self, grace: float = GRACE) -> None:
        """Finish the letter in hand, then go on with a fresh instance and the last durable state."""
        await self._quiet(grace)
        turn = self._turn
        await self._instance.end()
        self._resting = AgentStatus.IDLE
        crash = await self._instance.begin(self._ledger.progress.state)
        if crash is not None:
            await self._recover(str(crash))
        if turn == self._turn:
            self._held = False
            self.wake()

    async def retire(self, grace: float = GRACE) -> list[Letter]:
        """Finish the letter in hand, call `on_stop`, and give back what waits, in order."""
        await self._quiet(grace)
        if self._resting not in PARKED:
            await self._instance.end()
        return self._give_back()  # the one in hand too, where its record failed meanwhile

    def abandon(self) -> list[Letter]:
        """Stop at once without settling anything, and give back what was not settled, in order."""
        self._handling.gone = True
        if self._task is not None:
            self._task.cancel()
        self._instance.discard()
        return self._give_back()

    def _give_back(self) -> list[Letter]:
        letters = self._here()
        self._mailbox.take_all()
        return letters

    def _here(self) -> list[Letter]:
        """The letter in hand, and those that wait."""
        current = self._handling.current
        return [current, *self._mailbox] if current else [*self._mailbox]

    async def _quiet(self, grace: float) -> None:
        """Take no further letter, and wait until the one in hand is settled, or cut short after its grace.

        What is being written is waited for: two activations must not write at once. A backoff is not.
        """
        self._held = True
        self._turn += 1
        task = self._task
        if task is None:
            return
        until = self._clock() + grace
        while (current := self._handling.current) and not task.done() and not self._post.hopeless(current):
            left = until - self._clock()
            if left <= 0:
                break
            await asyncio.wait([task], timeout=min(left, GLANCE))
        self._cut.over = True
        self._cut.now()
        await asyncio.wait([task])
        self._cut.over = False

    def _park(self, status: AgentStatus, why: str = "") -> None:
        self._resting, self._why = status, why
        self._held = False
        for letter in self._mailbox.take_all():
            if letter.seq:
                self._mailbox.put_anyway(letter)
            else:
                self._refuse(letter)

    def _refuse(self, letter: Letter) -> None:
        if letter.reply is not None:
            name = self.definition.name
            said = f"was given up: {self._why}" if self._why else "is stopped"
            hint = f"agent {name!r} {said}; actorium agent restart {name}"
            self._post.spawn(letter.reply(failure(ActorStopped(hint, agent=name))))

    async def _drain(self) -> None:
        try:
            while not self._held and self._resting not in PARKED:
                if not len(self._mailbox):
                    await asyncio.sleep(0)  # who was answered may go on: a turn costs less than a new task
                letter = self._mailbox.take_nowait()
                if letter is None:
                    break
                await self._take(letter)
        except ActoriumError as error:
            self._give_up(error)
        except asyncio.CancelledError:
            if self._handling.ours():
                raise
            self._give_up(HandlerFailed("cancelled by code of an earlier turn", agent=self.definition.name))
        finally:
            self._task = None

    def _give_up(self, error: ActoriumError) -> None:
        """Have the activation made anew; an ask in hand is told at once, for it may have run."""
        current = self._handling.current
        if current is not None and current.reply is not None:
            self._handling.current = None
            self._post.spawn(current.reply(failure(error)))
        self.fault = error
        self._post.faulted(error)

    async def _take(self, letter: Letter) -> None:
        try:
            failed = await self._handling.handle(letter)
        except Interrupt:
            self._handling.current = None
            self._mailbox.put_back(letter)
            return
        if failed is not None:
            if failed.again:
                self._mailbox.put_back(letter)
            await self._recover(failed.error)
        self.last_activity = self._clock()

    async def _recover(self, error: str) -> None:
        """After a failure: do what the supervisor says, until an instance lives or none shall."""
        turn = self._turn
        while True:
            self.tally.restarts += 1
            self._instance.discard()
            try:
                with self._cut:
                    directive = await self._post.supervise(self.definition, error)
                    await asyncio.sleep(directive.delay if directive.restart else 0.0)
            except Interrupt:
                return
            if turn != self._turn:
                return  # somebody stopped or restarted it meanwhile
            if not directive.restart:
                self._park(AgentStatus.ERROR, directive.reason)
                await self._post.event("stopped", "", reason=directive.reason, error=error)
                return
            await self._post.event("restarted", "", error=error, delay=directive.delay)
            if self.waiting:
                return  # the turn of the first that waits makes it, and counts what dies of that
            crash = await self._instance.begin(self._ledger.progress.state)
            if crash is None:
                return
            error = str(crash)
