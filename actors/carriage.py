"""Carriage: an agent alive on its owner whose tasks are runs, several of them carried at the same time.

The counterpart of Activation, and to whoever hosts it the same. Not responsible for what is done with one
run: see `carrying.py`. Invariant: a run is in the hands of one task at a time; it is carried, ready or
parked.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine

from ..bus.envelope import Envelope
from ..bus.errors import ActoriumError
from ..bus.task import AgentStatus, Result
from ..bus.value import JsonObject
from .activation import GLANCE, GRACE, PARKED
from .card import Card, Cards
from .carrier import Carrier, Parked
from .carrying import Carried, Carrying
from .definition import Definition
from .errors import ActorStopped
from .mailbox import Mailbox
from .outcome import Tally, failure
from .port import Letter, RunPost
from .receipt import Receipt

LONGEST_TIMER = 60.0  # seconds: a wall clock that is set anew is noticed within
QUIET = 10.0  # seconds a run gets to reach its next step when its owner stops


class Carriage:
    """One live agent that carries runs. Everything runs on the event loop of its owner.

    Args:
        definition: What it is.
        carrier: Its code.
        cards: Where live runs are kept.
        post: How letters and results are settled.
        place: The ledger subject of a card's run, and the epoch to write in.
        clock: Monotonic seconds.
        wall: The wall clock, seconds since 1970.
    """

    def __init__(
        self,
        definition: Definition,
        carrier: Carrier,
        cards: Cards,
        post: RunPost,
        place: Callable[[Card], tuple[str, int]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.definition = definition
        self.status = definition.resting
        self.born = self.last_activity = clock()
        self.fault: ActoriumError | None = None
        self._carrier = carrier
        self._cards = cards
        self._post = post
        self._clock = clock
        self._wall = wall
        self._carrying = Carrying(definition, carrier, cards, post, place, clock=clock)
        self._mailbox: Mailbox[Letter] = Mailbox(definition.options.mailbox)
        self._ready: deque[Carried] = deque()  # begun, and waiting for their turn
        self._carried: dict[str, Carried] = {}
        self._parked: dict[str, Carried] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def tally(self) -> Tally:
        """What it did since it came alive."""
        return self._carrying.tally

    @property
    def current_task(self) -> str | None:
        """The id of the task, of those being carried, that was taken up first."""
        return next((carried.card.task_id for carried in self._carried.values()), None)

    @property
    def waiting(self) -> int:
        """Tasks that wait for their turn."""
        return len(self._mailbox) + len(self._ready)

    @property
    def parked(self) -> int:
        """Runs that wait for people, signals or time."""
        return len(self._parked)

    @property
    def engaged(self) -> bool:
        """Whether runs are in hand that lose work when they are cut short."""
        return self._carrier.loses_when_cut and bool(self._carried)

    @property
    def idle(self) -> bool:
        """Whether it may leave memory. Parked runs have their timers here."""
        return not (self.waiting or self._carried or self._parked or self.status in PARKED)

    async def start(self) -> None:
        """Take up the runs that an owner before us left. Raises StorageError."""
        name, tenant = self.definition.name, self.definition.tenant
        for card in await self._cards.of(self._post.part, tenant, name):
            self._ready.append(Carried(card, doubted=True))
        self.wake()

    def adopt(self, card: Card) -> None:
        """Carry a run whose card was found, unless it is in our hands already."""
        if self._find(card.task_id) is None and not self._carrying.held:
            self._ready.append(Carried(card, doubted=True))
            self.wake()

    def offer(self, letter: Letter) -> None:
        """Queue a letter; a stopped agent refuses an ask at once and keeps a stored letter.

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
        """Take up as many runs as may be carried at the same time; those that had begun come first."""
        while self._may_begin():
            if self._ready:
                carried = self._ready.popleft()
                self._take_up(carried, self._carry_on(carried))
            elif letter := self._mailbox.take_nowait():
                self._receive(letter)
            else:
                return

    def _may_begin(self) -> bool:
        free = len(self._carried) < self._carrier.parallel
        return free and self.fault is None and not self._carrying.held and self.status not in PARKED

    def _receive(self, letter: Letter) -> None:
        """A letter's turn. The task of a run that is here already only says where its result shall go."""
        known = self._find(letter.task_id)
        if known is not None:
            self._post.spawn(self._repeat(known, letter))
            return
        reply = (
            None if letter.envelope.reply_to else letter.reply
        )  # the subject survives us, the call does not
        carried = Carried(self._card(letter), letter, reply)
        self._take_up(carried, self._begin(carried, letter))

    def _take_up(self, carried: Carried, work: Coroutine[object, object, None]) -> None:
        self._carried[carried.card.run] = carried
        self.status = AgentStatus.BUSY
        carried.task = self._post.spawn(self._hold(carried, work))

    async def _hold(self, carried: Carried, work: Coroutine[object, object, None]) -> None:
        """Do the work on a run; whatever happens, it leaves our hands afterwards."""
        try:
            await work
        except ActoriumError as error:
            self._give_up(error)
        finally:
            del self._carried[carried.card.run]
            self._take_back(carried)
            self.last_activity = self._clock()
            if not self._carried and self.status is AgentStatus.BUSY:
                self.status = AgentStatus.IDLE
            self.wake()

    def _take_back(self, carried: Carried) -> None:
        """The task of a run whose work was cut short before it was acknowledged waits again."""
        if carried.admission is not None:
            carried.admission.cancel()
        if carried.letter is not None and not self._carrying.gone:
            self._mailbox.put_back(carried.letter)

    def _give_up(self, error: ActoriumError) -> None:
        if self.fault is None and not self._carrying.gone:
            self.fault = error
            self._post.faulted(error)

    async def _begin(self, carried: Carried, letter: Letter) -> None:
        if await self._carrying.accept(carried, letter):
            await self._carry_on(carried)

    async def _carry_on(self, carried: Carried) -> None:
        """Carry a run until it ends, parks, or this process must let go of it."""
        outcome = await self._carrying.carry_on(carried)
        if isinstance(outcome, Result):
            await self._carrying.deliver(carried, outcome)
        elif isinstance(outcome, Parked):
            await self._park(carried, outcome)
        else:
            await self._carrying.admitted(carried)
            self._ready.append(carried)

    async def _repeat(self, carried: Carried, letter: Letter) -> None:
        await self._carrying.repeat(carried, letter)
        if carried.card.run in self._parked:
            await self._carrying.tell_parked(carried)

    async def _park(self, carried: Carried, parked: Parked) -> None:
        """Keep a run without carrying it, until it is woken or its time has come."""
        await self._carrying.keep_parked(carried, parked)
        if carried.woken:
            self._ready.append(carried)
            return
        run = carried.card.run
        self._parked[run] = carried
        if parked.wake_at is not None:
            self._set_timer(run, parked.wake_at)

    def _set_timer(self, run: str, wake_at: float) -> None:
        if run not in self._parked:
            return
        left = wake_at - self._wall()
        if left <= 0:
            self.rouse(self._parked[run].card.task_id)
            return
        loop = asyncio.get_running_loop()
        self._timers[run] = loop.call_later(min(left, LONGEST_TIMER), self._set_timer, run, wake_at)

    def rouse(self, task_id: str) -> bool:
        """There is news for a run: it looks again. False where it is not here."""
        run = self._blank(task_id).run
        if run in self._carried:
            self._carried[run].woken = True
            self._carrier.news(run)
            return True
        carried = self._unparked(run)
        if carried is not None:
            self._ready.append(carried)
            self.wake()
        return carried is not None or self._find(task_id) is not None

    def _unparked(self, run: str) -> Carried | None:
        timer = self._timers.pop(run, None)
        if timer is not None:
            timer.cancel()
        return self._parked.pop(run, None)

    def _find(self, task_id: str) -> Carried | None:
        """The live run of a task."""
        run = self._blank(task_id).run
        known = self._carried.get(run) or self._parked.get(run)
        return known or next((ready for ready in self._ready if ready.card.run == run), None)

    def knows(self, task_id: str) -> bool:
        """Whether the run of a task is live here."""
        return self._find(task_id) is not None

    def has(self, task_id: str) -> bool:
        """Whether a task waits here, or its run is live."""
        return self.knows(task_id) or any(letter.task_id == task_id for letter in self._mailbox)

    def is_parked(self, task_id: str) -> bool:
        """Whether a run waits here for people, signals or time."""
        return self._blank(task_id).run in self._parked

    async def call_off(self, task_id: str, reason: str = "") -> Receipt:
        """Cancel a task that waits, runs or is parked here, and everything it delegated.

        When this returns it stands, unless the receipt says that the task had ended before.
        """
        letter = next((letter for letter in self._mailbox if letter.task_id == task_id), None)
        if letter is not None:
            self._mailbox.remove(letter)
            self._receive(letter)  # out of its turn, and at once: it is refused, and that stands
        carried = self._find(task_id)
        receipt = await self._call_off(carried, reason) if carried is not None else None
        return receipt or await self._carrying.past(task_id, await self.search(task_id))

    async def _call_off(self, carried: Carried, reason: str) -> Receipt | None:
        """Cancel a run; None: it had ended before."""
        task_id = carried.card.task_id
        if carried.letter is not None and carried.admission is None:
            carried.letter.cancelled = True  # it is being accepted: whether there is a run shows in a moment
            await _until_done(carried)
            return carried.receipt
        await self._carrying.keep_cancelled(carried, reason)
        while carried.receipt is None and not self._carrying.held and self._find(task_id) is carried:
            self._turn_to_its_end(carried)
            await _until_done(carried)
        if carried.receipt is None and self._find(task_id) is not None:
            moving = "its owner is stopping; the next one goes on with it"
            return Receipt(agent=self.definition.name, task_id=task_id, cancelled=False, error=moving)
        return carried.receipt

    def _turn_to_its_end(self, carried: Carried) -> None:
        """Cut a cancelled run short where it is carried, and carry it where it is not."""
        run = carried.card.run
        if run in self._carried:
            if carried.cuttable and carried.task is not None:
                self._carrier.cancelling(run)
                carried.task.cancel()
        elif self._find(carried.card.task_id) is carried:
            self._unparked(run)
            if carried in self._ready:
                self._ready.remove(carried)
            self._take_up(carried, self._carry_on(carried))

    async def search(self, task_id: str) -> Result | None:
        """The result of a task that ended, however long ago; None: it waits, is live, or never was here."""
        if self.has(task_id):
            return None
        return await self._carrier.find(self._carrying.order(self._blank(task_id)))

    async def command(self, task_id: str, verb: str, told: JsonObject) -> JsonObject:
        """Do what somebody asks of a run, and have it look again. Raises as `Carrier.command`."""
        answer = await self._carrier.command(self._carrying.order(self._blank(task_id)), verb, told)
        self.rouse(task_id)
        return answer

    async def halt(self, status: AgentStatus = AgentStatus.STOPPED, grace: float = GRACE) -> None:
        """Let the runs in hand reach their next step, refuse asks, keep everything for a `restart`."""
        await self._quiet(grace)
        self.status = status
        self._carrying.held = False
        for letter in self._mailbox.take_all():
            if letter.seq:
                self._mailbox.put_anyway(letter)
            else:
                self._refuse(letter)

    async def restart(self, grace: float = GRACE) -> None:
        """Let the runs in hand reach their next step, then go on."""
        await self._quiet(grace)
        self.status = AgentStatus.IDLE
        self._carrying.held = False
        self.wake()

    async def retire(self, grace: float = GRACE) -> list[Letter]:
        """Let the runs in hand reach their next step, and give back the letters that wait, in order."""
        await self._quiet(grace)
        self._stop_timers()
        await self._carrier.stop()
        return self._letters()

    async def _quiet(self, grace: float) -> None:
        """Begin nothing more; what is in hand gets until its next step, and is cut short after its grace."""
        self._carrying.held = True
        for run in self._carried:
            self._carrier.rest(run)
        until = self._clock() + max(grace, QUIET)
        while (late := self._under_way()) and not all(map(self._hopeless, self._carried.values())):
            left = until - self._clock()
            if left <= 0:
                break
            await asyncio.wait(late, timeout=min(left, GLANCE))
        for carried in self._carried.values():
            if carried.task in late and carried.cuttable:
                carried.task.cancel()
        if late:
            _, late = await asyncio.wait(late, timeout=GRACE)
        for task in late:  # it waits for a server, or for somebody who does not answer: as after a crash
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _under_way(self) -> set[asyncio.Task[None]]:
        """What is being carried right now."""
        return {run.task for run in self._carried.values() if run.task is not None and not run.task.done()}

    def _hopeless(self, run: Carried) -> bool:
        """Whether it is not under way, or waits for a delegate that nobody will run any more."""
        letter = run.letter or Letter(envelope=Envelope(), task_id=run.card.task_id)
        return run.task is None or run.task.done() or self._post.hopeless(letter)

    def abandon(self) -> list[Letter]:
        """Stop at once without settling anything, and give back what was not acknowledged, in order."""
        self._carrying.gone = self._carrying.held = True
        self._stop_timers()
        letters = self._letters()
        for carried in self._carried.values():
            if carried.task is not None:
                carried.task.cancel()
        return letters

    def _letters(self) -> list[Letter]:
        begun = [carried.letter for carried in self._carried.values() if carried.letter is not None]
        return [*begun, *self._mailbox.take_all()]

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _refuse(self, letter: Letter) -> None:
        if letter.reply is not None:
            name = self.definition.name
            stopped = failure(ActorStopped(f"agent {name!r} is stopped", agent=name))
            self._post.spawn(letter.reply(self._carrying.refusal(letter) or stopped))

    def _card(self, letter: Letter) -> Card:
        envelope = letter.envelope
        return Card(
            agent=self.definition.name,
            tenant=self.definition.tenant,
            task_id=letter.task_id,
            reply_to=envelope.reply_to,
            correlation_id=envelope.correlation_id,
            traceparent=envelope.traceparent,
            wakes=envelope.wakes,
            parent=envelope.parent_run,
            at_ms=int(self._wall() * 1000),
            seq=letter.seq,
        )

    def _blank(self, task_id: str) -> Card:
        return Card(agent=self.definition.name, tenant=self.definition.tenant, task_id=task_id)


async def _until_done(carried: Carried) -> None:
    """Wait until what is being done with a run is done."""
    if carried.task is not None:
        await asyncio.wait([carried.task])
