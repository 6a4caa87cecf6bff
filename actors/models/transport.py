"""What both adapters need of httpx2: its time limits, and what its errors mean.

Imported only where an adapter is used. Invariant: an error is called unreachable only if no request was sent.
"""

import httpx2

from .errors import ModelError
from .status import cut, silent, unreachable

CONNECT = 10.0  # seconds for a connection; a provider that takes longer is down


def limits(timeout: float) -> httpx2.Timeout:
    """Time limits of a call that may be silent for so many seconds."""
    return httpx2.Timeout(timeout, connect=min(timeout, CONNECT))


def lost(model: str, error: Exception, *, where: str, timeout: float) -> ModelError:
    """The error of a connection that failed."""
    why = f"{type(error).__name__} {error}".strip()
    match error:
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.PoolTimeout() | httpx2.ProxyError():
            return unreachable(model, where, why)
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return unreachable(model, where, why)
        case httpx2.TimeoutException():
            return silent(model, timeout)
        case _:
            return cut(model, why)
