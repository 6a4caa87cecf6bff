"""Instance: the living code of one actor, and the one boundary between it and ours.

Not responsible for what becomes of an actor whose code failed: see `activation.py`. Invariant: whatever the
code raises becomes a value, and so does a cancellation that nobody of ours asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..bus.value import Json
from .outcome import Crash
from .port import Behaviour

T = TypeVar("T")


class Instance:
    """One actor's code, alive or not.

    Args:
        behaviour: Where it runs.
        ours: Whether we, and not the code itself, may have cancelled the task it runs in.

    Attributes:
        lives: It was made, and neither failed nor was let go since.
    """

    __slots__ = ("_behaviour", "_ours", "lives")

    def __init__(self, behaviour: Behaviour, ours: Callable[[], bool]) -> None:
        self.lives = False
        self._behaviour = behaviour
        self._ours = ours

    async def begin(self, state: Json) -> Crash | None:
        """Make it with the last durable state, and call `on_start`; what it raised where it could not be."""
        begun = await self.guarded(self._behaviour.start(state))
        self.lives = not isinstance(begun, Crash)
        return begun

    async def end(self) -> None:
        """Call `on_stop` where it lives, and let it go."""
        self.lives = False
        await self.guarded(self._behaviour.stop())

    def discard(self) -> None:
        """Let it go without a word: it failed."""
        self.lives = False
        self._behaviour.discard()

    async def guarded(self, code: Awaitable[T]) -> T | Crash:
        """What the code returns, or what it raised."""
        told: T | Crash
        try:
            told = await code
        except asyncio.CancelledError as error:
            if _cancels() and self._ours():
                raise
            told = Crash(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # it may raise anything; its supervisor answers
            told = Crash(error)
        if _cancels() and not self._ours():
            return await _left_behind() or told
        return told


def _cancels() -> int:
    """How often our task was cancelled, and nobody took it back."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


async def _left_behind() -> Crash | None:
    """Take back what an actor's code cancelled; a crash where it ended before it could notice."""
    crash = None
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as error:
        crash = Crash(error)
    task = asyncio.current_task()
    while task is not None and task.uncancel():
        pass
    return crash
