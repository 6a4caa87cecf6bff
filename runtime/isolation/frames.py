"""Frames: messages between a worker and the process of one of its agents, over a Unix socket.

Four bytes of length, then MessagePack of one of these Structs. Never stored, so JSON is not needed here.
"""

import asyncio

import msgspec

from ...actors.carrier import Order, Parked
from ...actors.definition import Definition
from ...bus.envelope import Envelope
from ...bus.errors import BadMessage, Failure
from ...bus.task import Result, Task
from ...bus.value import Json

MAX_FRAME = 64 * 1024 * 1024  # bytes


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Make the actor with this state. Answered by Done or Failed."""

    definition: Definition
    state: Json = None


class Handle(msgspec.Struct, frozen=True, tag="handle"):
    """Handle a message. Answered by Done or Failed."""

    task: Task
    envelope: Envelope
    task_id: str
    attempt: int


class Carry(msgspec.Struct, frozen=True, tag="carry"):
    """Carry a run. Answered by Done, Rested or Failed."""

    order: Order


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """Have the run return at its next step. The Carry is answered."""

    run: str


class News(msgspec.Struct, frozen=True, tag="news"):
    """Have the run look at its questions, and at what rests. There is no answer."""

    run: str


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Cut the handler short; the Handle is answered all the same. `repeated`: it will be made again."""

    repeated: bool = False


class End(msgspec.Struct, frozen=True, tag="end"):
    """Call `on_stop`, answer Done, and exit."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It worked: the result of a Handle, and the state (JSON) if it changed."""

    result: Result | None = None
    state: bytes | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It raised; `refused`: the answer is no and the instance is as good as before."""

    failure: Failure
    refused: bool = False


class Rested(msgspec.Struct, frozen=True, tag="rested"):
    """The run was let go: it is parked, or was asked to rest."""

    parked: Parked


Frame = Begin | Handle | Carry | Rest | News | Cancel | End | Done | Rested | Failed

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame.

    Raises:
        asyncio.IncompleteReadError: The other side is gone.
        BadMessage: What came is no frame.
    """
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_FRAME:
        raise BadMessage(f"a frame of {size} bytes is too large")
    packed = await reader.readexactly(size)
    try:
        return _decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"{size} bytes are no frame: {error}") from error


def write_frame(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Queue a frame."""
    packed = _encoder.encode(frame)
    writer.write(len(packed).to_bytes(4, "big") + packed)
