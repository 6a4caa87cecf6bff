"""Carrying: what is done with one run on its owner: accept its task, carry it, call it off, tell its end.

Not responsible for which runs have their turn: see `carriage.py`. Invariant: a task is acknowledged only
after the run's first record and then its card stand, and a card goes only after the result was told; in
between the run is found again by whoever owns the agent. The run goes on meanwhile: until it is acknowledged
its task is delivered again, and finds what stands.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TypeAlias, TypeVar

import msgspec

from ..bus.codec import read_task
from ..bus.errors import ActoriumError, BadMessage, BusError
from ..bus.task import Result, Status, Task
from ..storage.errors import Corrupt, Fenced, StorageError
from .card import Card, Cards
from .carrier import Carrier, Order, Parked
from .definition import Definition
from .errors import BadTask, Cancelled, Unread
from .outcome import Crash, Tally, failure, plain
from .port import Letter, RunPost
from .receipt import Receipt
from .refusal import refusal

ATTEMPTS = 3  # times in a row that a run may fail to be carried before it ends as a failure
FIRST_PAUSE = 0.2  # seconds before another try; doubled each time
LONGEST_PAUSE = 5.0
Reply: TypeAlias = Callable[[Result], Coroutine[object, object, None]]
T = TypeVar("T")


class Carried(msgspec.Struct, eq=False):
    """A run in the hands of this process.

    Attributes:
        letter: The task it began with, until it is acknowledged or settled.
        admission: The writing of its card and the acknowledgement, which go on beside the run.
        refused: What kept it from that.
        reply: Who waits for the result in this very process.
        cuttable: It is being carried, so a cancellation loses nothing.
        woken: There was news while it was carried: it looks again before it parks.
        doubted: An earlier owner, or an earlier try of ours, may have kept its result in the outbox.
        over: Its result was told, and its card goes.
        receipt: What became of its cancel.
    """

    card: Card
    letter: Letter | None = None
    reply: Reply | None = None
    task: asyncio.Task[None] | None = None
    cuttable: bool = False
    woken: bool = False
    doubted: bool = False
    over: bool = False
    receipt: Receipt | None = None
    admission: asyncio.Task[None] | None = None
    refused: ActoriumError | None = None


class Setback(msgspec.Struct, frozen=True):
    """A run was not carried to a rest. `counts`: it is the run's own failure, and not a server's silence."""

    error: str
    counts: bool = False


class Carrying:
    """Works on the runs of one agent.

    Args:
        definition: The agent.
        carrier: Its code.
        cards: Where live runs are kept.
        post: How letters and results are settled.
        place: The ledger subject of a card's run, and the epoch to write in.
        clock: Monotonic seconds.

    Attributes:
        held: The owner stops: runs are let go at their next step.
        gone: Somebody else owns the agent.
    """

    def __init__(
        self,
        definition: Definition,
        carrier: Carrier,
        cards: Cards,
        post: RunPost,
        place: Callable[[Card], tuple[str, int]],
        *,
        clock: Callable[[], float],
    ) -> None:
        self.tally = Tally()
        self.held = False
        self.gone = False
        self._definition = definition
        self._carrier = carrier
        self._cards = cards
        self._post = post
        self._place = place
        self._clock = clock

    def order(self, card: Card) -> Order:
        """The order to carry a run in the epoch of its owner."""
        subject, epoch = self._place(card)
        return Order(card=card, subject=subject, epoch=epoch)

    async def accept(self, carried: Carried, letter: Letter) -> bool:
        """Make a run of a task, and acknowledge it. False: there is nothing to carry, and it was told."""
        await self._post.wait_owned()
        begin = self._carrier.begin
        try:
            task = await self._read(letter)
            if refused := self.refusal(letter):
                await self._settle(carried, letter, refused)
                carried.receipt = await self.past(letter.task_id, refused)
                return False
            order = self.order(carried.card)
            ended = await self._insist(carried, lambda: begin(order, task, letter.envelope))
        except (BadMessage, BadTask) as error:
            await self._bury(carried, letter, error)
            return False
        if ended is not None:
            await self._settle(carried, letter, ended, again=True)
            return False
        await self._post.event("started", letter.task_id)
        if letter.cancelled and carried.card.calling_off is None:  # until there is an admission it is told so
            carried.card = msgspec.structs.replace(carried.card, calling_off="cancelled before it ran")
        carried.admission = self._post.spawn(self._admit(carried, letter))
        return True

    async def admitted(self, carried: Carried) -> None:
        """Return when its card stands and its task is acknowledged. Raises what kept it from that."""
        if carried.admission is not None:
            await asyncio.wait([carried.admission])
        if carried.refused is not None:
            raise carried.refused

    async def repeat(self, carried: Carried, letter: Letter) -> None:
        """The task of a run that is live was sent again: its result goes to whoever sent it last.

        Remembered only here: after a crash of ours whoever waits asks for the result himself.
        """
        envelope = letter.envelope
        if envelope.reply_to:
            carried.card = msgspec.structs.replace(
                carried.card, reply_to=envelope.reply_to, wakes=envelope.wakes, told=carried.card.parked
            )
        carried.reply = letter.reply or carried.reply
        await self._acknowledge(letter)

    async def carry_on(self, carried: Carried) -> Result | Parked | None:
        """Carry a run until it ends or parks; None: it was let go, for its owner stops."""
        await self._post.wait_owned()
        if carried.card.parked:
            carried.card = msgspec.structs.replace(carried.card, parked=False, wake_at=None)
            await self._insist(carried, lambda: self._cards.put(self._post.part, carried.card))
        while not self.held:
            if carried.card.calling_off is not None:
                return await self._called_off(carried)
            carried.woken = False
            outcome = await self._carry(carried)
            if isinstance(outcome, Result):
                return outcome
            if isinstance(outcome, Parked) and not carried.woken and not self.held:
                return outcome
        return None

    async def deliver(self, carried: Carried, result: Result) -> None:
        """Tell the result to everybody who waits for it, and only then forget the run."""
        await self.admitted(carried)
        card = carried.card
        self.tally.count(result)
        kind = "failed" if result.status is Status.FAILURE else "completed"
        ms = result.metrics.execution_time_ms
        await self._post.event(kind, card.task_id, status=result.status, ms=ms)
        await asyncio.gather(
            self._insist(carried, lambda: self._publish(carried, result)),
            self._insist(carried, lambda: self._carrier.told(self.order(card))),
        )
        if carried.reply is not None and self._post.owned():
            with suppress(ActoriumError):
                await carried.reply(result)
        if card.wakes and card.told:
            await self._insist(carried, lambda: self._post.wake(card.wakes, card.parent))
        carried.over = True
        await self._insist(carried, lambda: self._cards.remove(self._post.part, card))

    async def _publish(self, carried: Carried, result: Result) -> None:
        doubted, carried.doubted = carried.doubted, True
        await self._post.publish(carried.card, result, doubted=doubted)

    async def keep_parked(self, carried: Carried, parked: Parked) -> None:
        """Write down that nobody carries it, and tell whoever gave it, so that he may rest too."""
        await self.admitted(carried)
        card = carried.card
        told = bool(card.wakes and card.reply_to)
        carried.card = msgspec.structs.replace(card, parked=True, told=told, wake_at=parked.wake_at)
        await self._insist(carried, lambda: self._cards.put(self._post.part, carried.card))
        await self._post.event("parked", card.task_id)
        await self.tell_parked(carried)

    async def tell_parked(self, carried: Carried) -> None:
        """Tell whoever gave a run that it waits, where he may rest meanwhile. Delivery: at most once."""
        if carried.card.wakes and carried.card.reply_to:
            await self._post.tell_parked(carried.card)

    async def keep_cancelled(self, carried: Carried, reason: str) -> None:
        """Write down that a run shall be cancelled: from now on every owner goes on with that."""
        await self.admitted(carried)
        carried.card = msgspec.structs.replace(carried.card, calling_off=reason or "cancelled")
        await self._insist(carried, lambda: self._cards.put(self._post.part, carried.card))
        if carried.over:  # it ended meanwhile, and ours may have been written behind its removal
            await self._insist(carried, lambda: self._cards.remove(self._post.part, carried.card))

    async def past(self, task_id: str, found: Result | None) -> Receipt:
        """What is to be said of a cancel that came too late, or was done before."""
        return Receipt(agent=self._definition.name, task_id=task_id, cancelled=was_cancelled(found))

    def refusal(self, letter: Letter) -> Result | None:
        """Why a task is not even begun; None: it is."""
        return refusal(letter, self._definition.name, self._clock())

    async def _read(self, letter: Letter) -> Task:
        if letter.task is None:
            letter.task = read_task((await self._post.fetch(letter)).payload)
        return letter.task

    async def _admit(self, carried: Carried, letter: Letter) -> None:
        """The card, now that the first record stands, then the acknowledgement.

        A card without a run would look like a task taken care of.
        """
        try:
            await self._insist(carried, lambda: self._cards.put(self._post.part, carried.card))
            await self._acknowledge(letter)
            carried.letter = None
        except ActoriumError as error:
            carried.refused = error

    async def _carry(self, carried: Carried) -> Result | Parked | None:
        """Carry it, again after errors; None: it was cut short, and the loop above knows why."""
        failures = 0
        while isinstance(tried := await self._try(carried), Setback):
            failures += tried.counts
            if failures >= ATTEMPTS:
                return await self._carrier.fail(self.order(carried.card), tried.error)
            await self._pause(carried, failures, tried.error)
        return tried

    async def _try(self, carried: Carried) -> Result | Parked | Setback | None:
        carried.cuttable = True
        try:
            return await self._carrier.carry(self.order(carried.card))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or self.gone or not (self.held or carried.card.calling_off is not None):
                raise
            task.uncancel()
            return None
        except Fenced:
            raise
        except Corrupt as error:
            return failure(error)
        except (StorageError, BusError) as error:
            return Setback(error.message)
        except Exception as error:  # noqa: BLE001  # a run's code may raise anything; its end says so
            text = plain(error.message if isinstance(error, ActoriumError) else Crash(error))
            return Setback(text, counts=True)
        finally:
            carried.cuttable = False

    async def _called_off(self, carried: Carried) -> Result:
        card = carried.card
        done = await self._insist(
            carried, lambda: self._carrier.call_off(self.order(card), card.calling_off or "")
        )
        carried.receipt = Receipt(
            agent=card.agent,
            task_id=card.task_id,
            cancelled=was_cancelled(done.result),
            children=done.children,
        )
        return done.result

    async def _insist(self, carried: Carried, do: Callable[[], Awaitable[T]]) -> T:
        """Do what must be done, again while the server does not answer. Raises Fenced and Corrupt."""
        failures = 0
        while True:
            try:
                return await do()
            except (Fenced, Corrupt, BadMessage):
                raise
            except (StorageError, BusError) as error:
                failures += 1
                await self._pause(carried, failures, error.message)

    async def _pause(self, carried: Carried, failures: int, error: str) -> None:
        await self._post.event("retried", carried.card.task_id, attempt=failures, error=error)
        await asyncio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures))
        await self._post.wait_owned()

    async def _bury(self, carried: Carried, letter: Letter, error: ActoriumError) -> None:
        """The task is none that this agent could make a run of."""
        name, task_id = self._definition.name, letter.task_id
        result = failure(error)
        if letter.seq:
            result = failure(Unread(f"{error.code}: {error.message}", agent=name, reason=error.code))
            await self._insist(carried, lambda: self._post.bury(letter, error.code, error.message, 1))
            await self._post.event("dead_letter", task_id, reason=error.code, error=error.message)
        self.tally.count(result)
        await self._settle(carried, letter, result)

    async def _settle(self, carried: Carried, letter: Letter, result: Result, *, again: bool = False) -> None:
        if letter.seq:
            await self._post.settle(letter, result, again=again)
        elif letter.reply is not None:
            with suppress(ActoriumError):
                await letter.reply(result)
        carried.letter = None

    async def _acknowledge(self, letter: Letter) -> None:
        if letter.seq:
            await self._post.accept(letter)


def was_cancelled(result: Result | None) -> bool:
    """Whether a task ended because it was cancelled."""
    return result is not None and result.failure is not None and result.failure.code == Cancelled.code
