"""Reach: whether anything listens where the user says that a provider is.

A server of one's own is the one that is not running. Nothing is sent, and no library is loaded. Not
responsible for keys. Invariant: addresses that every user has are not looked at, nor are those that only a
proxy reaches.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from ...bus.errors import ConfigError
from .resolve import own_address
from .settings import ModelSettings

PATIENCE = 2.0  # seconds
PROXIES = ("https_proxy", "http_proxy", "all_proxy")
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


async def out_of_reach(
    spec: str, settings: ModelSettings, environment: Mapping[str, str], timeout: float = PATIENCE
) -> str:
    """What is said of a model whose address nobody listens at; empty: somebody does, or it is not known.

    Args:
        spec: `provider:model`.
        timeout: Seconds for a connection.
    """
    with suppress(ConfigError, ValueError):  # a name or an address that cannot be is told elsewhere
        url = own_address(spec.partition(":")[0], settings, environment)
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        if not host or (host not in HERE and _proxied(environment)):
            return ""
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            number = error.errno or 0  # below 0: no such host
            why = os.strerror(number) if number > 0 else str(error) or "no answer in time"
            return f"{spec}: nothing answers at {url} ({why}): start it, or set its base_url"
        writer.close()
    return ""


def _proxied(environment: Mapping[str, str]) -> bool:
    return any(environment.get(name) or environment.get(name.upper()) for name in PROXIES)
