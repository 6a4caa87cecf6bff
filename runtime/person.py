"""Person: whoever sits at a terminal, asked about the calls of a run, one after the other.

Not responsible for keeping answers (`approval_desk.py`). Invariant: only a plain yes lets a call run; what is
not understood is asked again, and a question that somebody else answered meanwhile is asked no more.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from enum import StrEnum

from ..actors.runs.approval import About, Pending, Verdict
from ..actors.runs.record import Asked, Decided, Unknown
from ..bus.errors import ActoriumError
from ..storage.errors import NotFound
from .approval_desk import ApprovalDesk
from .said import HELP, Said, understood
from .views.run_reader import Told
from .views.run_screen import Screen

BREATH, TRIES = 0.05, 100  # seconds between two looks for a question that was recorded, and how many


class Manner(StrEnum):
    """How questions are answered."""

    ACCEPT = "accept"  # all of them, without looking
    ASK = "ask"  # by whoever sits here
    TELL = "tell"  # by somebody elsewhere, who is told how


class Person:
    """Attends to the questions of one run, and of what it delegated.

    Args:
        desk: Where they are shown and answered.
        screen: Where they are put.
        manner: How they are answered.
        name: Who answers.
        shown: A question in full.
        read: The next line that is typed; empty: there are no more.
    """

    def __init__(
        self,
        desk: ApprovalDesk,
        screen: Screen,
        *,
        manner: Manner,
        name: str,
        shown: Callable[[Pending], str],
        read: Callable[[], Awaitable[str]],
    ) -> None:
        self._desk = desk
        self._screen = screen
        self._manner = manner
        self._name = name
        self._shown = shown
        self._read = read
        self._open: dict[tuple[str, str], str] = {}  # run and call, and the id of what is asked about it
        self._news = asyncio.Event()
        self._asked = ""

    def hear(self, told: list[Told]) -> None:
        """Records were written: what is asked, and what was decided."""
        for each in told:
            match each.record:
                case Asked(call=call, question=question) | Unknown(call=call, question=question):
                    self._open[each.run, call] = question.id
                case Decided(call=call):
                    self._open.pop((each.run, call), None)
                case _:
                    continue
            self._news.set()

    async def attend(self) -> None:
        """Put questions, oldest first, until cancelled."""
        done: set[str] = set()
        while True:
            self._news.clear()
            todo = [question_id for question_id in self._open.values() if question_id not in done]
            for question_id in todo[:1]:
                done.add(question_id)
                try:
                    await self._put(question_id)
                except ActoriumError as error:
                    self._screen.say(f"error: {error.message}")
            if not todo:
                await self._news.wait()

    async def _put(self, question_id: str) -> None:
        pending = await self._find(question_id)
        if pending.decision is not None:
            return
        match self._manner:
            case Manner.ACCEPT if pending.question.about is About.APPROVAL:
                await self._answer(pending, Said(Verdict.ACCEPT))
            case Manner.ASK:
                await self._ask(pending)
            case Manner.TELL | Manner.ACCEPT:
                self._tell(pending)

    async def _find(self, question_id: str) -> Pending:
        """The question: its record stands a moment before it can be answered."""
        for _ in range(TRIES):
            try:
                return await self._desk.find(question_id)
            except NotFound:
                await asyncio.sleep(BREATH)
        return await self._desk.find(question_id)

    async def _ask(self, pending: Pending) -> None:
        """Ask until there is an answer, or none is needed any more."""
        told = f"{self._shown(pending)}\n{HELP}\n"
        while pending.question.id in self._open.values():
            self._screen.ask(f"{told}> ")
            line = await self._line(pending)
            self._screen.go_on()
            if line is None:
                self._screen.say(f"{pending.question.id} was answered elsewhere")
                return
            if not line:
                self._manner = Manner.TELL
                self._tell(pending)
                return
            said = understood(line)
            if isinstance(said, Said):
                await self._answer(pending, said)
                return
            told = f"{said}\n"

    async def _line(self, pending: Pending) -> str | None:
        """The next line; None where somebody else answered first."""
        reading = asyncio.ensure_future(self._read())
        try:
            while pending.question.id in self._open.values():
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({reading, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if reading.done():
                    return reading.result()
                self._news.clear()
            return None
        finally:
            reading.cancel()

    def _tell(self, pending: Pending) -> None:
        question_id = pending.question.id
        self._screen.say(f"{self._shown(pending)}\nit waits for: actorium approvals accept {question_id}")
        self._screen.say(f"                 (or edit, respond, deny; actorium approvals show {question_id})")

    async def _answer(self, pending: Pending, said: Said) -> None:
        await self._desk.answer(
            pending.question, said.verdict, arguments=said.arguments, text=said.text, by=self._name
        )


class Keyboard:
    """Lines that are typed, or come through a pipe.

    Args:
        number: The file descriptor they come from.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._typed = b""

    async def line(self) -> str:
        """The next line; empty: there are no more. Cancellation: nothing of what was typed is lost."""
        while b"\n" not in self._typed:
            await self._ready()
            more = os.read(self._number, 4096)
            if not more:
                rest, self._typed = self._typed, b""
                return rest.decode(errors="replace")
            self._typed += more
        line, _, self._typed = self._typed.partition(b"\n")
        return f"{line.decode(errors='replace')}\n"

    async def _ready(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(self._number, ready.set)
        except PermissionError:  # a plain file, which is always ready
            return
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._number)
