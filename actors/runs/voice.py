"""Voice: what a model says while it says it, for whoever watches a run.

Not responsible for keeping it: the whole answer is in the ledger. Invariant: a slow network never slows the
model down; pieces that come close together travel together.
"""

import asyncio
from types import TracebackType
from typing import Self

from ..context import Context
from ..models.port import Delta, Restarted, TextDelta

BREATH = 0.03  # seconds between two pieces
DELTA = "delta"  # the kind of its events, which no stream keeps


class Voice:
    """Tells the words of one run's model. Use it with `async with`, and give `hear` to the engine.

    Args:
        ctx: Of the run.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._heard: list[str] = []
        self._news = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._speaking = asyncio.create_task(self._speak())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.wait([self._speaking])
        if error is None:
            await self.say()

    def hear(self, delta: Delta) -> None:
        """Take a piece in; never waits."""
        match delta:
            case TextDelta(text):
                self._heard.append(text)
            case Restarted():
                self._heard = ["\n"]
            case _:
                return
        self._news.set()

    async def _speak(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(BREATH)
            await self.say()

    async def say(self) -> None:
        """Tell what was heard so far: what the run does next is told behind it."""
        text, self._heard = "".join(self._heard), []
        if text:
            await self._ctx.emit(DELTA, text=text)
