"""Activation: one actor alive on its owner, handling its mailbox one letter at a time.

Not responsible for where letters come from or go to: that is its `Post`. Invariant: a stored letter is
settled only after the record of its outcome stands, and an attempt runs only after the record of its start.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TypeVar

from ..bus.codec import read_task
from ..bus.errors import ActoriumError, BadMessage, DeadlineExceeded
from ..bus.task import AgentStatus, Result, Status
from .definition import Definition, Isolation
from .errors import ActorStopped, BadTask, Cancelled, HandlerFailed, Reject, Undeliverable, Unread
from .ledger import ActorLedger
from .mailbox import Mailbox
from .outcome import Crash, Interrupt, Tally, failure
from .port import Behaviour, Letter, Outcome, Post
from .progress import Bury, Doubt, Repeat, Run, judge

T = TypeVar("T")
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
        "_behaviour", "_clock", "_current", "_cut", "_gone", "_held", "_interruptible", "_ledger", "_mailbox",
        "_post", "_searching", "_task", "_turn", "born", "definition", "fault", "last_activity", "status",
        "tally",
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
        self.status = AgentStatus.STOPPED if definition.stopped else AgentStatus.IDLE
        self.tally = Tally()
        self.born = self.last_activity = clock()
        self.fault: ActoriumError | None = None
        self._behaviour = behaviour
        self._ledger = ledger
        self._post = post
        self._clock = clock
        self._mailbox: Mailbox[Letter] = Mailbox(definition.options.mailbox)
        self._task: asyncio.Task[None] | None = None
        self._current: Letter | None = None
        self._interruptible = False  # the drain may be cut short by a stop right now
        self._held = False  # no further letter is taken
        self._cut = False  # the grace is over: nothing that could be cut short begins any more
        self._gone = False  # somebody else owns it: he makes the attempt again
        self._searching = False
        self._turn = 0  # counts stops and restarts: what began before one must not go on after it

    @property
    def current_task(self) -> str | None:
        """The id of the task it is handling."""
        return self._current.task_id if self._current else None

    @property
    def waiting(self) -> int:
        """Letters in its mailbox."""
        return len(self._mailbox)

    @property
    def idle(self) -> bool:
        """Whether it may leave memory."""
        return not (self.waiting or self._current or self.status in PARKED)

    def recall(self, task_id: str) -> Result | None:
        """The result of a task it finished and remembers."""
        found = self._ledger.progress.finished.get(task_id)
        return found.result if found else None

    async def search(self, task_id: str) -> Result | None:
        """The result of a task it finished, however long ago; None: it waits, it runs, or it never was here.

        Reads the whole ledger for what it does not remember, one search at a time; another finds nothing yet.
        """
        found = self.recall(task_id)
        here = [self._current, *self._mailbox]
        if found or self._searching or any(letter and letter.task_id == task_id for letter in here):
            return found
        self._searching = True
        try:
            return await self._ledger.find_task(task_id)
        finally:
            self._searching = False

    async def start(self) -> None:
        """Make the instance, unless the agent is stopped; one that cannot start is supervised."""
        if self.status not in PARKED:
            await self._begin()

    def offer(self, letter: Letter) -> None:
        """Queue a letter; a stopped actor refuses an ask at once and keeps a stored letter.

        Raises:
            MailboxFull: It is an ask and the mailbox holds its bound.
        """
        if letter.seq:
            self._mailbox.put_anyway(letter)
        elif self.status in PARKED:
            self._refuse(letter)
        else:
            self._mailbox.put_nowait(letter)
        self.wake()

    def wake(self) -> None:
        """Make sure that the mailbox is being drained."""
        ready = self.fault is None and not self._held and self.status not in PARKED
        if self._task is None and ready and len(self._mailbox):
            self._task = self._post.spawn(self._drain())

    def cancel(self, task_id: str) -> bool:
        """Cancel a task that waits or runs here; False where there is none of that id."""
        current = self._current
        if current is not None and current.task_id == task_id:
            if self.status is AgentStatus.BUSY and not current.cancelled and self._task is not None:
                self._task.cancel()
            current.cancelled = True
            return True
        for letter in self._mailbox:
            if letter.task_id == task_id:
                letter.cancelled = True
                return True
        return False

    async def halt(self, status: AgentStatus = AgentStatus.STOPPED, grace: float = GRACE) -> None:
        """Finish the letter in hand, call `on_stop`, refuse asks, keep stored letters for a `restart`.

        Args:
            grace: Seconds the letter in hand gets; then it is cut short, and repeated after a restart.
        """
        await self._quiet(grace)
        await self._attempt_code(self._behaviour.stop())
        self._park(status)

    async def restart(self, grace: float = GRACE) -> None:
        """Finish the letter in hand, then go on with a fresh instance and the last durable state."""
        await self._quiet(grace)
        turn = self._turn
        await self._attempt_code(self._behaviour.stop())
        self.status = AgentStatus.IDLE
        await self._begin()
        if turn == self._turn:
            self._held = self._cut = False
            self.wake()

    async def retire(self, grace: float = GRACE) -> list[Letter]:
        """Finish the letter in hand, call `on_stop`, and give back what waits, in order."""
        await self._quiet(grace)
        if self.status not in PARKED:
            await self._attempt_code(self._behaviour.stop())
        unsettled = [self._current] if self._current else []  # its record failed meanwhile
        return [*unsettled, *self._mailbox.take_all()]

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
        while self._current is not None and not task.done() and not self._post.hopeless(self._current):
            left = until - self._clock()
            if left <= 0:
                break
            await asyncio.wait([task], timeout=min(left, GLANCE))
        self._cut = True
        if self._interruptible:
            task.cancel()
        await asyncio.wait([task])

    @contextmanager
    def _cuttable(self) -> Iterator[None]:
        """Within, a stop whose grace is over raises Interrupt."""
        if self._cut:
            raise Interrupt
        self._interruptible = True
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self._cut:
                raise
            task.uncancel()
            raise Interrupt from None
        finally:
            self._interruptible = False

    def _park(self, status: AgentStatus) -> None:
        self.status = status
        self._held = self._cut = False
        for letter in self._mailbox.take_all():
            if letter.seq:
                self._mailbox.put_anyway(letter)
            else:
                self._refuse(letter)

    def _refuse(self, letter: Letter) -> None:
        if letter.reply is not None:
            name = self.definition.name
            answer = self._refusal(letter) or failure(ActorStopped(f"agent {name!r} is stopped", agent=name))
            self._post.spawn(letter.reply(answer))

    def abandon(self) -> list[Letter]:
        """Stop at once without settling anything, and give back what was not settled, in order."""
        self._cut = False
        self._gone = True
        if self._task is not None:
            self._task.cancel()
        self._behaviour.discard()
        current = [self._current] if self._current else []
        return [*current, *self._mailbox.take_all()]

    async def _drain(self) -> None:
        try:
            while not self._held and self.status not in PARKED:
                letter = self._mailbox.take_nowait()
                if letter is None:
                    break
                self._current = letter
                try:
                    await self._handle(letter)
                except Interrupt:
                    self._mailbox.put_back(letter)
                self._current = None
                self.last_activity = self._clock()
        except ActoriumError as error:
            self.fault = error
            self._post.faulted(error)
        finally:
            self._task = None

    async def _handle(self, letter: Letter) -> None:
        with self._cuttable():
            await self._post.wait_owned()
        if letter.seq:
            await self._stored(letter)
        else:
            await self._asked(letter)

    async def _asked(self, letter: Letter) -> None:
        result, name = self._refusal(letter), self.definition.name
        tried: Outcome | Crash | None = None
        if result is None:
            try:
                tried = await self._attempt(letter, 1)
            except Interrupt:
                cut = Cancelled(f"agent {name!r} was stopped in the middle", agent=name)
                await self._answer(letter, failure(cut))
                return
            result = self._result(tried)
        if isinstance(tried, Outcome) and tried.state is not None:
            try:
                await self._ledger.answered(letter.task_id, tried.state)
            except ActoriumError as error:
                unsure = f"agent {name!r} ran, and whether its change stands is unknown: {error.message}"
                await self._answer(letter, failure(HandlerFailed(unsure, agent=name)))
                raise
        self.tally.count(result)
        await self._answer(letter, result)
        if isinstance(tried, Crash):
            await self._recover(str(tried))

    async def _answer(self, letter: Letter, result: Result) -> None:
        """Tell who asked, unless somebody else may have answered by now; what cannot be sent is lost."""
        self._current = None
        if letter.reply is not None and self._post.owned():
            with suppress(ActoriumError):
                await letter.reply(result)

    async def _stored(self, letter: Letter) -> None:
        allowed = self.definition.options.attempts
        verdict = judge(self._ledger.progress, letter.seq, letter.task_id, allowed)
        if isinstance(verdict, Doubt):
            found = await self._ledger.find(letter.seq)
            verdict = (
                Repeat(found, again=True)
                if found is not None
                else judge(self._ledger.progress, letter.seq, letter.task_id, allowed, searched=True)
            )
        match verdict:
            case Repeat(result, again):
                await self._post.settle(letter, result, again=again)
            case Bury(attempts):
                error = f"given up after {attempts} attempts, the last of which ended its process"
                await self._bury(letter, "process_died", error, attempts)
            case Run(attempt, suspect):
                # an isolated agent's code cannot kill this process, and waits for others where we do not see
                async with AsyncExitStack() as quarantine:
                    if suspect and self.definition.options.isolation is Isolation.SHARED:
                        with self._cuttable():
                            await quarantine.enter_async_context(self._post.alone(letter))
                    await self._run(letter, attempt)

    async def _run(self, letter: Letter, attempt: int) -> None:
        try:
            message = await self._post.fetch(letter)
            letter.task = read_task(message.payload)
        except BadMessage as error:
            await self._bury(letter, BadMessage.code, str(error), attempt)
            return
        refusal = self._refusal(letter)
        if refusal is not None:
            await self._complete(letter, Outcome(refusal))
            return
        await self._ledger.started(letter.seq, letter.task_id, letter.task, attempt)
        await self._post.event("started", letter.task_id, attempt=attempt)
        try:
            tried = await self._attempt(letter, attempt)
        except Interrupt:
            await self._ledger.interrupted(letter.seq, letter.task_id, attempt)
            raise
        if isinstance(tried, Outcome):
            await self._complete(letter, tried)
        else:
            await self._retry(letter, attempt, str(tried))

    async def _complete(self, letter: Letter, outcome: Outcome) -> None:
        result = outcome.result
        if result.failure is not None and result.failure.code == BadTask.code:
            await self._bury(letter, BadTask.code, result.error or "", 1)
            return
        await self._ledger.completed(letter.seq, letter.task_id, result, outcome.state)
        self.tally.count(result)
        kind = "failed" if result.status is Status.FAILURE else "completed"
        await self._post.event(
            kind, letter.task_id, status=result.status, ms=result.metrics.execution_time_ms
        )
        await self._post.settle(letter, result)

    async def _retry(self, letter: Letter, attempt: int, error: str) -> None:
        await self._ledger.failed(letter.seq, letter.task_id, attempt, error)
        if attempt >= self.definition.options.attempts:
            await self._bury(letter, "attempts", error, attempt)
        else:
            await self._post.event("retried", letter.task_id, attempt=attempt, error=error)
            self._mailbox.put_back(letter)
        self._current = None
        await self._recover(error)

    async def _bury(self, letter: Letter, reason: str, error: str, attempts: int) -> None:
        """Dead letter first: a crash between the two writes it again under the same id."""
        await self._post.bury(letter, reason, error, attempts)
        kind = Unread if reason in (BadTask.code, BadMessage.code) else Undeliverable
        result = failure(kind(f"{reason}: {error}", agent=self.definition.name, reason=reason))
        await self._ledger.buried(letter.seq, letter.task_id, result, reason)
        self.tally.count(result)
        await self._post.event("dead_letter", letter.task_id, reason=reason, error=error, attempts=attempts)
        await self._post.settle(letter, result)

    def _refusal(self, letter: Letter) -> Result | None:
        """Why a letter is not even tried; None: it is."""
        name, deadline = self.definition.name, letter.envelope.deadline
        if letter.cancelled:
            return failure(Cancelled(f"task {letter.task_id} was cancelled before it ran", agent=name))
        if self.status in PARKED:
            hint = f"actorium agent restart {name}"
            return failure(ActorStopped(f"agent {name!r} is stopped; {hint}", agent=name))
        if deadline is not None and deadline <= self._clock():
            return failure(DeadlineExceeded(f"the deadline passed before {name!r} could start", agent=name))
        return None

    async def _attempt(self, letter: Letter, attempt: int) -> Outcome | Crash:
        """Run the handler to its end, its deadline or its cancellation; both leave the state alone."""
        deadline, name = letter.envelope.deadline, self.definition.name
        limit = None if deadline is None else max(0.0, deadline - self._clock())
        if letter.cancelled:  # while the start was being written
            return Outcome(failure(Cancelled(f"task {letter.task_id} was cancelled", agent=name)))
        self.status = AgentStatus.BUSY
        try:
            with self._cuttable():
                async with asyncio.timeout(limit) as timer:
                    return await self._attempt_code(self._handling(letter, attempt))
        except TimeoutError:
            if not timer.expired():
                raise
            return Outcome(failure(DeadlineExceeded(f"agent {name!r} did not finish in time", agent=name)))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not letter.cancelled:
                raise
            task.uncancel()
            return Outcome(failure(Cancelled(f"task {letter.task_id} was cancelled", agent=name)))
        finally:
            if self.status is AgentStatus.BUSY:
                self.status = AgentStatus.IDLE

    async def _handling(self, letter: Letter, attempt: int) -> Outcome:
        if letter.task is None:
            raise BadTask("the letter has no task")
        try:
            return await self._behaviour.handle(
                letter.task,
                letter.envelope,
                letter.task_id,
                attempt,
                repeated=lambda: (self._cut or self._gone) and not letter.cancelled,
            )
        except (BadTask, Reject) as error:
            return Outcome(failure(error))

    async def _attempt_code(self, code: Awaitable[T]) -> T | Crash:
        """The one boundary between an actor's code and ours: whatever it raises becomes a value."""
        try:
            return await code
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Crash(error)  # nobody cancelled us: something inside the actor's code was cancelled
        except Exception as error:  # noqa: BLE001  # an actor may raise anything; its supervisor answers
            return Crash(error)

    async def _begin(self) -> None:
        begun = await self._attempt_code(self._behaviour.start(self._ledger.progress.state))
        if isinstance(begun, Crash):
            await self._recover(str(begun))

    async def _recover(self, error: str) -> None:
        """After a failure: do what the supervisor says, until an instance lives or none shall."""
        turn, crash = self._turn, error
        while True:
            self.tally.restarts += 1
            self._behaviour.discard()
            try:
                with self._cuttable():
                    directive = await self._post.supervise(self.definition, crash)
                    await asyncio.sleep(directive.delay if directive.restart else 0.0)
            except Interrupt:
                return
            if turn != self._turn:
                return  # somebody stopped or restarted it meanwhile
            if not directive.restart:
                self._park(AgentStatus.ERROR)
                await self._post.event("stopped", "", reason=directive.reason, error=crash)
                return
            await self._post.event("restarted", "", error=crash, delay=directive.delay)
            begun = await self._attempt_code(self._behaviour.start(self._ledger.progress.state))
            if not isinstance(begun, Crash):
                return
            crash = str(begun)

    def _result(self, tried: Outcome | Crash) -> Result:
        if isinstance(tried, Outcome):
            return tried.result
        name = self.definition.name
        return failure(HandlerFailed(f"agent {name!r} failed: {tried}", agent=name))
