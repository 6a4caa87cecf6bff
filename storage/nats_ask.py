"""Ask: a request to the server, carried on over silence, that fails in the words of this folder."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..bus.errors import BusLost
from ..bus.jetstream import ApiError
from ..bus.patience import Patience
from .errors import StorageError, StoreUnavailable

T = TypeVar("T")


async def ask(patience: Patience, call: Callable[[], Awaitable[T]], what: str) -> T:
    """Call until it is answered; only what may be asked twice.

    Args:
        what: Names what is asked in the error.

    Raises:
        StoreUnavailable: No answer in time.
        StorageError: The server refused.
    """
    with as_storage_errors(what):
        return await patience.ask(call, what)


@contextmanager
def as_storage_errors(what: str) -> Iterator[None]:
    """Within, silence of the server is StoreUnavailable, and its refusal a StorageError."""
    try:
        yield
    except BusLost as error:
        raise StoreUnavailable(error.message) from error
    except ApiError as error:
        raise StorageError(f"{what}: the server refused: {error}") from error
