"""Frames carry what agents may say to each other, and refuse what nobody could read."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.actors.definition import Definition
from actorium.bus.envelope import Envelope
from actorium.bus.errors import BadMessage
from actorium.bus.task import Result, Status, Task
from actorium.runtime.config import Settings
from actorium.runtime.isolation import frames
from actorium.runtime.isolation.frames import (
    Begin,
    Cancel,
    Done,
    Frame,
    Handle,
    Ping,
    Pong,
    read_frame,
    write_frame,
)
from actorium.runtime.isolation.line import AgentLine
from actorium.runtime.isolation.process import AgentProcess

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HUGE = 10**40


class Waiter(Actor):
    """Takes its time."""

    began, may_end = asyncio.Event(), asyncio.Event()

    async def receive(self, message: Task, ctx: Context) -> None:
        self.began.set()
        await self.may_end.wait()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Streams, Streams]]:
    """Both ends of a socket."""
    pair = [await asyncio.open_connection(sock=end) for end in socket.socketpair()]
    yield pair[0], pair[1]
    for _, writer in pair:
        writer.close()


@pytest.mark.parametrize(
    "frame",
    [
        Handle(Task(spec=HUGE, inputs={"": [-HUGE, 0.1, "\N{SNOWMAN}\0"]}), Envelope(deadline=0.1), "t", 1),
        Begin(Definition(name="a", kind="m:K", config={"n": HUGE}), msgspec.Raw(b'{"n":%d}' % HUGE)),
        Done(Result(status=Status.SUCCESS, data=[HUGE]), msgspec.Raw(b'{"n":[]}')),
        Done(),
        Cancel(repeated=True),
    ],
)
async def test_a_frame_arrives_as_it_was_sent(ends, frame: Frame) -> None:
    (reader, _), (_, writer) = ends
    write_frame(writer, frame)
    assert await read_frame(reader) == frame


async def test_what_cannot_be_written_is_refused_before_anything_goes(ends, monkeypatch) -> None:
    (reader, _), (_, writer) = ends
    monkeypatch.setattr(frames, "MAX_FRAME", 1000)
    for spec in ("\ud800", object(), "x" * 1000):
        with pytest.raises(BadMessage):
            write_frame(writer, Handle(Task(spec=spec), Envelope(), "t", 1))
    write_frame(writer, Pong())
    assert await read_frame(reader) == Pong()


@pytest.mark.parametrize("packed", [b"{}", b"\xff", b"", b'{"type":"handle"}', b"[" * 100_000])
async def test_bytes_that_are_no_frame_are_told_so(ends, packed: bytes) -> None:
    (reader, _), (_, writer) = ends
    writer.write(len(packed).to_bytes(4, "big") + packed)
    with pytest.raises(BadMessage):
        await read_frame(reader)


async def test_a_process_says_that_it_is_alive_only_while_it_has_something_in_hand(ends) -> None:
    """So that an answer to a ping that came late is never taken for one to a later ping."""
    (reader, writer), theirs = ends
    serving = asyncio.create_task(AgentProcess(*theirs, AgentLine(Settings())).run())
    for _ in range(2):  # before it had anything in hand, and behind that
        write_frame(writer, Ping())
        write_frame(writer, Begin(Waiter.named("a")))
        assert await read_frame(reader) == Done()
    write_frame(writer, Handle(Task(), Envelope(), "t", 1))
    await Waiter.began.wait()
    write_frame(writer, Ping())
    assert await read_frame(reader) == Pong()
    Waiter.may_end.set()
    assert isinstance(await read_frame(reader), Done)
    writer.close()
    with pytest.raises(ExceptionGroup):
        await serving
