"""The embedded server as the settings see it: where its data is, whether one runs, and that one stays up."""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from ..config import Settings
from .fetch import resolve
from .nats_server import NatsServer, check_data_dir, running


class KeptServer:
    """A server for as long as we need it: ours, or another process's, which we replace when it ends.

    Two programs on one data directory share the server of the first; the second starts the next one, on the
    same port and data, so that its workers reconnect.
    """

    def __init__(self, server: NatsServer, data_dir: Path, partitions: int, binary: Path | None) -> None:
        self._server = server
        self._data_dir = data_dir
        self._partitions = partitions
        self._binary = binary
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the server if it is ours; its data stays."""
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        await self._server.stop()

    async def _keep(self) -> None:
        while True:
            await self._server.wait()
            self._server = await NatsServer.start(
                self._data_dir, binary=self._binary, partitions=self._partitions
            )


async def running_url(settings: Settings) -> str | None:
    """The url of the embedded server that runs on this machine; None where none does."""
    at = await running(_data_dir(settings))
    return at.url if at else None


def find_server(settings: Settings) -> Path | None:
    """The nats-server that `with_server` may start, found or fetched; None where the settings name one.

    Blocks, for a minute where it is fetched; called outside of an event loop, so that Ctrl-C ends it at once.

    Raises:
        DataUnusable: It would have nowhere to keep its data.
        ServerNotFound: None is here, nor to be had.
    """
    if settings.nats.url:
        return None
    check_data_dir(_data_dir(settings))
    return resolve()


async def with_server(settings: Settings, binary: Path | None = None) -> tuple[Settings, KeptServer | None]:
    """Settings that name a server: those given, or a server started (or found) on the data directory.

    Args:
        binary: The nats-server to start; found, or fetched, where it is not told.

    Returns:
        The settings, and the server, to be stopped at the end; None where the settings named one.

    Raises:
        DataUnusable: The data directory cannot be made or written.
        ServerNotFound: No nats-server could be found or fetched.
        ServerNotStarted: It did not come up.
    """
    if settings.nats.url:
        return settings, None
    data_dir = _data_dir(settings)
    server = await NatsServer.start(data_dir, binary=binary, partitions=settings.partitions)
    nats = msgspec.structs.replace(settings.nats, url=server.url)
    kept = KeptServer(server, data_dir, settings.partitions, binary)
    return msgspec.structs.replace(settings, nats=nats), kept


def _data_dir(settings: Settings) -> Path:
    return settings.data_dir / "nats"
