"""The four ports on NATS under one name; each has a file of its own beside this one."""

from .nats_blobs import NatsBlobs
from .nats_leases import NatsLeases
from .nats_ledger import NatsLedger
from .nats_state import NatsState

__all__ = ["NatsBlobs", "NatsLeases", "NatsLedger", "NatsState"]
