"""Frame: what the server sends to the inbox of a pull: stored messages, and statuses about the request.

Pure functions of what came; three servers were compared (docs/architecture.md, "Three servers").
Invariant: ack subjects are counted from the right, because newer servers put more tokens on the left.
"""

from enum import Enum, auto

import msgspec

from .port import Message


class Delivery(msgspec.Struct, frozen=True):
    """A stored message as it was delivered to a consumer.

    Attributes:
        seq: Its sequence in the stream.
        order: Its sequence in the consumer: grows by one with every delivery.
        times: How often this consumer delivered it, this time included.
        token: The ack subject.
    """

    seq: int
    order: int
    times: int
    token: str
    message: Message


class Next(Enum):
    """What a status frame asks for."""

    WAIT = auto()  # the request is alive
    AGAIN = auto()  # it ended as it should
    LATER = auto()  # it was refused or its leader went away
    GONE = auto()  # the consumer was deleted


def after_status(status: str, description: str) -> Next:
    """What to do after a status frame, which differs little between servers; only the number is reliable."""
    if status == "100":
        return Next.WAIT
    if status == "409" and "consumer deleted" in description.lower():
        return Next.GONE
    return Next.AGAIN if status in {"404", "408"} else Next.LATER


def parse_ack(reply: str) -> tuple[str, str, int, int, int] | None:
    """Stream, consumer, times, seq and order of an ack subject, counted from the right; None for another."""
    tokens = reply.split(".")
    if len(tokens) < 9 or tokens[0] != "$JS" or tokens[1] != "ACK":
        return None
    if len(tokens) == 12:
        tokens.pop()  # a random token, by the client library; no server was seen to send it
    try:
        return tokens[-7], tokens[-6], int(tokens[-5]), int(tokens[-4]), int(tokens[-3])
    except ValueError:
        return None
