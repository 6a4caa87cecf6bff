"""Server: which nats-server is there, what it can do, and what is lost without it.

Not responsible for streams (`streams.py`). Invariant: a server known to lose data is refused.
"""

from secrets import token_hex

import msgspec

from .connection import Version
from .envelope import EXPECTED_STREAM
from .errors import NoOwner, UnsupportedServer
from .jetstream import PubAck
from .port import Bus
from .subjects import INBOX, PARTITIONS, public

FLOOR: Version = (2, 9, 10)
LOSING = ((2, 10, 20), (2, 10, 22))  # first and last release of nats-server#6888

_ack = msgspec.json.Decoder(PubAck)


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What a server can do beyond the floor. Found by version; provisioning compares what it echoes.

    Attributes:
        metadata: Streams keep labels.
        multi_filter: A consumer may have several filter subjects.
        sync_always: The server can be told to flush to disk before it acknowledges.
        msg_ttl: Single messages and keys may expire.
        atomic_batch: Several messages are stored all or not at all.
        schedules: The server delivers a message at a time.
        discard_safe: Replicas agree on full mailboxes (nats-server#7607).
    """

    metadata: bool
    multi_filter: bool
    sync_always: bool
    msg_ttl: bool
    atomic_batch: bool
    schedules: bool
    discard_safe: bool

    def describe(self) -> list[str]:
        """One line per feature, with what its absence costs."""
        names = self.__struct_fields__
        return [f"{name}: yes" if getattr(self, name) else f"{name}: no, {_COSTS[name]}" for name in names]


_COSTS = {
    "metadata": "streams carry no labels; nothing else changes",
    "multi_filter": "one consumer per partition is used, as everywhere",
    "sync_always": "a power loss may take acknowledged messages of the last minute; kill -9 does not",
    "msg_ttl": "expired state is swept by its reader instead of by the server",
    "atomic_batch": "records are stored one by one; each is fenced by itself",
    "schedules": "timers live in the workers only",
    "discard_safe": "on clusters, replicas may disagree about a full mailbox after one caught up",
}


def features(version: Version) -> Features:
    """What a server of that version can do."""
    return Features(
        metadata=version >= (2, 10, 0),
        multi_filter=version >= (2, 10, 0),
        sync_always=version >= (2, 10, 0),
        msg_ttl=version >= (2, 11, 0),
        atomic_batch=version >= (2, 12, 0),
        schedules=version >= (2, 12, 0),
        discard_safe=version >= (2, 12, 3),
    )


def check_version(version: Version) -> None:
    """Refuse servers that cannot be used.

    Raises:
        UnsupportedServer: Too old, or one that loses acknowledged messages.
    """
    text = ".".join(str(number) for number in version)
    if version < FLOOR:
        raise UnsupportedServer(
            f"nats-server {text} is too old, install 2.9.10 or newer (2.12 or newer is best)", version=text
        )
    if LOSING[0] <= version <= LOSING[1]:
        raise UnsupportedServer(
            f"nats-server {text} loses acknowledged messages (nats-server#6888), install 2.10.23 or newer",
            version=text,
        )


async def probe_mappings(bus: Bus, timeout: float = 3.0) -> bool:
    """Whether the server maps `agents.<id>.inbox` into INBOX itself, so that no relay is needed.

    Nothing is stored: the probe expects a stream that is neither, and the refusal names the one it met.

    Raises:
        DeadlineExceeded: No answer.
        BusLost: The connection went away.
    """
    subject = public("default", f"probe-{token_hex(4)}", "inbox")
    headers = {EXPECTED_STREAM: "PROBE"}
    try:
        reply = await bus.request(subject, b"", headers, timeout=timeout)
    except NoOwner:
        return False
    try:
        return _ack.decode(reply.payload).stream == INBOX
    except msgspec.DecodeError:
        return False


def nats_mappings(partitions: int = PARTITIONS) -> str:
    """The lines of a nats.conf that put what is published to `agents.<id>.inbox` straight into INBOX."""
    own = f"inp.{{{{partition({partitions},1)}}}}.default.{{{{wildcard(1)}}}}"
    tenant = f"inp.{{{{partition({partitions},1,2)}}}}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"
    return f'mappings = {{\n  "agents.*.inbox": "{own}"\n  "tenants.*.agents.*.inbox": "{tenant}"\n}}\n'
