"""Namespace: everything that one connection gives: bus, ledger, leases, blobs, registry, state.

The only place that picks technologies. Invariant: two processes with the same settings see the same agents.
"""

import msgspec

from ..bus.connection import Credentials
from ..bus.errors import ConfigError, NoOwner, UnsupportedServer
from ..bus.nats import NatsBus
from ..bus.patience import Patience
from ..bus.port import Bus
from ..bus.server import Features
from ..bus.streams import META, META_PARTITIONS, StreamSettings, provision
from ..bus.subjects import PARTITIONS
from ..storage.nats import NatsBlobs, NatsLeases, NatsLedger, NatsState
from ..storage.port import Blobs, Leases, Ledger, StateStore
from .config import NatsSettings, Settings
from .registry import Registry

LEASE_SINGLE = 6.0  # seconds; a cluster needs 5 to 15 s to get over a leader that was killed
LEASE_CLUSTER = 20.0


class Namespace(msgspec.Struct, frozen=True):
    """One connection and what is reached through it."""

    bus: Bus
    ledger: Ledger
    leases: Leases
    blobs: Blobs
    state: StateStore
    live: StateStore
    registry: Registry
    partitions: int = PARTITIONS

    async def close(self) -> None:
        """Close the connection."""
        await self.bus.close()


async def connect(settings: Settings, name: str) -> Namespace:
    """Connect to the NATS of the settings.

    Raises:
        ConfigError: No url, a wrong one, or refused credentials.
        BusLost: Nobody answered in time.
    """
    bus = await connect_bus(settings.nats, name)
    return over(bus, await written_partitions(bus) or settings.partitions)


def over(bus: NatsBus, partitions: int) -> Namespace:
    """The namespace behind a NATS connection."""
    js = bus.js
    return Namespace(
        bus=bus,
        ledger=NatsLedger(js),
        leases=NatsLeases(js),
        blobs=NatsBlobs(js),
        state=NatsState(js, "state"),
        live=NatsState(js, "live", forgetful=True),
        registry=Registry(NatsState(js, "defs")),
        partitions=partitions,
    )


async def written_partitions(bus: NatsBus) -> int | None:
    """The number of partitions that the namespace was made with; None where nothing was made yet."""
    try:
        written = await bus.newest(META, META_PARTITIONS)
    except ConfigError:
        return None
    except NoOwner as error:
        raise UnsupportedServer("the NATS server has JetStream switched off: start it with -js") from error
    text = written.message.payload.decode(errors="replace") if written else ""
    return int(text) if text.isdigit() else None


async def connect_bus(nats: NatsSettings, name: str, *, js_timeout: float = 3.0) -> NatsBus:
    """A NATS connection of these settings; raises as `connect`."""
    if not nats.url:
        raise ConfigError("no NATS server is named: set NATS_URL, or start one with actorium dev")
    credentials = Credentials(creds=nats.creds, token=nats.token, user=nats.user, password=nats.password)
    return await NatsBus.connect(nats.url, name=name, credentials=credentials, js_timeout=js_timeout)


async def connect_leases(nats: NatsSettings, name: str, ttl: float) -> tuple[NatsLeases, NatsBus]:
    """Leases on a connection of their own, that gives up soon enough to be tried again within the lease."""
    bus = await connect_bus(nats, name, js_timeout=min(3.0, ttl / 4))
    return NatsLeases(bus.js, patience=Patience(ttl / 4)), bus


async def prepare(settings: Settings, bus: NatsBus) -> Features:
    """Make or check every stream and bucket.

    Raises:
        ConfigError: One exists with other settings, or the namespace has another number of partitions.
        UnsupportedServer: The server is too old, loses data, or drops what was asked.
    """
    await written_partitions(bus)
    asked = StreamSettings(
        partitions=settings.partitions, mailbox=settings.mailbox, replicas=settings.nats.replicas
    )
    features = await provision(bus.js, bus.server_version, asked)
    await NatsLeases(bus.js).ensure(settings.nats.replicas)
    await NatsBlobs(bus.js).ensure(settings.nats.replicas)
    for bucket in ("defs", "state", "live"):
        await NatsState(bus.js, bucket).ensure(settings.nats.replicas)
    return features


def lease_of(settings: Settings) -> float:
    """The lease: as set, else by the number of replicas."""
    return settings.lease or (LEASE_SINGLE if settings.nats.replicas == 1 else LEASE_CLUSTER)
