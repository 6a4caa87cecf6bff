"""Reading: the facts of one run, out of the records of its chain.

A record holds one fact, or `facts`: several that were written at once. Not responsible for the chain, nor for
what follows from the facts: see `book.py` and `state.py`. Invariant: facts come out in the order in which
they were written.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...bus.value import Json
from ...storage.errors import Corrupt
from ...storage.port import Blobs
from .record import RunRecord

EPOCH: Final = "epoch"  # a record of the chain alone: a new owner took the run over
_one: msgspec.json.Decoder[RunRecord] = msgspec.json.Decoder(RunRecord)
_several: msgspec.json.Decoder[tuple[RunRecord, ...]] = msgspec.json.Decoder(tuple[RunRecord, ...])


def packed(facts: Sequence[RunRecord]) -> bytes:
    """The body of a record that holds these facts, as JSON."""
    if len(facts) == 1:
        return msgspec.json.encode(facts[0], order="sorted")
    return msgspec.json.encode({"facts": facts}, order="sorted")


async def read_facts(body: Json, blobs: Blobs) -> tuple[RunRecord, ...]:
    """The facts of a record.

    Raises:
        Corrupt: It is no record of a run.
        NotFound, StoreUnavailable: Its body lies in the blobs, and was not found or not had in time.
    """
    if isinstance(body, dict) and set(body) == {"blob"}:
        body = msgspec.json.decode(await blobs.get(str(body["blob"])))
    try:
        if isinstance(body, dict) and "facts" in body:
            return _several.decode(msgspec.json.encode(body["facts"]))
        return (_one.decode(msgspec.json.encode(body)),)
    except msgspec.ValidationError as error:
        raise Corrupt(f"this is no record of a run: {error}") from error
