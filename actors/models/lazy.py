"""A client that is made at its first use, in a thread, because making it loads a library."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import Unsupported

T = TypeVar("T")


class Lazy(Generic[T]):
    """One client and its making. Belongs to one event loop.

    Args:
        make: Loads and makes; runs in a thread.
        extra: The extra of this package that installs what it loads.
    """

    def __init__(self, make: Callable[[], T], *, extra: str) -> None:
        self._make = make
        self._extra = extra
        self._making = asyncio.Lock()
        self._made: T | None = None

    async def get(self) -> T:
        """The client, made once.

        Raises:
            Unsupported: Its library is not installed.
        """
        async with self._making:
            if self._made is None:
                try:
                    self._made = await asyncio.to_thread(self._make)
                except ModuleNotFoundError as error:
                    hint = f"pip install 'actorium[{self._extra}]'"
                    raise Unsupported(
                        f"{error.name} is not installed: {hint}", library=str(error.name)
                    ) from error
        return self._made

    def take(self) -> T | None:
        """The client, to be closed by who takes it; the next use makes another."""
        made, self._made = self._made, None
        return made
