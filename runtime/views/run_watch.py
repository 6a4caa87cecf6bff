"""RunWatch: follows a run and what it delegated while it goes on: its records, and the words of its models.

What is shown is read from the ledger; events only say when to look. So nothing is missed where an event is
lost, and a run may be watched from its middle. Invariant: a watch ends with the last record of its run.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from ...actors.card import run_name
from ...bus import subjects
from ...bus.codec import read_event
from ...bus.errors import BadMessage
from ...bus.port import Message
from ..courier import DELTA
from ..namespace import Namespace
from .attention import Attention
from .run_reader import Told, TreeReader
from .run_view import RunView

LOOK_AGAIN = 2.0  # seconds of silence after which the ledger is read all the same


class RunWatch:
    """Follows one run. Use it with `async with`, from before the task is given.

    Args:
        names: Where it is.
        agent: Whose run it is.
        task_id: The id of its task.
        on_words: Told when a model says something; must not block.

    Attributes:
        words: What models have said since their last record, by run.
    """

    def __init__(
        self,
        names: Namespace,
        agent: str,
        task_id: str,
        *,
        tenant: str = subjects.DEFAULT_TENANT,
        on_words: Callable[[], None] | None = None,
    ) -> None:
        self.words: dict[str, str] = {}
        self._reader = TreeReader(names, agent, task_id, tenant=tenant)
        self._on_words = on_words
        self._attention = Attention(names.bus, tenant, lambda: self._reader.known, self._said)

    async def __aenter__(self) -> Self:
        await self._attention.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._attention.close()

    @property
    def view(self) -> RunView:
        """The run as it was last read, with its delegates inside."""
        return self._reader.view()

    async def records(self, *, follow: bool = True) -> AsyncIterator[list[Told]]:
        """What is written, as it comes, until the run has ended.

        Args:
            follow: Else only what stands by now.

        Raises:
            Corrupt, BadTask, StoreUnavailable: As the reader.
        """
        while True:
            self._attention.begin()
            found = await self._reader.read()
            for told in found:
                self.words.pop(told.run, None)
            if found:
                await self._attention.listen()
                yield found
            if self._reader.root.view.over or not follow:
                return
            await self._attention.wait(LOOK_AGAIN)

    def look(self) -> None:
        """Have the ledger read now."""
        self._attention.look()

    def _said(self, message: Message) -> None:
        with suppress(BadMessage):
            event = read_event(message.payload)
            run, text = run_name(event.agent, event.task), event.data.get("text")
            if event.kind == DELTA and run in self._reader.known and isinstance(text, str):
                self.words[run] = self.words.get(run, "") + text
                if self._on_words is not None:
                    self._on_words()
