"""WorkflowWatch: follows a run of a workflow, and the workflows it runs, while it goes on.

What is shown is read from the ledger; events only say when to look. So nothing is missed where an event is
lost, and a run may be watched from its middle. Invariant: a watch ends with the last page of its run.
"""

import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from ...actors.workflows.timeline import show
from ...bus import subjects
from ..namespace import Namespace
from .attention import Attention
from .workflow_reader import Told, WorkflowReader
from .workflow_tree import Shown

LOOK_AGAIN = 1.0  # seconds of silence after which the ledger is read all the same


class WorkflowWatch:
    """Follows one run. Use it with `async with`, from before the run is started.

    Args:
        names: Where it is.
        workflow: Whose run it is.
        task_id: The id of its task.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        names: Namespace,
        workflow: str,
        task_id: str,
        *,
        tenant: str = subjects.DEFAULT_TENANT,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reader = WorkflowReader(names, workflow, task_id, tenant=tenant)
        self._wall = wall
        self._attention = Attention(names.bus, tenant, lambda: self._reader.known)

    async def __aenter__(self) -> Self:
        await self._attention.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._attention.close()

    @property
    def begun(self) -> bool:
        """Whether it has a page."""
        return self._reader.begun

    @property
    def shown(self) -> Shown:
        """The run as it was last read, with the runs of its steps inside."""
        return _shown(self._reader, int(self._wall() * 1000))

    async def news(self) -> AsyncIterator[list[Told]]:
        """What is written, as it comes, until the run has ended; nothing for a while is an empty list.

        Raises:
            Corrupt, StoreUnavailable: As the reader.
        """
        while True:
            self._attention.begin()
            found = await self._reader.read()
            if found:
                await self._attention.listen()
            yield found
            if self._reader.over:
                return
            await self._attention.wait(LOOK_AGAIN)

    def look(self) -> None:
        """Have the ledger read now."""
        self._attention.look()


def _shown(reader: WorkflowReader, now_ms: int) -> Shown:
    children = {
        step: [_shown(child, now_ms) for child in children] for step, children in reader.children.items()
    }
    return Shown(run=show(reader.state, now_ms), children=children)
