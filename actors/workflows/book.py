"""WorkflowBook: the ledger of one workflow run, and the state that follows from it.

Facts that are said in one turn of the run are one page: one append, however many they are. A chain that is
full is continued by the next one, which begins with the whole state. Not responsible for deciding: see
`plan.py`. Invariant: nothing that a page says takes effect before the page stands. The state is ahead of the
pages only while one is written; after a write that failed the book is of no use, and is opened again.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from ...bus.claim import LIMIT
from ...bus.errors import ConfigError
from ...storage.chain import Chain
from ...storage.errors import Fenced
from ...storage.port import Blobs, Ledger
from ...storage.record import decode_record
from .definition import Workflow
from .edition import Dags
from .fact import Opened, Scheduled
from .fold import apply, turn
from .reading import CONTINUED, EPOCH, PAGE, chain_name, read_page, take_in
from .record import Continued, Migrated, Page, Restored, WorkflowFact
from .snapshot import Migration, encode_snapshot, restore, snapshot
from .state import WorkflowState

MOST_PAGES: Final = 10_000  # of one chain


class WorkflowBook:
    """The pages of one workflow run, written by its owner. Open it with `open`, or begin it with `fresh`.

    Attributes:
        state: Where the run stands.
        begun_by: Inbox sequence of the task that began it; 0: an ask, not yet, or in an earlier chain.
        begun_here: This very book wrote the first page: nobody carried the run before.
    """

    def __init__(
        self,
        ledger: Ledger,
        blobs: Blobs,
        chain: Chain,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        most_pages: int,
        dags: Dags | None,
    ) -> None:
        self.state = WorkflowState(dags)
        self.begun_by = 0
        self.begun_here = False
        self._ledger = ledger
        self._blobs = blobs
        self._subject = chain.subject
        self._number = 1
        self._chain = chain
        self._clock = clock
        self._wall = wall
        self._most_pages = most_pages
        self._taken_up = clock()
        self._said: list[WorkflowFact] = []

    @classmethod
    def fresh(
        cls,
        ledger: Ledger,
        blobs: Blobs,
        subject: str,
        epoch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        most_pages: int = MOST_PAGES,
        dags: Dags | None = None,
    ) -> "WorkflowBook":
        """A run that is presumed not to have begun: nothing is read. Args as `open`.

        Where it has begun, `begin` raises Fenced, and the book is of no use.
        """
        chain = Chain(ledger, subject, epoch, None)
        return cls(ledger, blobs, chain, clock=clock, wall=wall, most_pages=most_pages, dags=dags)

    @classmethod
    async def open(
        cls,
        ledger: Ledger,
        blobs: Blobs,
        subject: str,
        epoch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        most_pages: int = MOST_PAGES,
        dags: Dags | None = None,
    ) -> "WorkflowBook":
        """Read a run and fence earlier owners; an empty chain is a run that has not begun.

        Args:
            subject: Of its first chain.
            clock: Monotonic seconds.
            wall: Seconds since 1970.
            most_pages: After so many the run goes on in the next chain.
            dags: Shared by the runs of a process, what follows from their definitions is made once.

        Raises:
            Fenced: A newer owner carries it.
            Corrupt: It does not read.
            StoreUnavailable: No answer in time.
        """
        while True:
            chain = await Chain.open(ledger, subject, epoch)
            book = cls(ledger, blobs, chain, clock=clock, wall=wall, most_pages=most_pages, dags=dags)
            if await book._open_newest() and await book._read():
                return book

    @property
    def elapsed(self) -> float:
        """Seconds since the newest page, or since the run was taken up again."""
        return self._clock() - self._taken_up

    @property
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970, and never before the newest page."""
        return max(int(self._wall() * 1000), self.state.at_ms)

    def take_up(self) -> None:
        """From now on the run is carried: its time counts."""
        self._taken_up = self._clock()

    async def begin(self, *facts: WorkflowFact, seq: int = 0) -> None:
        """Write the first page, unless the run has begun. Raises as `write`.

        Args:
            seq: Inbox sequence of its task; 0: an ask.
        """
        if self.state.started is None:
            self.begun_by = seq
            self.say(*facts)
            await self.write()
            self.begun_here = True

    @property
    def said(self) -> tuple[WorkflowFact, ...]:
        """What was said and does not stand yet."""
        return tuple(self._said)

    def say(self, *facts: WorkflowFact) -> None:
        """Apply facts; they stand, and may take effect, when the next `write` has returned."""
        if facts and not self._said:
            turn(self.state, self.now_ms)
        for fact in facts:
            apply(self.state, fact)
        self._said += facts

    async def write(self) -> tuple[WorkflowFact, ...]:
        """Append what was said as one page; when this returns it stands.

        Ordering: one at a time; the owner is an actor. Cancellation: it may stand; open the book again.

        Returns:
            The facts of the page; none where nothing was said.

        Raises:
            Fenced: A newer owner carries the run.
            StoreUnavailable: No answer in time, now or before: open the book again.
        """
        if not self._said:
            return ()
        facts, self._said = tuple(self._said), []
        page = Page(facts=_needed(facts), at_ms=self.state.at_ms, seconds=max(0.0, self.elapsed))
        turn(self.state, page.at_ms, page.seconds)
        self.take_up()
        await self._append(PAGE, page)
        if self._chain.count >= self._most_pages and self.state.ended is None:
            await self._continue()
        return facts

    async def repin(self, workflow: Workflow, migration: Migration | None = None) -> None:
        """Go on under a definition: the one it is pinned to, or another one, with the state the hook makes.

        Raises:
            ConfigError: It is another one and there is no hook, or the hook's state has not its steps.
        """
        started = self.state.started
        if started is None or started.definition == workflow.hash:
            return
        told = f"{started.run} is pinned to definition {started.definition}, and was given {workflow.hash}"
        if migration is None:
            raise ConfigError(f"{told}: give the one it began with, or a migration", run=started.run)
        taken = migration(snapshot(self.state), workflow)
        if taken.steps.keys() != {step.id for step in workflow.steps}:
            raise ConfigError(f"{told}: its migration gives other steps than that has", run=started.run)
        pinned = msgspec.structs.replace(taken.started, workflow=workflow, definition=workflow.hash)
        restore(self.state, msgspec.structs.replace(taken, started=pinned))
        state = await self._blobs.put(encode_snapshot(self.state))
        self.say(Migrated(workflow=workflow, definition=workflow.hash, state=state))
        await self.write()

    async def _append(self, kind: str, page: Page) -> None:
        packed = msgspec.json.encode(page, order="sorted")
        large = len(packed) > LIMIT
        in_seq = self.begun_by if self._number == 1 and not self._chain.count else 0
        told = {"blob": await self._blobs.put(packed)} if large else msgspec.Raw(packed)
        await self._chain.append(kind, told, in_seq=in_seq)

    async def _continue(self) -> None:
        """Go on in the next chain, which begins with the state. Raises as `write`."""
        at_ms = self.state.at_ms
        state = await self._blobs.put(encode_snapshot(self.state))
        await self._append(CONTINUED, Page(facts=(Continued(state=state),), at_ms=at_ms))
        await self._open_next()
        await self._append(PAGE, Page(facts=(Restored(state=state),), at_ms=at_ms))

    async def _open_next(self) -> None:
        self._number += 1
        subject = chain_name(self._subject, self._number)
        self._chain = await Chain.open(self._ledger, subject, self._chain.epoch)

    async def _open_newest(self) -> bool:
        """Find the chain that is written now; where its writer died before its first page, write that.

        False: an earlier owner, who does not know yet that he is one, was faster.
        """
        while (last := self._chain.last) is not None and last.kind == CONTINUED:
            await self._open_next()
            if self._chain.last is None:
                page = await read_page(last.body, self._blobs)
                restored = tuple(
                    Restored(state=fact.state) for fact in page.facts if isinstance(fact, Continued)
                )
                try:
                    await self._append(PAGE, Page(facts=restored, at_ms=page.at_ms))
                except Fenced:
                    return False
        return True

    async def _read(self) -> bool:
        """Take in the chain that is written now, and fence earlier owners of a run that is not over.

        False: as `_open_newest`.
        """
        async for entry in self._chain.records():
            record = decode_record(entry.value)
            if self._number == record.n == 1:
                self.begun_by = record.in_seq
            if record.kind != EPOCH:
                await take_in(self.state, await read_page(record.body, self._blobs), self._blobs)
        last = self._chain.last
        if last is not None and last.epoch < self._chain.epoch and self.state.ended is None:
            try:
                await self._chain.append(EPOCH, {})
            except Fenced:
                return False
        return True


def _needed(facts: tuple[WorkflowFact, ...]) -> tuple[WorkflowFact, ...]:
    """Without those that a later fact of the same page says as well: an attempt opens its step."""
    begun = {fact.step for fact in facts if isinstance(fact, Scheduled)}
    return tuple(fact for fact in facts if not (isinstance(fact, Opened) and fact.step in begun))
