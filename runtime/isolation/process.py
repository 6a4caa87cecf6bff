"""The process of an isolated agent: forked from the zygote, it serves one owner over one socket.

What the actor says to others goes by a connection of its own (`line.py`). Invariant: it lives exactly
as long as the socket: an owner that dies takes it along, also while a handler blocks the event loop, or the
next owner's process would run beside it.
"""

import asyncio
import os
import select
import threading
import time

from ...actors.actor import find_kind
from ...actors.behaviour import LocalBehaviour
from ...actors.carrier import Carrier, Parked
from ...actors.errors import BadTask, Cancelled, HandlerFailed, Reject
from ...bus.errors import ActoriumError
from ..config import Settings
from .frames import (
    Begin,
    Cancel,
    Carry,
    Done,
    End,
    Failed,
    Frame,
    Handle,
    News,
    Rest,
    Rested,
    read_frame,
    write_frame,
)
from .line import AgentLine

FAREWELL = 0.2  # seconds to close connections; a loop that is blocked does not use them


async def serve(path: str, settings: Settings) -> None:
    """Call back on the socket and serve until it closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    owner = os.dup(writer.get_extra_info("socket").fileno())
    threading.Thread(target=_die_with, args=(owner,), daemon=True).start()
    line = AgentLine(settings)
    try:
        await AgentProcess(reader, writer, line).run()
    except* (asyncio.IncompleteReadError, ConnectionError):
        pass  # the owner is gone
    finally:
        writer.close()
        await line.close()


def _die_with(owner: int) -> None:
    """Wait until the other end of the socket is closed, then end this process."""
    poll = select.poll()
    poll.register(owner, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    time.sleep(FAREWELL)
    os._exit(0)


class AgentProcess:
    """Answers the frames of the owner, one Handle at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: AgentLine) -> None:
        self._reader = reader
        self._writer = writer
        self._line = line
        self._behaviour: LocalBehaviour | None = None
        self._carrier: Carrier | None = None
        self._run = ""
        self._repeated = True  # an owner that goes away without a word: the next one makes the attempt again

    async def run(self) -> None:
        """Until the owner closes the socket or says End."""
        async with asyncio.TaskGroup() as tasks:
            handling: asyncio.Task[None] | None = None
            try:
                while True:
                    frame = await read_frame(self._reader)
                    if isinstance(frame, Cancel | Rest | News):
                        self._told(frame)
                        if handling is not None and isinstance(frame, Cancel):
                            handling.cancel()
                        continue
                    handling = tasks.create_task(self._answer(frame))
                    if isinstance(frame, End):
                        return
            finally:
                if handling is not None and not isinstance(frame, End):
                    handling.cancel()

    def _told(self, frame: Cancel | Rest | News) -> None:
        """What the owner says to what is under way."""
        if isinstance(frame, Cancel):
            self._repeated = frame.repeated
        if self._carrier is None:
            return
        match frame:
            case Cancel(repeated=False):
                self._carrier.cancelling(self._run)
            case Rest(run):
                self._carrier.rest(run)
            case News(run):
                self._carrier.news(run)

    async def _answer(self, frame: Frame) -> None:
        try:
            answer = await self._do(frame)
        except asyncio.CancelledError:
            answer = Failed(Cancelled("cut short").failure(), refused=True)
        except (BadTask, Reject) as error:
            answer = Failed(error.failure(), refused=True)
        except Exception as error:  # noqa: BLE001  # the boundary to the actor's code; its owner decides
            text = error.message if isinstance(error, ActoriumError) else f"{type(error).__name__}: {error}"
            answer = Failed(HandlerFailed(text).failure())
        write_frame(self._writer, answer)

    async def _do(self, frame: Frame) -> Done | Rested | Failed:
        match frame:
            case Begin(definition, state):
                kind = find_kind(definition.kind)
                if issubclass(kind, Carrier):
                    self._carrier = kind(definition, await self._line.ports())
                else:
                    self._behaviour = LocalBehaviour(definition, kind, self._line)
                    await self._behaviour.start(state)
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
                outcome = await self._behaviour.handle(
                    task, envelope, task_id, attempt, repeated=lambda: self._repeated
                )
                return Done(outcome.result, outcome.state)
            case End():
                if self._behaviour is not None:
                    await self._behaviour.stop()
                return Done()
            case _:
                return Failed(HandlerFailed(f"unexpected {type(frame).__name__}").failure())
