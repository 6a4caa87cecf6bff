"""Every subject, stream and bucket name, built and validated in this one place.

Not responsible for what travels on them. Invariant: a token is `[a-z0-9_-]{1,63}`, so no name can carry a
wildcard, a dot or a line break into a protocol frame.
"""

import re

from .errors import ConfigError

DEFAULT_TENANT = "default"
PARTITIONS = 64
RESERVED = frozenset({"prompt", "status", "hb", "attachments", "spawn", "list", "stop", "broadcast"})

INGRESS = "INGRESS"
INBOX = "INBOX"
LEDGER = "LED_0"
EVENTS = "EVENTS"
OUTBOX = "OUTBOX"
DEAD_LETTERS = "DLQ"

BROADCAST = "agents.broadcast"
SYSTEM_EVENTS = "system.events"
CHANGED = "ctl.changed"  # core: owners or sessions changed, look now
ANSWERED = "ctl.approvals"  # core: somebody answered a question, its run may go on
ORCHESTRATOR = "orchestrator.inbox"

_TOKEN = re.compile(r"[a-z0-9_-]{1,63}\Z")
_STREAMS = {"inp": INBOX, "led": LEDGER, "dlq": DEAD_LETTERS, "orchestrator": INGRESS}
_LEAVES = {"inbox": INGRESS, "events": EVENTS, "outbox": OUTBOX}


def token(text: str, what: str = "name") -> str:
    """The text itself, if it can stand between two dots of a subject.

    Raises:
        ConfigError: It cannot; the message says which characters can.
    """
    if _TOKEN.match(text) is None:
        raise ConfigError(f"{what} {text!r} must be 1 to 63 of a-z, 0-9, '_' and '-'", name=text)
    return text


def agent_id(text: str) -> str:
    """A valid agent id: a token that is no verb of the agent protocol and no run id.

    Raises:
        ConfigError: It is not.
    """
    if text in RESERVED or text.startswith("run-"):
        raise ConfigError(f"agent id {text!r} is reserved by the protocol, choose another", name=text)
    return token(text, "agent id")


def fnv1a(data: bytes) -> int:
    """The 32-bit FNV-1a hash, which is what the server's `partition()` mapping computes."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def partition(tenant: str, agent: str, partitions: int = PARTITIONS) -> int:
    """The partition of an agent, equal to `partition(P,1)` and `partition(P,1,2)` of nats-server."""
    key = agent if tenant == DEFAULT_TENANT else tenant + agent
    return fnv1a(key.encode()) % partitions


def public(tenant: str, agent: str, leaf: str) -> str:
    """What users see of an agent: `agents.<id>.<leaf>`, under `tenants.<tenant>.` for other tenants."""
    prefix = "" if tenant == DEFAULT_TENANT else f"tenants.{tenant}."
    return f"{prefix}agents.{agent}.{leaf}"


def parse_public(subject: str) -> tuple[str, str, str] | None:
    """Tenant, agent and leaf of a public subject; None where it is not one or holds a bad token."""
    tokens = subject.split(".")
    match tokens:
        case ["agents", agent, leaf]:
            tenant = DEFAULT_TENANT
        case ["tenants", tenant, "agents", agent, leaf]:
            pass
        case _:
            return None
    valid = _TOKEN.match(tenant) and _TOKEN.match(agent) and _TOKEN.match(leaf)
    return (tenant, agent, leaf) if valid else None


def inbox(part: int, tenant: str, agent: str) -> str:
    """Where an agent's durable tasks are stored: `inp.<part>.<tenant>.<agent>`."""
    return f"inp.{part}.{tenant}.{agent}"


def inbox_filter(part: int) -> str:
    """All inboxes of a partition. Not `inp.7.>`: nats-server 2.9.10 refuses that filter."""
    return f"inp.{part}.*.*"


def ledger(part: int, tenant: str, chain: str) -> str:
    """One hash chain of records: `led.<part>.<tenant>.<chain>`, the chain being an agent or a run."""
    return f"led.{part}.{tenant}.{chain}"


def control(part: int, tenant: str, agent: str) -> str:
    """Where the owner of a partition answers: `ctl.<part>.<tenant>.<agent>`."""
    return f"ctl.{part}.{tenant}.{agent}"


def dead_letter(part: int, tenant: str, agent: str) -> str:
    """Where a message goes that could not be handled: `dlq.<part>.<tenant>.<agent>`."""
    return f"dlq.{part}.{tenant}.{agent}"


def consumers(part: int) -> str:
    """What the durable consumers of a partition begin with; the epoch behind it is the fence."""
    return f"p{part}-e"


def stream_of(subject: str) -> str:
    """The stream that keeps a subject; empty where none does."""
    head = subject.partition(".")[0]
    if head in _STREAMS:
        return _STREAMS[head]
    named = parse_public(subject)
    return _LEAVES.get(named[2], "") if named else ""


def split_internal(subject: str) -> tuple[int, str, str]:
    """Partition, tenant and agent of an `inp.`, `led.`, `ctl.` or `dlq.` subject."""
    _, part, tenant, agent = subject.split(".")
    return int(part), tenant, agent


def reply_inbox(token: str) -> str:
    """A core subject for answers, under the prefix that NATS permissions expect."""
    return f"_INBOX.{token}"
