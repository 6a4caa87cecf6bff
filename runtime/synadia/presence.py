"""Presence: how agents show to the Synadia Agent Protocol 0.3: the answers on `$SRV`, and the heartbeats.

One plain subscription answers for all agents, each worker for those whose partition it owns, so that each is
told once; a micro service for each agent would be nine subscriptions. An agent that somebody stopped does not
show, as a service that stopped would not. Not responsible for prompts: see `synadia.py`. Invariant: what this
costs a worker is bounded: it reads the registry for 2 % of its time at most, and answers in batches.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress

import msgspec

from ...actors.definition import Definition
from ...bus import subjects
from ...bus.envelope import may_answer
from ...bus.errors import ActoriumError, BusError
from ...bus.port import Handler, Message, Subscription
from ...bus.task import AgentStatus
from ..namespace import Namespace
from ..partition import Live, PartitionHost
from ..post import Key
from ..version import installed
from . import wire
from .wire import Face

BATCH = 32  # messages after which everybody else in the loop gets a turn
FRESH = 1.0  # seconds for which a discovery may believe what was read before
PATIENCE = 0.5  # seconds a discovery waits for a reading; the official client leaves after 0.75
SHARE = 50  # after a reading none follows for so many times its duration


def spawning(
    tasks: asyncio.TaskGroup, answer: Callable[[Message], Coroutine[object, object, None]]
) -> Handler:
    """A handler that has each request answered in a task of its own."""

    def handle(message: Message) -> None:
        if may_answer(message.reply):
            tasks.create_task(answer(message))

    return handle


class Roster:
    """The agents that show, by partition, as last read.

    Args:
        names: Where they are defined.
        tasks: Owns a reading, which goes on when who waited for it has left.
        clock: Monotonic seconds.
    """

    def __init__(self, names: Namespace, tasks: asyncio.TaskGroup, clock: Callable[[], float]) -> None:
        self._registry = names.registry
        self._partitions = names.partitions
        self._tasks = tasks
        self._clock = clock
        self._faces: dict[int, list[Face]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._next = 0.0
        self._read_at = float("-inf")

    async def faces(self, age: float) -> Mapping[int, list[Face]]:
        """Those read at most `age` seconds ago; older ones where a reading takes long, or fails."""
        now = self._clock()
        if self._reading is None and now >= self._next and now - self._read_at >= age:
            self._reading = self._tasks.create_task(self._read(now))
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=PATIENCE if self._faces else None)
        return self._faces

    async def _read(self, began: float) -> None:
        try:
            self._faces = await self._sorted(await self._registry.all())
        except ActoriumError:
            pass  # the old ones stand until the store answers
        finally:
            self._reading = None
            self._read_at = self._clock()
            self._next = self._read_at + SHARE * (self._read_at - began)

    async def _sorted(self, definitions: list[Definition]) -> dict[int, list[Face]]:
        faces: dict[int, list[Face]] = {}
        for count, told in enumerate(definitions, 1):
            if not told.stopped:
                part = subjects.partition(told.tenant, told.name, self._partitions)
                faces.setdefault(part, []).append(Face.of(told))
            if count % (10 * BATCH) == 0:
                await asyncio.sleep(0)
        return faces


class Presence:
    """What a worker tells of its agents, asked and unasked.

    Args:
        names: The namespace.
        hosts: The partitions this worker owns, by number.
        tasks: Owns everything that runs here.
        interval: Seconds between two heartbeats of an agent.
        clock: Monotonic seconds.
        chance: A number from 0 to 1, at random.
    """

    def __init__(
        self,
        names: Namespace,
        hosts: Mapping[int, PartitionHost],
        tasks: asyncio.TaskGroup,
        *,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._bus = names.bus
        self._registry = names.registry
        self._partitions = names.partitions
        self._hosts = hosts
        self._tasks = tasks
        self._interval = interval
        self._clock = clock
        self._chance = chance
        self._roster = Roster(names, tasks, clock)
        self._version = self._since = ""
        self._open: list[Subscription] = []
        self._beating: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Subscribe, and begin to beat."""
        self._version, self._since = installed("actorium"), wire.timestamp(time.time())
        for subject in ("$SRV.*", "$SRV.*.agents", "$SRV.*.agents.*"):
            handler = spawning(self._tasks, self._present)
            self._open.append(await self._bus.subscribe(subject, handler))
        self._beating = self._tasks.create_task(self._beat())

    async def close(self) -> None:
        """Tell nothing more."""
        if self._beating is not None:
            self._beating.cancel()
        for subscription in self._open:
            await subscription.close()
        self._open.clear()

    async def _present(self, message: Message) -> None:
        """Tell a record of each agent that was asked for and is ours, in batches."""
        call = wire.read_call(message.subject)
        if call is None:
            return
        with suppress(ActoriumError):
            verb, instance = call
            faces = await (self._one(instance) if instance else self._ours())
            for count, face in enumerate(faces, 1):
                record = msgspec.json.encode(self._record(verb, face))
                await self._bus.publish(message.reply, record)
                if count % BATCH == 0:
                    await asyncio.sleep(0)

    async def _ours(self) -> list[Face]:
        faces = await self._roster.faces(FRESH)
        return [face for part in self._hosts for face in faces.get(part, ())]

    async def _one(self, instance: str) -> list[Face]:
        key = wire.read_instance(instance)
        if key is None or self._part(key) not in self._hosts:
            return []
        told = await self._registry.find(*key)
        return [] if told.stopped else [Face.of(told)]

    def _record(self, verb: str, face: Face) -> dict[str, object]:
        match verb:
            case "PING":
                return wire.ping_record(face, self._version)
            case "INFO":
                return wire.info_record(face, self._version)
        actor = self._live(face.key)
        tally = msgspec.to_builtins(actor.tally) if actor else {}
        return wire.stats_record(face, self._version, self._since, tally)

    async def _beat(self) -> None:
        """A heartbeat of each agent in an interval, spread over it; at once in a partition that grew."""
        due: dict[int, float] = {}
        known: Mapping[int, list[Face]] = {}
        while True:
            faces = await self._roster.faces(self._interval)
            now = self._clock()
            for part in list(self._hosts) if self._bus.connected else ():
                there = faces.get(part, [])
                if due.get(part, 0.0) <= now or len(there) > len(known.get(part, [])):
                    await self._beat_for(there)
                    due[part] = now + self._interval * (1.0 if part in due else self._chance())
            due = {part: moment for part, moment in due.items() if part in self._hosts}
            known = faces
            await asyncio.sleep(min(1.0, self._interval / 64))

    async def _beat_for(self, faces: list[Face]) -> None:
        now = time.time()
        for count, face in enumerate(faces, 1):
            actor = self._live(face.key)
            told = {"status": actor.status if actor else AgentStatus.IDLE}
            beat = wire.heartbeat(face.key, now, self._interval, told)
            with suppress(BusError):
                await self._bus.publish(wire.subject("hb", *face.key), beat)
            if count % BATCH == 0:
                await asyncio.sleep(0)

    def _part(self, key: Key) -> int:
        return subjects.partition(*key, self._partitions)

    def _live(self, key: Key) -> Live | None:
        host = self._hosts.get(self._part(key))
        return host.live.get(key) if host else None
