"""The embedded server as the settings see it: where its data is, whether one runs, and that one stays up."""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from .config import Settings
from .nats_server import NatsServer, running


class KeptServer:
    """A server for as long as we need it: ours, or another process's, which we replace when it ends.

    Two programs on one data directory share the server of the first; the second starts the next one, on the
    same port and data, so that its workers reconnect.
    """

    def __init__(self, server: NatsServer, data_dir: Path, partitions: int) -> None:
        self._server = server
        self._data_dir = data_dir
        self._partitions = partitions
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
            self._server = await NatsServer.start(self._data_dir, partitions=self._partitions)


async def running_url(settings: Settings) -> str | None:
    """The url of the embedded server that runs on this machine; None where none does."""
    at = await running(_data_dir(settings))
    return at.url if at else None


async def with_server(settings: Settings) -> tuple[Settings, KeptServer | None]:
    """Settings that name a server: those given, or a server started (or found) on the data directory.

    Returns:
        The settings, and the server, to be stopped at the end; None where the settings named one.

    Raises:
        ServerNotFound: No nats-server could be found or fetched.
        ServerNotStarted: It did not come up.
    """
    if settings.nats.url:
        return settings, None
    server = await NatsServer.start(_data_dir(settings), partitions=settings.partitions)
    nats = msgspec.structs.replace(settings.nats, url=server.url)
    kept = KeptServer(server, _data_dir(settings), settings.partitions)
    return msgspec.structs.replace(settings, nats=nats), kept


def _data_dir(settings: Settings) -> Path:
    return settings.data_dir / "nats"
