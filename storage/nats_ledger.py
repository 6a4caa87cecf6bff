"""NatsLedger: the ledger in a JetStream stream, one subject for each chain.

Not responsible for making the stream (`bus/streams.py`), nor for what a record means.
Invariant: records must be unique bytes (a `Record` holds a random id): that is how a retry knows its own.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial

from ..bus import subjects
from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.port import Past
from .errors import Fenced
from .nats_ask import ask
from .nats_write import Overtaken, Write, settle
from .port import Entry


def one_stream(_subject: str) -> str:
    """Every chain in the one ledger stream."""
    return subjects.LEDGER


class NatsLedger:
    """A `Ledger` over the raw storage API; reads are answered by the stream's leader.

    Args:
        js: The storage API of a connection.
        stream_of: The stream that keeps a subject.
        patience: How long a call goes on over lost connections and leader changes.
    """

    def __init__(
        self,
        js: JetStream,
        *,
        stream_of: Callable[[str], str] = one_stream,
        patience: Patience | None = None,
    ) -> None:
        self._js = js
        self._stream_of = stream_of
        self._patience = patience or Patience()

    async def append(self, subject: str, record: bytes, *, after: int) -> int:
        """Append behind sequence `after`, and go on until it is known whether the record stands.

        Delivery: once, over lost acks, reconnects and leader changes; a later call with the same bytes and
        the same `after` finds the record and returns its sequence. Cancellation: it may stand; a publish
        already sent is not taken back.

        Raises:
            Fenced: Another record stands behind `after`, or `after` itself is gone: stop. It was not written.
            StoreUnavailable: No answer in time; it may stand.
        """
        write = Write(stream=self._stream_of(subject), subject=subject, payload=record, after=after)
        try:
            return await settle(self._js, write, self._patience)
        except Overtaken as lost:
            stands = f"record {lost.standing.seq} stands there" if lost.standing else "nothing stands there"
            text = f"cannot append to {subject} behind {after}: {stands}; this writer is not the owner"
            raise Fenced(text, subject=subject, after=str(after)) from lost

    async def last(self, subject: str) -> Entry | None:
        """The newest record, read from the leader.

        Raises:
            StoreUnavailable: No answer in time.
        """
        read = partial(self._js.get, self._stream_of(subject), last_by=subject)
        return _entry(await ask(self._patience, read, f"reading {subject}"))

    async def read(self, subject: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Records behind a sequence, oldest first, until there are no more; one request for each.

        Raises:
            StoreUnavailable: No answer in time.
        """
        stream = self._stream_of(subject)
        while True:
            read = partial(self._js.get, stream, seq=after + 1, next_by=subject)
            entry = _entry(await ask(self._patience, read, f"reading {subject}"))
            if entry is None:
                return
            yield entry
            after = entry.revision


def _entry(past: Past | None) -> Entry | None:
    return Entry(past.message.payload, past.seq) if past else None
