"""Frames: messages between a worker and the process of one of its agents, over a Unix socket.

Four bytes of length, then JSON of one of these Structs, so that they carry what a message between any agents
carries: integers of any size. States are JSON already, and travel as they are.
"""

import asyncio

import msgspec

from ...actors.carrier import Order, Parked
from ...actors.definition import Definition
from ...bus.envelope import Envelope
from ...bus.errors import BadMessage, Failure
from ...bus.task import Result, Task

MAX_FRAME = 64 * 1024 * 1024  # bytes
NO_STATE = msgspec.Raw(b"null")


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Make the actor with this state (JSON). Answered by Done or Failed."""

    definition: Definition
    state: msgspec.Raw = NO_STATE


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


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Say that the event loop turns. Answered by Pong while something is in hand, and else not at all."""


class End(msgspec.Struct, frozen=True, tag="end"):
    """Call `on_stop`, answer Done, and exit."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The event loop turns."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It worked: the result of a Handle, and the state (JSON) if it changed. A refusal is a result too."""

    result: Result | None = None
    state: msgspec.Raw = NO_STATE


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It raised: the instance must not be used again."""

    failure: Failure


class CutShort(msgspec.Struct, frozen=True, tag="cut"):
    """It was cut short by a Cancel, and the instance is as good as before."""


class Rested(msgspec.Struct, frozen=True, tag="rested"):
    """The run was let go: it is parked, or was asked to rest."""

    parked: Parked


Told = Rest | News | Cancel | Ping
Asked = Begin | Handle | Carry | End
Answer = Done | Rested | Failed | CutShort
Frame = Asked | Told | Pong | Answer

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"{size} bytes are no frame: {error}") from error


def write_frame(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Queue a frame.

    Raises:
        BadMessage: It holds what JSON cannot say, or is too large; nothing was queued.
    """
    try:
        packed = _encoder.encode(frame)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError) as error:
        raise BadMessage(f"{type(frame).__name__} cannot be written as JSON: {error}") from error
    if len(packed) > MAX_FRAME:
        raise BadMessage(f"a frame of {len(packed)} bytes is too large")
    writer.write(len(packed).to_bytes(4, "big") + packed)
