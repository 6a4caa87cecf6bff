"""PartitionHost: the actors of one partition on the worker that owns it.

Takes stored tasks from the feed and asks from the control subject, brings actors alive on their first letter
and lets them go when idle. Not responsible for winning or losing the partition: see `holder.py`.
Invariant: a stored letter is held here, under its sequence, from delivery to acknowledgement, so a redelivery
of it is recognised and only changes its token; and every letter is with an actor that is alive or leaving,
waits for one that rises or for a program that has its class, or is being answered.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from ..actors.activation import GRACE, PARKED, Activation
from ..actors.card import Card, Cards, chain
from ..actors.carriage import Carriage
from ..actors.carrier import Carrier
from ..actors.carrying import was_cancelled
from ..actors.definition import Definition
from ..actors.errors import ActorError, UnknownKind
from ..actors.handling import REPLACED
from ..actors.ledger import ActorLedger
from ..actors.outcome import failure
from ..actors.port import Behaviour, Letter
from ..actors.receipt import Receipt
from ..bus import subjects
from ..bus.claim import check_out
from ..bus.codec import read_task
from ..bus.envelope import BLOB, Envelope, read_envelope
from ..bus.errors import ActoriumError, BadMessage, BusError, BusLost, ConfigError, MailboxFull, NoOwner
from ..bus.port import Bus, Delivered, Feed, Message
from ..bus.task import AgentStatus, Result, Task
from ..bus.value import JsonObject
from ..storage.errors import Fenced, StorageError
from ..storage.port import Blobs, Ledger
from .held import Held, Room
from .post import HostPost, Key, PostOffice, unheard
from .registry import Registry
from .rollout import LOOK, Rollout

Behaviours = Callable[[Definition], Behaviour | Carrier]
Live = Activation | Carriage
RISING_BOUND = 1000  # asks that may wait for an actor that is being brought alive
MOVING = "is moving to another worker"
RETRY = 0.2  # seconds between two tries while the storage does not answer
HELD_IN_MEMORY = 64  # bodies of one agent kept here; later ones are fetched from the stream at their turn
RECONSIDER = 5.0  # seconds between two looks at whether what was given up was defined anew


class Means(msgspec.Struct, frozen=True):
    """What every partition of a worker shares.

    Attributes:
        rollout: Seconds that a stored task waits for a program that has its agent's class.
    """

    bus: Bus
    ledger: Ledger
    blobs: Blobs
    registry: Registry
    behaviours: Behaviours
    office: PostOffice
    cards: Cards
    clock: Callable[[], float] = time.monotonic
    rollout: float = 0.0
    room: Room = msgspec.field(default_factory=Room)


class PartitionHost:
    """The live actors of one owned partition.

    Args:
        part: The partition.
        epoch: The epoch it is owned in.
        means: What it works with.
    """

    def __init__(self, part: int, epoch: int, means: Means) -> None:
        self.part = part
        self.epoch = epoch
        self.feed: Feed | None = None
        self.live: dict[Key, Live] = {}
        self._means = means
        self._office = means.office
        self._held = Held(means.room)
        self._rising: dict[Key, list[Letter]] = {}
        self._leaving: dict[Key, Live] = {}
        self._rollout = Rollout(means.rollout)
        self._reconsidered = 0.0
        self._closed = False  # nothing new is taken
        self._lost = False  # somebody else owns it

    async def consume(self, feed: Feed) -> None:
        """Deliver what the feed hands over, until it ends. Raises Interrupted as the feed does."""
        self.feed = feed
        async for delivered in feed:
            self._deliver(delivered)

    def ask(self, key: Key, task: Task, envelope: Envelope) -> "asyncio.Future[Result]":
        """An ask from this process: no bytes, no server."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        async def reply(result: Result) -> None:
            if not answer.done():
                answer.set_result(result)

        letter = Letter(envelope=envelope, task_id=envelope.task_id, task=task, reply=reply)
        self.offer(key, letter)
        return answer

    def is_near(self, key: Key) -> bool:
        """Whether an ask would be handled here and now, by an actor that is alive and carries no runs."""
        return not self._closed and isinstance(self.live.get(key), Activation)

    @property
    def engaged(self) -> bool:
        """Whether something is in hand that is lost when it is cut short."""
        return any(actor.engaged for actor in self.live.values())

    def asked(self, message: Message) -> None:
        """An ask from the bus; anything that is wrong with it is answered at once."""
        _, tenant, agent = subjects.split_internal(message.subject)
        reply = self._office.replier(message.reply)
        try:
            envelope = read_envelope(message.headers, self._means.clock())
            if envelope.blob:
                self._office.spawn(self._asked_large(message, envelope))
                return
            task = read_task(message.payload)
        except BadMessage as error:
            self._office.spawn(reply(failure(error)))
            return
        if reply is not unheard:  # a run outlives us, and answers from wherever it ends
            envelope = msgspec.structs.replace(envelope, reply_to=message.reply)
        self.offer(
            (tenant, agent), Letter(envelope=envelope, task_id=envelope.task_id, task=task, reply=reply)
        )

    def sweep(self, now: float) -> None:
        """Let actors go that were idle for long, and look again at those that were given up."""
        reconsider = now - self._reconsidered > RECONSIDER
        self._reconsidered = now if reconsider else self._reconsidered
        for key, actor in list(self.live.items()):
            if _was_idle(actor, now):
                self._office.spawn(self._let_rest(key, actor, now))
            elif reconsider and actor.status is AgentStatus.ERROR:
                self._office.spawn(self._reconsider(key, actor))

    def overdue(self) -> list[str]:
        """Tokens of stored letters that are still held, to be renewed with the server."""
        return self._held.tokens()

    async def drain(self, grace: float = GRACE) -> None:
        """Finish what is in hand and let every actor go; what waits stays in the stream.

        Args:
            grace: Seconds that what is in hand gets.
        """
        self._closed = True
        if self.feed is not None:
            await self.feed.close()
        waiting = await asyncio.gather(*(actor.retire(grace) for actor in self.live.values()))
        while self._leaving:  # noqa: ASYNC110  # the next owner must not find them at work
            await asyncio.sleep(0.005)
        for letter in self._leave([letter for letters in waiting for letter in letters]):
            self._refuse(letter, MOVING)

    def abandon(self) -> None:
        """Stop at once: the partition is somebody else's. Nothing is settled any more.

        The new owner may have got the same asks: nobody is told that his did not run.
        """
        self._closed = self._lost = True
        actors = [*self.live.values(), *self._leaving.values()]
        for letter in self._leave([letter for actor in actors for letter in actor.abandon()]):
            self._refuse(letter, MOVING)

    def _leave(self, letters: list[Letter]) -> list[Letter]:
        """Nobody is alive here any more: what was not settled; what is stored waits for the next owner."""
        self.live.clear()
        unsettled = [*letters, *(letter for waiting in self._rising.values() for letter in waiting)]
        self._rising.clear()
        self._rollout.clear()
        self._held.clear()
        return unsettled

    async def call_off(self, key: Key, task_id: str, reason: str) -> Receipt:
        """Cancel a task that waits, runs or is parked here, and what it delegated."""
        actor = await self.alive(key)
        if isinstance(actor, Carriage):
            return await actor.call_off(task_id, reason)
        if self._rollout.has(key, task_id):
            waits = f"task {task_id} of {key[1]!r} waits for a program that has its class; cancel it again"
            raise NoOwner(waits, agent=key[1])
        done = actor is not None and (await actor.cancel(task_id) or was_cancelled(actor.recall(task_id)))
        return Receipt(agent=key[1], task_id=task_id, cancelled=done)

    async def missing(self, key: Key, task_ids: Sequence[str]) -> list[str]:
        """Those of these tasks that are not here. Raises NoOwner while the partition moves."""
        actor = await self.alive(key)
        if self._closed:
            raise NoOwner(f"agent {key[1]!r} {MOVING}", agent=key[1])
        return [task_id for task_id in task_ids if actor is None or not actor.has(task_id)]

    async def alive(self, key: Key) -> Live | None:
        """The actor, brought alive where it is not; None where it cannot be."""
        self.wake(key)
        return await self.risen(key)

    async def risen(self, key: Key) -> Live | None:
        """The actor if it is alive, or is being brought alive: it may have read what is not so any more."""
        while key in self._rising and not self._closed:  # noqa: ASYNC110  # a rise may be tried again, and again
            await asyncio.sleep(0.005)  # it comes alive over a read of its ledger, or is tried again
        return self.live.get(key)

    async def take_up(self) -> None:
        """See to it that every run with a card is carried: an earlier owner's, and any that was lost.

        A run that ends while we look has no card any more when it is looked at again.
        """
        cards = self._means.cards
        while not self._closed:
            with suppress(StorageError, BusError):
                for card in await cards.of(self.part):
                    key = (card.tenant, card.agent)
                    actor = self.live.get(key)
                    if not isinstance(actor, Carriage):
                        self.wake(key)
                    elif not actor.knows(card.task_id) and await cards.stands(self.part, card):
                        actor.adopt(card)
                return
            await asyncio.sleep(RETRY)

    def wake(self, key: Key) -> None:
        """Bring an actor alive without a letter."""
        if key not in self.live and key not in self._rising:
            self._rising[key] = []
            self._office.spawn(self._rise(key))

    def release(self, letter: Letter) -> None:
        """A stored letter was acknowledged: it is not held any more."""
        self._held.release(letter)

    def faulted(self, key: Key, error: ActoriumError) -> None:
        """An activation cannot go on: make a new one for its letters, which reads the ledger again."""
        actor = None if self._closed else self.live.pop(key, None)
        if actor is None:
            return  # whoever closed us, or lets it go, gets its letters
        self._rising.setdefault(key, []).extend(actor.abandon())
        self._office.spawn(self._raise_again(key, error))

    async def let_go(self, key: Key) -> None:
        """Let a live actor go when it has finished what is in hand; its next letter brings it back."""
        actor = self.live.pop(key, None)
        if actor is None:
            return
        self._leaving[key], self._rising[key] = actor, []
        try:
            letters = await actor.retire()
        finally:
            del self._leaving[key]
        if self._closed:
            for letter in letters:
                self._refuse(letter, MOVING)
        elif letters := letters + self._rising[key]:
            self._rising[key] = letters
            await self._rise(key)
        else:
            del self._rising[key]

    async def _let_rest(self, key: Key, actor: Live, now: float) -> None:
        """Let an idle actor go, unless it got something to do before we came to it."""
        if self.live.get(key) is actor and _was_idle(actor, now):
            await self.let_go(key)

    async def _reconsider(self, key: Key, actor: Live) -> None:
        """An actor that was given up may have been defined anew since, by a program that was mended."""
        with suppress(ActorError, BusError, StorageError):
            definition = await self._means.registry.find(*key)
            again = not definition.stopped and self.live.get(key) is actor
            if again and actor.status is AgentStatus.ERROR:
                await self.let_go(key)

    def _deliver(self, delivered: Delivered) -> None:
        held = self._held.find(delivered.seq)
        if held is not None:
            held.token = delivered.token
            return
        if self._closed:
            return  # it waits for the next owner
        message, seq = delivered.message, delivered.seq
        _, tenant, agent = subjects.split_internal(message.subject)
        letter = Letter(
            envelope=Envelope(), task_id=f"seq-{seq}", message=message, seq=seq, token=delivered.token
        )
        self._held.add(letter)
        try:
            letter.envelope = read_envelope(message.headers, self._means.clock())
        except BadMessage as error:
            self._office.spawn(self._bury((tenant, agent), letter, error))
            return
        letter.task_id = letter.envelope.task_id or letter.task_id
        self.offer((tenant, agent), letter)

    def offer(self, key: Key, letter: Letter) -> None:
        """Hand a letter to its actor, which is brought alive where it is not."""
        rising = self._rising.get(key)
        actor = self.live.get(key)
        if self._lost:
            return  # the new owner has it too, or its sender's deadline answers
        if self._closed:
            self._refuse(letter, MOVING)
        elif rising is not None:
            self._wait(rising, letter)
        elif actor is None:
            self._rising[key] = [letter]
            self._office.spawn(self._rise(key))
        else:
            self._hand_over(actor, letter)

    def _wait(self, rising: list[Letter], letter: Letter) -> None:
        if letter.reply is not None and len(rising) >= RISING_BOUND:
            full = MailboxFull(f"{RISING_BOUND} messages wait for the agent to start")
            self._office.spawn(letter.reply(failure(full)))
        else:
            rising.append(letter)

    def _hand_over(self, actor: Live, letter: Letter) -> None:
        parked = actor.status in PARKED
        if letter.seq and (parked or actor.waiting >= HELD_IN_MEMORY):
            self._held.leave_in_stream(letter)
        try:
            actor.offer(letter)
        except MailboxFull as error:
            if letter.reply is not None:
                self._office.spawn(letter.reply(failure(error)))

    async def _rise(self, key: Key) -> None:
        """Bring an actor alive for the letters that wait for it; where it cannot be, answer them."""
        try:
            actor = await self._activate(key)
        except UnknownKind as error:
            await self._wait_for_program(key, error)
        except (ActorError, ConfigError) as error:  # there is no such agent, or none could have that name
            await self._turn_away(key, self._waiting(key), error)
        except ActoriumError as error:
            await self._raise_again(key, error)
        else:
            self._bring_in(key, actor)

    def _bring_in(self, key: Key, actor: Live) -> None:
        if self._closed:
            actor.abandon()
            return
        self.live[key] = actor
        for letter in self._waiting(key):
            self._hand_over(actor, letter)

    def _waiting(self, key: Key) -> list[Letter]:
        """Take what waits for an actor, in order."""
        return [*self._rollout.take(key), *self._rising.pop(key, [])]

    async def _wait_for_program(self, key: Key, error: ActoriumError) -> None:
        """Tell who asks; a stored task waits: the partition may go to a node whose program has the class."""
        if self._closed:
            return
        now, first = self._means.clock(), key not in self._rollout
        letters = self._rising.pop(key, [])
        stored = [letter for letter in letters if letter.seq]
        for letter in stored:
            self._held.leave_in_stream(letter)
        self._rollout.add(key, stored, now)
        late = self._rollout.late(key, now)
        if first and key in self._rollout:
            self._office.spawn(self._look_again(key, error))
        await self._turn_away(key, [letter for letter in letters if not letter.seq] + late, error)

    async def _look_again(self, key: Key, error: ActoriumError) -> None:
        """See whether the class is there by now, until nobody waits for it any more."""
        await self._office.event(key, "fault", "", error=str(error))
        while key in self._rollout and not self._closed:
            await asyncio.sleep(LOOK)
            self.wake(key)

    async def _raise_again(self, key: Key, error: ActoriumError) -> None:
        """After a storage error: keep the stored letters, tell the askers, and try again."""
        await self._office.event(key, "fault", "", error=str(error))
        letters = self._rising.get(key, [])
        for letter in [letter for letter in letters if not letter.seq]:
            letters.remove(letter)
            self._refuse(letter, f"is being recovered: {error}", sure=not isinstance(error, Fenced))
        await asyncio.sleep(RETRY)
        if not self._closed:
            self._office.spawn(self._rise(key))

    def _refuse(self, letter: Letter, why: str, *, sure: bool = True) -> None:
        """Tell who asks that it did not run, unless a newer owner may have got the same ask."""
        if letter.reply is not None:
            owned = sure and not self._lost and self._office.owned()
            error = NoOwner(f"the agent {why}; try again") if owned else BusLost(REPLACED)
            self._office.spawn(letter.reply(failure(error)))

    async def _activate(self, key: Key) -> Live:
        tenant, agent = key
        means = self._means
        definition = await means.registry.find(tenant, agent)
        post = HostPost(means.office, self, key)
        code = means.behaviours(definition)
        actor: Live
        if isinstance(code, Carrier):
            actor = Carriage(definition, code, means.cards, post, self._place, clock=means.clock)
        else:
            subject = subjects.ledger(self.part, tenant, agent)
            ledger = await ActorLedger.open(means.ledger, means.blobs, subject, self.epoch)
            actor = Activation(definition, code, ledger, post, means.clock)
        await actor.start()
        return actor

    def _place(self, card: Card) -> tuple[str, int]:
        """Where the records of a run stand, and the epoch they are written in."""
        return subjects.ledger(
            self.part, card.tenant, chain(card.tenant, card.agent, card.task_id)
        ), self.epoch

    async def _turn_away(self, key: Key, letters: Sequence[Letter], error: ActoriumError) -> None:
        """No actor can read them: who asks is told, a stored task is a dead letter and a failed result."""
        for letter in letters:
            if letter.reply is not None:
                self._office.spawn(letter.reply(failure(error)))
        for letter in letters:
            if letter.seq:
                await self._bury(key, letter, error)

    async def _bury(self, key: Key, letter: Letter, error: ActoriumError) -> None:
        post = HostPost(self._office, self, key)
        while not self._closed:
            with suppress(BusError, StorageError):
                await post.bury(letter, error.code, error.message, 0)
                await post.settle(letter, failure(error))
                return
            await asyncio.sleep(RETRY)

    async def _asked_large(self, message: Message, envelope: Envelope) -> None:
        try:
            payload = await check_out(self._means.blobs, message.payload, envelope.blob)
        except ActoriumError as error:
            await self._office.replier(message.reply)(failure(error))
            return
        self.asked(Message(message.subject, payload, _without_blob(message), message.reply))


def _without_blob(message: Message) -> dict[str, str]:
    return {name: value for name, value in (message.headers or {}).items() if name != BLOB}


def _was_idle(actor: Live, now: float) -> bool:
    return actor.idle and now - actor.last_activity > actor.definition.options.idle


def describe(actor: Live | None, definition: Definition, now: float) -> JsonObject:
    """What `status` answers for an agent, live or not; `uptime` is seconds in memory, `now` monotonic."""
    told: JsonObject = {
        "agent": definition.name,
        "kind": definition.kind,
        "isolation": definition.options.isolation,
        "status": actor.status if actor else definition.resting,
        "in_memory": actor is not None,
    }
    if definition.given_up:
        told["reason"] = definition.given_up
    if actor is not None:
        told |= {"current_task_id": actor.current_task, "waiting": actor.waiting}
        told |= {"parked": actor.parked} if isinstance(actor, Carriage) else {}
        told |= msgspec.to_builtins(actor.tally)
        told |= {"average_ms": actor.tally.average_ms, "uptime": round(now - actor.born, 3)}
    return told
