"""The embedded server as the settings see it: where its data is, and whether one runs."""

import msgspec

from .config import Settings
from .nats_server import NatsServer, running


async def running_url(settings: Settings) -> str | None:
    """The url of the embedded server that runs on this machine; None where none does."""
    at = await running(settings.data_dir / "nats")
    return at.url if at else None


async def with_server(settings: Settings) -> tuple[Settings, NatsServer | None]:
    """Settings that name a server: those given, or a server started (or found) on the data directory.

    Returns:
        The settings, and the server where it is ours to wait for and to stop.

    Raises:
        ServerNotFound: No nats-server could be found or fetched.
        ServerNotStarted: It did not come up.
    """
    if settings.nats.url:
        return settings, None
    server = await NatsServer.start(settings.data_dir / "nats")
    nats = msgspec.structs.replace(settings.nats, url=server.url)
    return msgspec.structs.replace(settings, nats=nats), server
