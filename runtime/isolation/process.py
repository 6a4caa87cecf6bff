"""The process of an isolated agent: forked from the zygote, it serves one owner over one socket.

What the actor says to others goes by a connection of its own (`line.py`). Invariant: it lives exactly
as long as its lifeline, whatever it does: an owner that dies takes it along, also while a handler blocks the
event loop or the interpreter, or the next owner's process would run beside it.
"""

import asyncio
import fcntl
import os
import signal
import socket

import msgspec

from ...actors.actor import find_kind
from ...actors.behaviour import LocalBehaviour
from ...actors.carrier import Carrier, Parked
from ...actors.errors import BadTask, HandlerFailed, Reject
from ...actors.outcome import Crash, failure, plain
from ...bus.errors import ActoriumError, BadMessage
from ..config import Settings
from .frames import (
    NO_STATE,
    Answer,
    Asked,
    Begin,
    Cancel,
    Carry,
    CutShort,
    Done,
    End,
    Failed,
    Handle,
    News,
    Ping,
    Pong,
    Rest,
    Rested,
    Told,
    read_frame,
    write_frame,
)
from .line import AgentLine


async def serve(path: str, settings: Settings) -> None:
    """Call back on the socket and serve until it closes."""
    with _lifeline(path):
        reader, writer = await asyncio.open_unix_connection(path)
        line = AgentLine(settings)
        try:
            await AgentProcess(reader, writer, line).run()
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass  # the owner is gone
        finally:
            writer.close()
            await line.close()


def _lifeline(path: str) -> socket.socket:
    """A connection with whose other end this process ends: the kernel kills it then."""
    lifeline = socket.socket(socket.AF_UNIX)
    lifeline.connect(path)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)  # instead of SIGIO, when something happens there
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    return lifeline


class AgentProcess:
    """Answers the frames of the owner, one Handle at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: AgentLine) -> None:
        self._reader = reader
        self._writer = writer
        self._line = line
        self._behaviour: LocalBehaviour | None = None
        self._carrier: Carrier | None = None
        self._run = ""
        self._cut = False
        self._repeated = True  # an owner that goes away without a word: the next one makes the attempt again

    async def run(self) -> None:
        """Until the owner closes the socket or says End."""
        async with asyncio.TaskGroup() as tasks:
            handling: asyncio.Task[None] | None = None
            try:
                while True:
                    frame = await read_frame(self._reader)
                    if isinstance(frame, Asked):
                        self._cut = False
                        handling = tasks.create_task(self._answer(frame))
                        if isinstance(frame, End):
                            return
                    elif isinstance(frame, Told) and handling is not None and not handling.done():
                        self._told(frame, handling)
            finally:
                if handling is not None and not isinstance(frame, End):
                    handling.cancel()

    def _told(self, frame: Told, handling: asyncio.Task[None]) -> None:
        """What the owner says to what is under way."""
        match frame:
            case Ping():
                write_frame(self._writer, Pong())
            case Cancel(repeated):
                self._cut, self._repeated = True, repeated
                if self._carrier is not None and not repeated:
                    self._carrier.cancelling(self._run)
                handling.cancel()
            case Rest(run) if self._carrier is not None:
                self._carrier.rest(run)
            case News(run) if self._carrier is not None:
                self._carrier.news(run)

    async def _answer(self, frame: Asked) -> None:
        answer: Answer
        try:
            answer = await self._do(frame)
        except asyncio.CancelledError as error:
            answer = CutShort() if self._cut else _failed(error)
        except BaseException as error:  # noqa: BLE001  # the boundary to the actor's code; its owner decides
            answer = _failed(error)
        try:
            write_frame(self._writer, answer)
        except BadMessage as error:
            write_frame(self._writer, _failed(HandlerFailed(error.message)))

    async def _do(self, frame: Asked) -> Answer:
        match frame:
            case Begin(definition, state):
                kind = find_kind(definition.kind)
                if issubclass(kind, Carrier):
                    self._carrier = kind(definition, await self._line.ports())
                else:
                    self._behaviour = LocalBehaviour(definition, kind, self._line)
                    await self._behaviour.start(msgspec.json.decode(state))
                return Done()
            case Carry(order) if self._carrier is not None:
                self._run = order.run
                carried = await self._carrier.carry(order)
                if isinstance(carried, Parked):
                    return Rested(carried)
                await self._carrier.told(order)
                return Done(carried)
            case Handle(task, envelope, task_id, attempt) if self._behaviour is not None:
                self._repeated = True
                try:
                    outcome = await self._behaviour.handle(
                        task, envelope, task_id, attempt, repeated=lambda: self._repeated
                    )
                except (BadTask, Reject) as error:
                    return Done(failure(error))
                return Done(outcome.result, NO_STATE if outcome.state is None else msgspec.Raw(outcome.state))
            case End():
                if self._behaviour is not None:
                    await self._behaviour.stop()
                return Done()
            case _:
                raise HandlerFailed(f"unexpected {type(frame).__name__}")


def _failed(error: BaseException) -> Failed:
    """What the owner raises in turn: an error of ours as it is, any other by its text."""
    told = (error if isinstance(error, ActoriumError) else HandlerFailed(str(Crash(error)))).failure()
    return Failed(msgspec.structs.replace(told, message=plain(told.message)))
