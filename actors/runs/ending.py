"""Ending: how a run is brought to its end, with what there is, and nothing left behind.

Not responsible for when it ends: see `plan.py`. Invariant: of a run that is over nothing stays reserved in a
shared account, and no person is asked.
"""

import msgspec

from ...bus.task import Status
from ..context import Context
from ..errors import cancelled
from . import plan
from .answer import result_of, summary
from .approvals import Approvals
from .book import RunBook
from .call import Stage
from .purse import Purse
from .record import Ended, Why


class Ending(msgspec.Struct, frozen=True):
    """Ends one run.

    Attributes:
        structured: Whether its answer is JSON.
        ctx: Of the run, for events.
    """

    book: RunBook
    purse: Purse
    approvals: Approvals
    ctx: Context
    structured: bool = False

    async def finish(self, end: plan.Finish) -> None:
        """Write the last record. Raises as the ledger."""
        state = self.book.state
        result = result_of(state, end.why, end.status, end.error, end.limit, structured=self.structured)
        told = summary(state, end.why, end.error)
        await self.book.write(Ended(why=end.why, result=result, summary=told, limit=end.limit))
        await self.ctx.emit("ended", why=end.why, status=end.status, limit=end.limit)

    async def cancel(self, reason: str = "") -> Ended | None:
        """End a run that nobody carries now: it was cancelled. Idempotent. Raises as the ledger."""
        return await self._cut(plan.Finish(Why.CANCELLED, Status.FAILURE, cancelled(reason)))

    async def fail(self, error: str) -> Ended | None:
        """End a run that cannot be carried on. Idempotent. Raises as the ledger."""
        return await self._cut(plan.Finish(Why.FAULT, Status.FAILURE, error))

    async def _cut(self, end: plan.Finish) -> Ended | None:
        self.book.take_up()
        if self.book.state.ended is None:
            await self.finish(end)
        await self.wrap_up()
        return self.book.state.ended

    async def settle_owed(self) -> None:
        """Tell the shared account what it may not know yet. Idempotent."""
        if self.purse.shared and self.book.state.owed:
            await self.book.flush()
            for bill in self.book.state.owed:
                await self.purse.settle(bill)

    async def wrap_up(self) -> None:
        """Leave nothing reserved, and nobody asked, of a run that is over. Idempotent."""
        await self.settle_owed()
        for call in self.book.state.open_calls:
            if call.stage is Stage.WAITING and call.question is not None:
                await self.approvals.withdraw(call.question)
