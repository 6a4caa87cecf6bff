"""Handling: one letter on its way through its actor's code: refused, tried, recorded, answered.

Not responsible for which letter is next, nor for the actor's life before and after: see `activation.py`.
Invariant: a stored letter is settled only after the record of its outcome stands, and an attempt runs only
after the record of its start.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import msgspec

from ..bus.codec import read_task
from ..bus.errors import ActoriumError, BadMessage, BusLost, DeadlineExceeded
from ..bus.task import Result, Status
from .cut import Cut
from .definition import Definition, Isolation
from .errors import BadTask, Cancelled, HandlerFailed, Reject, Undeliverable, Unread
from .instance import Instance
from .ledger import ActorLedger
from .outcome import Crash, Interrupt, Tally, Unmade, failure
from .port import Behaviour, Letter, Outcome, Post
from .progress import Bury, Doubt, Repeat, Run, judge
from .refusal import refusal

REPLACED = "the agent's owner was replaced; whether it ran is unknown"


class Failed(msgspec.Struct, frozen=True):
    """The actor's code raised: its supervisor decides. `again`: the letter has attempts left."""

    error: str
    again: bool = False


class Handling:
    """What an actor does with a letter. Arguments as for `Activation`.

    Attributes:
        current: The letter in hand, until its outcome is known.
        cut: Cuts what may be cut short: an attempt, and waiting for its turn.
        trying: Whether the actor's code runs.
        gone: Somebody else owns the actor: he makes the attempt again.
        instance: The actor's code.
    """

    __slots__ = (
        "_behaviour", "_clock", "_definition", "_ledger", "_post",
        "current", "cut", "gone", "instance", "tally", "trying",
    )  # fmt: skip

    def __init__(
        self,
        definition: Definition,
        behaviour: Behaviour,
        ledger: ActorLedger,
        post: Post,
        clock: Callable[[], float],
    ) -> None:
        self.current: Letter | None = None
        self.cut = Cut()
        self.gone = False
        self.instance = Instance(behaviour, self.ours)
        self.tally = Tally()
        self.trying = False
        self._definition = definition
        self._behaviour = behaviour
        self._ledger = ledger
        self._post = post
        self._clock = clock

    def ours(self) -> bool:
        """Whether a cancellation of our task is ours; where not, the actor's code cancelled it."""
        return self.cut.asked or self.gone or self._post.ending()

    async def handle(self, letter: Letter) -> Failed | None:
        """Bring a letter to its end.

        Raises:
            Interrupt: A stop cut it short before its outcome: it is to be handled again.
            ActoriumError: Whether a record of it stands is not sure.
        """
        self.current = letter
        if not self._post.owned():
            with self.cut:
                await self._post.wait_owned()
        failed = await (self._stored(letter) if letter.seq else self._asked(letter))
        self.current = None
        return failed

    async def _asked(self, letter: Letter) -> Failed | None:
        tried: Outcome | Crash
        refused = self._refusal(letter)
        try:
            tried = await self._attempt(letter, 1) if refused is None else Outcome(refused)
        except Interrupt:
            name = self._definition.name
            stopped = Cancelled(f"agent {name!r} was stopped in the middle", agent=name, why="stopped")
            await self._answer(letter, failure(stopped))
            return None
        if isinstance(tried, Unmade):
            return Failed(str(tried), again=True)
        if isinstance(tried, Crash):
            return await self._asked_in_vain(letter, str(tried))
        if tried.state is not None:
            await self._keep(letter, tried.state)
        self.tally.count(tried.result)
        await self._answer(letter, tried.result)
        return None

    async def _asked_in_vain(self, letter: Letter, error: str) -> Failed:
        name = self._definition.name
        result = failure(HandlerFailed(f"agent {name!r} failed: {error}", agent=name))
        self.tally.count(result)
        await self._answer(letter, result)
        return Failed(error)

    async def _keep(self, letter: Letter, state: bytes) -> None:
        """Record a change before its answer."""
        try:
            await self._ledger.answered(letter.task_id, state)
        except ActoriumError as error:
            name = self._definition.name
            unsure = f"agent {name!r} ran, and whether its change stands is unknown: {error.message}"
            await self._answer(letter, failure(HandlerFailed(unsure, agent=name)))
            raise

    async def _answer(self, letter: Letter, result: Result) -> None:
        """Tell who asked; not the answer where somebody else may have given one."""
        self.current = None
        if letter.reply is not None:
            told = result if self._post.owned() else failure(BusLost(REPLACED))
            with suppress(ActoriumError):
                await letter.reply(told)

    async def _stored(self, letter: Letter) -> Failed | None:
        allowed = self._allowed(letter)
        progress = self._ledger.progress
        letter.cancelled = letter.cancelled or (letter.seq, letter.task_id) in progress.cancelled
        verdict = judge(progress, letter.seq, letter.task_id, allowed)
        if isinstance(verdict, Doubt):
            found = await self._ledger.find(letter.task_id)
            verdict = (
                Repeat(found, again=True)
                if found is not None
                else judge(self._ledger.progress, letter.seq, letter.task_id, allowed, searched=True)
            )
        match verdict:
            case Repeat(result, again):
                await self._post.settle(letter, result, again=again or await self._is_kept(letter))
            case Bury(attempts) if not letter.cancelled:
                error = f"given up after {attempts} attempts, the last of which ended its process"
                await self._bury(letter, "process_died", error, attempts)
            case Bury(attempt) | Run(attempt) if letter.cancelled:
                return await self._run(letter, attempt)  # it is refused there
            case Run(attempt, suspect):
                # an isolated agent's code cannot kill this process, and waits for others where we do not see
                async with AsyncExitStack() as quarantine:
                    if suspect and self._definition.options.isolation is Isolation.SHARED:
                        with self.cut:
                            await quarantine.enter_async_context(self._post.alone(letter, attempt - 1))
                    return await self._run(letter, attempt)
        return None

    async def _is_kept(self, letter: Letter) -> bool:
        """Whether the result of a finished task stands in the outbox: it or a later one came last then.

        The server itself knows the id of a message for two minutes only.
        """
        finished = [*self._ledger.progress.finished]
        return await self._post.last_kept() in finished[finished.index(letter.task_id) :]

    def _allowed(self, letter: Letter) -> int:
        """How often it may be tried."""
        return 1 if letter.envelope.once else self._definition.options.attempts

    async def _run(self, letter: Letter, attempt: int) -> Failed | None:
        try:
            message = await self._post.fetch(letter)
            letter.task = read_task(message.payload)
        except BadMessage as error:
            await self._bury(letter, BadMessage.code, str(error), attempt)
            return None
        refused = self._refusal(letter)
        if refused is not None:
            await self._complete(letter, Outcome(refused))
            return None
        await self._ledger.started(letter.seq, letter.task_id, letter.task, attempt)
        await self._post.event("started", letter.task_id, attempt=attempt)
        try:
            tried = await self._attempt(letter, attempt)
        except Interrupt:
            if letter.envelope.once:
                await self._bury(letter, "cut_short", "a stop cut it short; it may have happened", attempt)
                return None
            await self._ledger.interrupted(letter.seq, letter.task_id, attempt)
            raise
        if letter.cancelled:
            tried = self._called_off(letter, tried)
        if isinstance(tried, Unmade):  # nothing was tried, and it waits until there is an instance
            await self._ledger.interrupted(letter.seq, letter.task_id, attempt)
            return Failed(str(tried), again=True)
        if isinstance(tried, Crash):
            return await self._failed(letter, attempt, str(tried))
        await self._complete(letter, tried)
        return None

    async def _complete(self, letter: Letter, outcome: Outcome) -> None:
        result = outcome.result
        if result.failure is not None and result.failure.code == BadTask.code:
            await self._bury(letter, BadTask.code, result.error or "", 1)
            return
        stands = await self._ledger.completed(
            letter.seq, letter.task_id, result, outcome.state, cancelled=letter.cancelled
        )
        if not stands:
            letter.cancelled = True
            await self._complete(letter, self._called_off(letter, outcome))
            return
        self.tally.count(result)
        kind = "failed" if result.status is Status.FAILURE else "completed"
        await self._post.event(
            kind, letter.task_id, status=result.status, ms=result.metrics.execution_time_ms
        )
        await self._post.settle(letter, result)

    async def _failed(self, letter: Letter, attempt: int, error: str) -> Failed:
        await self._ledger.failed(letter.seq, letter.task_id, attempt, error)
        if attempt >= self._allowed(letter):
            await self._bury(letter, "attempts", error, attempt)
            return Failed(error)
        await self._post.event("retried", letter.task_id, attempt=attempt, error=error)
        return Failed(error, again=True)

    async def _bury(self, letter: Letter, reason: str, error: str, attempts: int) -> None:
        """Dead letter first: a crash between the two writes it again under the same id."""
        await self._post.bury(letter, reason, error, attempts)
        kind = Unread if reason in (BadTask.code, BadMessage.code) else Undeliverable
        result = failure(kind(f"{reason}: {error}", agent=self._definition.name, reason=reason))
        await self._ledger.buried(letter.seq, letter.task_id, result, reason)
        self.tally.count(result)
        await self._post.event("dead_letter", letter.task_id, reason=reason, error=error, attempts=attempts)
        await self._post.settle(letter, result)

    def _refusal(self, letter: Letter) -> Result | None:
        """Why a letter is not even tried; None: it is."""
        return refusal(letter, self._definition.name, self._clock())

    async def _attempt(self, letter: Letter, attempt: int) -> Outcome | Crash:
        """Run the handler to its end, its deadline or its cancellation; both leave the state alone."""
        deadline, timer = letter.envelope.deadline, None
        if letter.cancelled:  # while the start was being written
            return self._ended_early(letter)
        if deadline is not None:
            left = max(0.0, deadline - self._clock())
            timer = asyncio.get_running_loop().call_later(left, self.cut.now)
        self.trying = True
        try:
            with self.cut:
                tried = await self.instance.guarded(self._handler(letter, attempt))
                if isinstance(tried, Crash) and self.cut.asked:
                    raise Interrupt  # noqa: TRY301  # what it raised when it was cut short is no failure of its own
                return tried
        except Interrupt:
            if self.cut.over:
                raise
            return self._ended_early(letter)
        finally:
            self.trying = False
            if timer is not None:
                timer.cancel()

    def _called_off(self, letter: Letter, tried: Outcome | Crash) -> Outcome:
        """Whatever came of it is dropped, and an instance that has changed with it."""
        if isinstance(tried, Outcome) and tried.state is not None:
            self.instance.discard()
        return self._ended_early(letter)

    def _ended_early(self, letter: Letter) -> Outcome:
        name = self._definition.name
        if letter.cancelled:
            return Outcome(failure(Cancelled(f"task {letter.task_id} was cancelled", agent=name)))
        return Outcome(failure(DeadlineExceeded(f"agent {name!r} did not finish in time", agent=name)))

    async def _handler(self, letter: Letter, attempt: int) -> Outcome | Unmade:
        if letter.task is None:
            raise BadTask("the letter has no task")
        if not self.instance.lives:
            crash = await self.instance.begin(self._ledger.progress.state)
            if crash is not None:
                return Unmade(crash.error)
        try:
            return await self._behaviour.handle(
                letter.task,
                letter.envelope,
                letter.task_id,
                attempt,
                repeated=lambda: (self.cut.over or self.gone) and not letter.cancelled,
            )
        except (BadTask, Reject) as error:
            return Outcome(failure(error))
