"""Reading: the pages of a run back from its chains, without becoming its owner.

A run whose chain is full goes on in the next one: `<subject>_2`, `_3`, ... Not responsible for writing: see
`book.py`. Invariant: the same pages give the same state, whoever reads them and how often.
"""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from ...bus.value import Json
from ...storage.errors import Corrupt, NotFound
from ...storage.port import Blobs, Ledger
from ...storage.record import Record, decode_record
from .edition import Dags
from .fold import fold
from .record import Ended, Migrated, Page, Restored
from .snapshot import decode_snapshot, restore
from .state import WorkflowState

EPOCH: Final = "epoch"  # a record of the chain alone: a new owner
CONTINUED: Final = "continued"  # the last record of a chain that is full
PAGE: Final = "page"
_pages: msgspec.json.Decoder[Page] = msgspec.json.Decoder(Page)


def chain_name(subject: str, number: int) -> str:
    """The subject of a run's chain: of the first one its own."""
    return subject if number == 1 else f"{subject}_{number}"


async def read_state(
    ledger: Ledger, blobs: Blobs, subject: str, *, pages: int | None = None, dags: Dags | None = None
) -> WorkflowState:
    """Where a run stands, or stood after so many pages of all its chains together.

    Raises:
        NotFound: It has not so many, or never began.
        Corrupt: It does not read.
        StoreUnavailable: No answer in time.
    """
    state, count = WorkflowState(dags), 0
    async for record in _records(ledger, subject):
        if record.kind == EPOCH or count == pages:
            continue
        count += 1
        await take_in(state, await read_page(record.body, blobs), blobs)
    if state.started is None or count < (pages or 0):
        raise NotFound(f"{subject} has {count} pages of a workflow run", subject=subject)
    return state


async def find_ended(ledger: Ledger, blobs: Blobs, subject: str) -> Ended | None:
    """The end of a run; None: it is not over, or never began. Raises as `read_state`."""
    number, last = 1, await ledger.last(subject)
    while last is not None and (record := decode_record(last.value)).kind == CONTINUED:
        number += 1
        last = await ledger.last(chain_name(subject, number))
    if last is None or record.kind != PAGE:
        return None
    page = await read_page(record.body, blobs)
    return next((fact for fact in page.facts if isinstance(fact, Ended)), None)


async def take_in(state: WorkflowState, page: Page, blobs: Blobs) -> None:
    """The state after a page, which may name a whole state among the blobs."""
    for fact in page.facts:
        if isinstance(fact, Restored | Migrated):
            restore(state, decode_snapshot(await blobs.get(fact.state)))
    fold(state, page)


async def read_page(body: Json, blobs: Blobs) -> Page:
    """The page of a record's body.

    Raises:
        Corrupt: It is none.
    """
    try:
        if isinstance(body, dict) and set(body) == {"blob"}:
            return _pages.decode(await blobs.get(body["blob"]))
        return msgspec.convert(body, Page)
    except msgspec.ValidationError as error:
        raise Corrupt(f"this is no page of a workflow run: {error}") from error


async def _records(ledger: Ledger, subject: str) -> AsyncIterator[Record]:
    """Of all chains of a run, oldest first."""
    number, goes_on = 1, True
    while goes_on:
        goes_on = False
        async for entry in ledger.read(chain_name(subject, number)):
            record = decode_record(entry.value)
            goes_on = record.kind == CONTINUED
            yield record
        number += 1
