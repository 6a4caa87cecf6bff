"""ActorLedger: one actor's chain of records, and the progress that follows from it.

Not responsible for deciding anything: see `progress.py`. Invariant: progress changes only after its record
stands; a body over 64 KiB stands in the blobs under its hash, so the record proves it all the same.
"""

import asyncio

import msgspec

from ..bus.claim import LIMIT
from ..bus.task import Result, Task
from ..bus.value import Json
from ..storage.chain import Chain
from ..storage.errors import Fenced
from ..storage.port import Blobs, Ledger
from ..storage.record import Record, decode_record
from .progress import Body, Kind, Progress, apply


class ActorLedger:
    """The records of one actor, written by its owner in one epoch. Open it with `open`."""

    def __init__(self, ledger: Ledger, chain: Chain, blobs: Blobs, progress: Progress) -> None:
        self._ledger = ledger
        self._chain = chain
        self._blobs = blobs
        self._turn = asyncio.Lock()  # a task is called off while another is in hand
        self._since = 0  # where the fold began: a record behind which nothing is folded must say so
        self.progress = progress

    @classmethod
    async def open(cls, ledger: Ledger, blobs: Blobs, subject: str, epoch: int) -> "ActorLedger":
        """Read where the actor stands and fence earlier owners.

        Raises:
            Fenced: A newer owner wrote in the meantime.
            Corrupt: The chain does not read.
            StoreUnavailable: The server did not answer in time.
        """
        while True:
            opened = cls(ledger, await Chain.open(ledger, subject, epoch), blobs, Progress())
            if await opened._taken_over():
                return opened

    async def _taken_over(self) -> bool:
        """Read where it stands, and fence earlier owners. False: one wrote meanwhile; open it again."""
        last = self._chain.last
        if last is None:
            return True
        self._since = (await self._body(last)).since or self._chain.sequence
        async for entry in self._chain.records(after=self._since - 1):
            await self._fold(decode_record(entry.value), entry.revision)
        if last.epoch == self._chain.epoch:
            return True
        try:
            await self._append(Kind.EPOCH, Body())
        except Fenced:
            return False
        return True

    async def started(self, seq: int, task_id: str, task: Task, attempt: int) -> None:
        """Record an attempt before it runs; the first one with the task itself."""
        told = task if attempt == 1 else None
        await self._append(Kind.STARTED, Body(task_id=task_id, attempts=attempt, task=told), seq)

    async def failed(self, seq: int, task_id: str, attempt: int, error: str) -> None:
        """Record that an attempt raised."""
        await self._append(Kind.FAILED, Body(task_id=task_id, attempts=attempt, error=error), seq)

    async def interrupted(self, seq: int, task_id: str, attempt: int) -> None:
        """Record that an attempt does not count: a stop cut it short, or no instance could be made."""
        await self._append(Kind.INTERRUPTED, Body(task_id=task_id, attempts=attempt - 1), seq)

    async def completed(
        self, seq: int, task_id: str, result: Result, state: bytes | None, *, cancelled: bool
    ) -> bool:
        """Record the outcome of a stored task; `state` None: unchanged.

        Returns:
            Whether it was; not where the task was called off and the outcome is not that of one which was.
        """
        async with self._turn:
            await self._make_sure()
            if not cancelled and (seq, task_id) in self.progress.cancelled:
                return False
            done = max(seq, self.progress.done)
            body = Body(task_id=task_id, result=result, state=self._state(state), done=done)
            await self._write(Kind.COMPLETED, body, seq)
            return True

    async def buried(self, seq: int, task_id: str, result: Result, reason: str) -> None:
        """Record that a task was given up."""
        done = max(seq, self.progress.done)
        body = Body(task_id=task_id, result=result, state=self.progress.state, done=done, reason=reason)
        await self._append(Kind.BURIED, body, seq)

    async def cancelled(self, seq: int, task_id: str) -> bool:
        """Record that a stored task is called off; False: it has ended, and nothing was written.

        Beside whatever else is being written. Raises StorageError: whether it stands is unknown.
        """
        async with self._turn:
            await self._make_sure()
            if task_id in self.progress.finished:
                return False
            if (seq, task_id) not in self.progress.cancelled:
                await self._write(Kind.CANCELLED, Body(task_id=task_id), seq)
            return True

    async def answered(self, task_id: str, state: bytes) -> None:
        """Record that an ask changed the state."""
        body = Body(task_id=task_id, state=self._state(state), done=self.progress.done)
        await self._append(Kind.ANSWERED, body)

    async def find(self, task_id: str) -> Result | None:
        """The result of the record that finished a task, searched through the whole chain.

        Not by its sequence alone: an inbox that lost its end gives one out twice.
        """
        async for entry in self._ledger.read(self._chain.subject):
            record = decode_record(entry.value)
            if record.kind in (Kind.COMPLETED, Kind.BURIED):
                body = await self._body(record)
                if body.task_id == task_id:
                    return body.result
        return None

    def _state(self, state: bytes | None) -> Json:
        return self.progress.state if state is None else msgspec.json.decode(state)

    async def _append(self, kind: Kind, body: Body, in_seq: int = 0) -> None:
        async with self._turn:
            await self._make_sure()
            await self._write(kind, body, in_seq)

    async def _make_sure(self) -> None:
        """A cancel that got no answer costs nobody else his record: it is written again."""
        if self._chain.unsure:
            record = await self._chain.again()
            await self._fold(record, self._chain.sequence)

    async def _fold(self, record: Record, sequence: int) -> None:
        body = await self._body(record)
        self.progress = apply(self.progress, record.kind, record.in_seq, body, sequence)

    async def _write(self, kind: Kind, body: Body, in_seq: int) -> None:
        told = msgspec.to_builtins(msgspec.structs.replace(body, since=self.progress.since or self._since))
        packed = msgspec.json.encode(told)
        if len(packed) > LIMIT:
            told = {"since": told.get("since", 0), "blob": await self._blobs.put(packed)}
        await self._chain.append(kind, told, in_seq=in_seq)
        self.progress = apply(self.progress, kind, in_seq, body, self._chain.sequence)
        self._since = self._since or self._chain.sequence

    async def _body(self, record: Record) -> Body:
        told = record.body or {}
        if "blob" in told:
            return msgspec.json.decode(await self._blobs.get(told["blob"]), type=Body)
        return msgspec.convert(told, Body)
