"""Dialogue: what a run and the caller of its prompt say to each other before it ends.

    the model's words        ─► response chunks, as they come
    a question to people     ─► a query chunk ─► the caller's reply ─► the answer, as from anybody else

Not responsible for the answer of the run (`synadia.py`). Invariant: what is told is told in order; nothing a
caller says lets a call run unless it is plainly that.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Container
from contextlib import suppress
from functools import partial

import msgspec

from ...actors.runs.approval import About, Pending
from ...bus import subjects
from ...bus.codec import read_event
from ...bus.errors import ActoriumError, BadMessage
from ...bus.port import Bus, Message, Subscription
from ...bus.task import Event
from ..approval_desk import ApprovalDesk, expires_ms
from ..courier import DELTA
from ..said import HELP, understood
from . import wire
from .stream import Stream

TRIES = 3  # queries about one question until somebody else must answer it
ENDING = 1.0  # seconds for what was heard and not told yet
LOOKS = frozenset({"approval", "paused", "parked"})  # events behind which there may be a question


class Words(msgspec.Struct, frozen=True):
    """A model said something."""

    text: str


class Look(msgspec.Struct, frozen=True):
    """There may be a question."""


class Reply(msgspec.Struct, frozen=True):
    """The caller answered a query."""

    pending: Pending
    tried: int
    payload: bytes


class Dialogue:
    """Of one prompt, whose task is not told yet. Open it, attend to it, end it.

    Args:
        bus: The connection.
        desk: Where questions are shown and answered.
        stream: What goes back to the caller.
        key: Tenant and agent.
        task_id: The prompt's.
        words: Whether the model's words are the answer.
        hands: Its tools that delegate: questions may come from below once it used one.
        every: Seconds between two looks for questions of what it delegated.
        wall: The wall clock, seconds since 1970.
    """

    def __init__(
        self,
        bus: Bus,
        desk: ApprovalDesk,
        stream: Stream,
        key: tuple[str, str],
        task_id: str,
        *,
        words: bool,
        hands: Container[str],
        every: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._desk = desk
        self._stream = stream
        self._key = key
        self._task_id = task_id
        self._words = words
        self._hands = hands
        self._every = every
        self._wall = wall
        self._delegates = False
        self._queried: set[str] = set()
        self._queue: asyncio.Queue[Words | Look | Reply | None] = asyncio.Queue()
        self._open: list[Subscription] = []

    async def open(self) -> None:
        """Listen to the agent."""
        events, words = (subjects.public(*self._key, leaf) for leaf in ("events", "stream"))
        self._open.append(await self._bus.subscribe(events, self._heard))
        if self._words:
            self._open.append(await self._bus.subscribe(words, self._heard))

    async def attend(self) -> None:
        """Tell what is heard, and ask what is asked, until `end`."""
        while True:
            item: Words | Look | Reply | None = Look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every if self._delegates else None):
                    item = await self._queue.get()
            if item is None:
                return
            with suppress(ActoriumError):  # whoever answers elsewhere is not kept from it
                await self._tend(item)

    async def end(self, attending: "asyncio.Task[None]") -> None:
        """Say what was heard, and listen no more."""
        self._queue.put_nowait(None)
        await asyncio.wait([attending], timeout=ENDING)
        attending.cancel()
        for subscription in self._open:
            await subscription.close()

    async def _tend(self, item: Words | Look | Reply) -> None:
        match item:
            case Words(text):
                await self._stream.words(text)
            case Look():
                for pending in await self._desk.of_run(self._key[1], self._task_id):
                    if pending.question.id not in self._queried:
                        self._queried.add(pending.question.id)
                        await self._query(pending, 1)
            case Reply(pending, tried, payload):
                await self._take(pending, tried, payload)

    async def _query(self, pending: Pending, number: int, problem: str = "") -> None:
        subject = subjects.reply_inbox(f"query{secrets.token_hex(12)}")
        self._open.append(await self._bus.subscribe(subject, partial(self._replied, pending, number)))
        about = f"{pending.question.id}-{number}"
        prompt = f"{problem}\n\n{asked(pending, self._wall())}".strip()
        await self._stream.query(about, subject, prompt)

    async def _take(self, pending: Pending, tried: int, payload: bytes) -> None:
        """Take what the caller says as an answer, or ask again."""
        try:
            said = understood(str(wire.read_prompt(payload).spec))
        except BadMessage as error:
            said = error.message
        if isinstance(said, str):
            if tried < TRIES:
                await self._query(pending, tried + 1, said)
            return
        by = f"the caller of {self._task_id}"
        await self._desk.answer(
            pending.question, said.verdict, arguments=said.arguments, text=said.text, by=by
        )

    def _replied(self, pending: Pending, number: int, message: Message) -> None:
        self._queue.put_nowait(Reply(pending, number, message.payload))

    def _heard(self, message: Message) -> None:
        with suppress(BadMessage):
            event = read_event(message.payload)
            if event.task == self._task_id:
                self._sort(event)

    def _sort(self, event: Event) -> None:
        """What an event of our run means for its caller."""
        if event.kind in LOOKS:
            self._queue.put_nowait(Look())
        elif event.kind == "tool" and event.data.get("tool") in self._hands:
            self._delegates = True
        elif event.kind == "step":
            self._queue.put_nowait(Words(""))  # a new turn begins
        elif event.kind == DELTA and isinstance(text := event.data.get("text"), str):
            self._queue.put_nowait(Words(text))


def asked(pending: Pending, now: float) -> str:
    """A question as a caller reads it: exactly what an answer allows, and how to give one.

    Args:
        now: Wall clock, seconds since 1970.
    """
    question = pending.question
    arguments = msgspec.json.encode(question.arguments).decode()
    if question.about is About.UNKNOWN:
        asks = f"It is not known whether this call happened: {question.tool} {arguments}"
    else:
        risk = f" (risk {question.risk})" if question.risk else ""
        asks = f"{question.agent} asks to run {question.tool} {arguments}{risk}"
    minutes = max(0.0, expires_ms(pending) / 1000 - now) / 60
    because = f"Because: {question.reasoning}" if question.reasoning else ""
    told = [asks, because, f"Reply within {minutes:.0f} minutes with: {HELP}"]
    return "\n".join(line for line in told if line)
