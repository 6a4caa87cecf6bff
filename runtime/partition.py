"""PartitionHost: the actors of one partition on the worker that owns it.

Takes stored tasks from the feed and asks from the control subject, brings actors alive on their first letter
and lets them go when idle. Not responsible for winning or losing the partition: see `holder.py`.
Invariant: a stored letter is held here, under its sequence, from delivery to acknowledgement, so a redelivery
of it is recognised and only changes its token.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from ..actors.activation import GRACE, Activation
from ..actors.card import Card, Cards, chain
from ..actors.carriage import Carriage
from ..actors.carrier import Carrier
from ..actors.carrying import was_cancelled
from ..actors.definition import Definition
from ..actors.errors import ActorError
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
from .post import HostPost, Key, PostOffice, unheard
from .registry import Registry

Behaviours = Callable[[Definition], Behaviour | Carrier]
Live = Activation | Carriage
RISING_BOUND = 1000  # asks that may wait for an actor that is being brought alive
MOVING = "is moving to another worker"
RETRY = 0.2  # seconds between two tries while the storage does not answer
HELD_IN_MEMORY = 64  # bodies of one agent kept here; later ones are fetched from the stream at their turn


class Means(msgspec.Struct, frozen=True):
    """What every partition of a worker shares."""

    bus: Bus
    ledger: Ledger
    blobs: Blobs
    registry: Registry
    behaviours: Behaviours
    office: PostOffice
    cards: Cards
    clock: Callable[[], float] = time.monotonic


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
        self._held: dict[int, Letter] = {}
        self._rising: dict[Key, list[Letter]] = {}
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
        """Let actors go that were idle for long."""
        for key, actor in list(self.live.items()):
            if actor.idle and now - actor.last_activity > actor.definition.options.idle:
                self._office.spawn(self.let_go(key))

    def overdue(self) -> list[str]:
        """Tokens of stored letters that are still held, to be renewed with the server."""
        return [letter.token for letter in self._held.values()]

    async def drain(self, grace: float = GRACE) -> None:
        """Finish what is in hand and let every actor go; what waits stays in the stream.

        Args:
            grace: Seconds that what is in hand gets.
        """
        self._closed = True
        if self.feed is not None:
            await self.feed.close()
        waiting = await asyncio.gather(*(actor.retire(grace) for actor in self.live.values()))
        for letter in self._leave([letter for letters in waiting for letter in letters]):
            self._refuse(letter, MOVING)

    def abandon(self) -> None:
        """Stop at once: the partition is somebody else's. Nothing is settled any more.

        The new owner may have got the same asks: nobody is told that his did not run.
        """
        self._closed = self._lost = True
        for letter in self._leave([letter for actor in self.live.values() for letter in actor.abandon()]):
            if letter.reply is not None:
                self._office.spawn(letter.reply(failure(BusLost(REPLACED))))
        self._held.clear()

    def _leave(self, letters: list[Letter]) -> list[Letter]:
        """Nobody is alive here any more: what was not settled; what is stored waits for the next owner."""
        self.live.clear()
        unsettled = [*letters, *(letter for waiting in self._rising.values() for letter in waiting)]
        self._rising.clear()
        return unsettled

    async def call_off(self, key: Key, task_id: str, reason: str) -> Receipt:
        """Cancel a task that waits, runs or is parked here, and what it delegated."""
        actor = await self.alive(key)
        if isinstance(actor, Carriage):
            return await actor.call_off(task_id, reason)
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
        self._held.pop(letter.seq, None)

    def faulted(self, key: Key, error: ActoriumError) -> None:
        """An activation cannot go on: make a new one for its letters, which reads the ledger again."""
        actor = self.live.pop(key, None)
        if actor is None or self._closed:
            return
        self._rising.setdefault(key, []).extend(actor.abandon())
        self._office.spawn(self._raise_again(key, error))

    async def let_go(self, key: Key) -> None:
        """Let a live actor go when it has finished what is in hand; its next letter brings it back."""
        actor = self.live.pop(key, None)
        if actor is None:
            return
        letters = self._rising.setdefault(key, [])
        letters[:0] = await actor.retire()
        if letters and not self._closed:
            await self._rise(key)
        else:
            self._rising.pop(key, None)

    def _deliver(self, delivered: Delivered) -> None:
        held = self._held.get(delivered.seq)
        if held is not None:
            held.token = delivered.token
            return
        message, seq = delivered.message, delivered.seq
        _, tenant, agent = subjects.split_internal(message.subject)
        letter = Letter(
            envelope=Envelope(), task_id=f"seq-{seq}", message=message, seq=seq, token=delivered.token
        )
        self._held[seq] = letter
        try:
            letter.envelope = read_envelope(message.headers, self._means.clock())
        except BadMessage as error:
            self._office.spawn(self._turn_away((tenant, agent), letter, error))
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
        if letter.seq and actor.waiting >= HELD_IN_MEMORY:
            letter.message = None
        try:
            actor.offer(letter)
        except MailboxFull as error:
            if letter.reply is not None:
                self._office.spawn(letter.reply(failure(error)))

    async def _rise(self, key: Key) -> None:
        """Bring an actor alive for the letters that wait for it; where it cannot be, answer them."""
        try:
            actor = await self._activate(key)
        except (ActorError, ConfigError) as error:  # there is no such agent, or none could have that name
            for letter in self._rising.pop(key, []):
                await self._turn_away(key, letter, error)
            return
        except ActoriumError as error:
            await self._raise_again(key, error)
            return
        if self._closed:
            actor.abandon()
            return
        self.live[key] = actor
        for letter in self._rising.pop(key, []):
            self._hand_over(actor, letter)

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
            owned = sure and self._office.owned()
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

    async def _turn_away(self, key: Key, letter: Letter, error: ActoriumError) -> None:
        """No actor can read it: an ask is told, a stored task becomes a dead letter and a failed result."""
        if letter.reply is not None:
            await letter.reply(failure(error))
            return
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


def describe(actor: Live | None, definition: Definition, now: float) -> JsonObject:
    """What `status` answers for an agent, live or not; `uptime` is seconds in memory, `now` monotonic."""
    status = AgentStatus.STOPPED if definition.stopped else AgentStatus.IDLE
    told: JsonObject = {
        "agent": definition.name,
        "kind": definition.kind,
        "isolation": definition.options.isolation,
        "status": actor.status if actor else status,
        "in_memory": actor is not None,
    }
    if actor is not None:
        told |= {"current_task_id": actor.current_task, "waiting": actor.waiting}
        told |= {"parked": actor.parked} if isinstance(actor, Carriage) else {}
        told |= msgspec.to_builtins(actor.tally)
        told |= {"average_ms": actor.tally.average_ms, "uptime": round(now - actor.born, 3)}
    return told
