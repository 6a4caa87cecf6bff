"""SynadiaEdge: agents prompted by the Synadia Agent Protocol 0.3, and asked for their status.

    prompt ─► any worker ─► ack ─► asks the owner ─► the answer in pieces ─► an empty message
                             ├─ ack again and again, while the owner is there
                             └─ words and questions of a run, while it thinks: `dialogue.py`

Not responsible for how agents are found: see `presence.py`. No logic lives here: a prompt is an ask,
at most once; artifacts of its result do not travel. Invariant: a prompt that was received ends with an empty
message, by its deadline.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec

from ...actors.actor import find_kind
from ...actors.carrier import Carrier
from ...actors.definition import Definition
from ...actors.errors import UnknownAgent, UnknownKind
from ...actors.outcome import failure
from ...actors.runs.agent_tool import agents_in
from ...actors.runs.delegation import DELEGATE
from ...bus import subjects
from ...bus.envelope import OP, Envelope, may_answer, read_envelope
from ...bus.errors import ActoriumError, BusError, BusLost, Failure, NoOwner, from_failure
from ...bus.port import Message, Subscription
from ...bus.task import Result, Task
from ..approval_desk import ApprovalDesk
from ..courier import BusCourier
from ..namespace import Namespace
from ..partition import PartitionHost
from ..post import Key
from . import wire
from .dialogue import Dialogue
from .presence import Presence, spawning
from .stream import Stream

LOOK = 1.5  # seconds for an owner to tell a status; the official client waits two
ENDING = 2.0  # seconds for telling those who wait when the worker ends
OWNERLESS = 2  # looks, one keep-alive apart, that find no owner before a prompt is given up


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long, in seconds.

    Attributes:
        heartbeat: Between two heartbeats of an agent.
        keep_alive: Of silence of a running prompt, until its caller is told that it runs.
        deadline: For a prompt whose caller set none.
    """

    heartbeat: float = 30.0
    keep_alive: float = 15.0
    deadline: float = 600.0


class SynadiaEdge:
    """The protocol's subjects of one worker.

    Args:
        names: The namespace.
        courier: Reaches the owners.
        hosts: The partitions this worker owns, by number.
        tasks: Owns everything that runs here.
        rhythm: How often and how long.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        names: Namespace,
        courier: BusCourier,
        hosts: Mapping[int, PartitionHost],
        tasks: asyncio.TaskGroup,
        *,
        rhythm: Rhythm | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names
        self._bus = names.bus
        self._courier = courier
        self._tasks = tasks
        self._partitions = names.partitions
        self._rhythm = rhythm or Rhythm()
        self._clock = clock
        self._open: list[Subscription] = []
        self._prompts: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        interval = self._rhythm.heartbeat
        self._presence = Presence(names, hosts, tasks, interval=interval, clock=clock)

    async def open(self) -> None:
        """Take prompts, then show that we do."""
        for verb, handler in (("prompt", self._prompted), ("status", spawning(self._tasks, self._status))):
            subscribing = self._bus.subscribe(wire.subject(verb, "*", "*"), handler, queue=wire.QUEUE)
            self._open.append(await subscribing)
        await self._presence.open()

    async def close(self) -> None:
        """Take no more; what is under way goes on."""
        await self._presence.close()
        for subscription in self._open:
            await subscription.close()
        self._open.clear()

    async def end(self) -> None:
        """Tell whoever still waits for a prompt that this worker ends."""
        self._ending.set_result(None)
        if self._prompts:
            await asyncio.wait(self._prompts, timeout=ENDING)

    def _prompted(self, message: Message) -> None:
        if may_answer(message.reply):
            prompt = self._tasks.create_task(self._prompt(message))
            self._prompts.add(prompt)
            prompt.add_done_callback(self._prompts.discard)

    async def _prompt(self, message: Message) -> None:
        """Answer a prompt, whatever becomes of it."""
        stream = Stream(self._bus, message.reply)
        try:
            key = wire.addressed(message.subject)
            task = wire.read_prompt(message.payload)
            envelope = self._envelope(message)
            await stream.ack()
            async with self._dialogue(stream, key, envelope.task_id):
                result = await self._watched(stream, key, self._ask(key, task, envelope))
        except ActoriumError as error:
            result = failure(error)
        await stream.end(result)

    @asynccontextmanager
    async def _dialogue(self, stream: Stream, key: Key, task_id: str) -> AsyncIterator[None]:
        """A run's caller hears it think, and is asked by it."""
        definition = await self._thinking(key)
        if definition is None:
            yield
            return
        config = definition.config
        dialogue = Dialogue(
            self._bus,
            ApprovalDesk(self._names, self._courier, tenant=key[0]),
            stream,
            key,
            task_id,
            words=not config.get("output"),  # JSON is told whole, or a caller could not read it
            hands={DELEGATE, *agents_in(tuple(config.get("tools", ())))},
            every=self._rhythm.keep_alive,
        )
        await dialogue.open()
        attending = self._tasks.create_task(dialogue.attend())
        try:
            yield
        finally:
            await dialogue.end(attending)

    async def _thinking(self, key: Key) -> Definition | None:
        """The agent, where its tasks are runs, as far as this program knows its class."""
        try:
            definition = await self._names.registry.find(*key)
            return definition if issubclass(find_kind(definition.kind), Carrier) else None
        except (UnknownAgent, UnknownKind):
            return None  # whoever is asked says so

    def _envelope(self, message: Message) -> Envelope:
        now = self._clock()
        envelope = read_envelope(message.headers, now)
        return msgspec.structs.replace(
            envelope,
            task_id=envelope.task_id or f"prompt-{secrets.token_hex(8)}",
            deadline=envelope.deadline or now + self._rhythm.deadline,
            reply_to="",
            blob="",
        )

    async def _ask(self, key: Key, task: Task, envelope: Envelope) -> Result:
        tenant, agent = key
        try:
            return await self._courier.of(tenant).ask(agent, task, envelope)
        except ActoriumError as error:
            return failure(error)

    async def _watched(self, stream: Stream, key: Key, asking: Coroutine[object, object, Result]) -> Result:
        """The result of an ask; its caller hears of us meanwhile, and does not wait for an agent nobody owns.

        Raises:
            NoOwner: It did not run.
            BusLost: This worker ends; whether it ran is unknown.
        """
        ask = self._tasks.create_task(asking)
        missed = 0
        waits = (ask, self._ending)
        while True:
            pause = self._rhythm.keep_alive
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if ask.done():
                return ask.result()
            if self._ending.done():
                ask.cancel()
                raise BusLost(
                    "the worker that asked for you ended: whether the prompt was handled is unknown"
                )
            await stream.ack()
            missed = 0 if await self._is_owned(key) else missed + 1
            if missed == OWNERLESS:
                ask.cancel()
                raise NoOwner(f"nobody owns agent {key[1]!r}: is a worker up? Prompt it again", agent=key[1])

    async def _is_owned(self, key: Key) -> bool:
        try:
            await self._look(key)
        except NoOwner:
            return False
        except ActoriumError:
            pass  # whoever is slow to tell is there
        return True

    async def _look(self, key: Key) -> dict[str, object]:
        """What the owner tells of an agent.

        Raises:
            UnknownAgent: There is none.
            NoOwner, DeadlineExceeded: Nobody owns it now, or the owner is busy.
        """
        subject = subjects.control(subjects.partition(*key, self._partitions), *key)
        reply = await self._bus.request(subject, b"", {OP: "status"}, timeout=LOOK)
        told: dict[str, object] = msgspec.json.decode(reply.payload)
        if "failure" in told:
            raise from_failure(msgspec.convert(told["failure"], Failure))
        return told

    async def _status(self, message: Message) -> None:
        try:
            key = wire.addressed(message.subject)
            told = await self._look(key)
            payload, headers = wire.heartbeat(key, time.time(), self._rhythm.heartbeat, told), None
        except ActoriumError as error:
            payload, headers = wire.error_frame(error.failure())
        with suppress(BusError):
            await self._bus.publish(message.reply, payload, headers)
