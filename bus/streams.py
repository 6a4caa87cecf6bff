"""Streams: what the server keeps, how much of it and for how long, made or checked before anything starts.

Not responsible for buckets of state (`storage/`). Invariant: a stream is used only after the server has
echoed what was asked of it; old servers drop silently what they do not know.
"""

import logging
from typing import Any

import msgspec

from .connection import Version
from .errors import ConfigError, UnsupportedServer
from .jetstream import NO_STREAM, WRONG_LAST, ApiError, JetStream, Json
from .patience import Patience
from .server import Features, check_version, features
from .subjects import (
    DEAD_LETTERS,
    EVENTS,
    INBOX,
    INGRESS,
    LEDGER,
    ORCHESTRATOR,
    OUTBOX,
    PARTITIONS,
)

log = logging.getLogger("actorium.bus")

DAY = 86400.0  # seconds
META = "KV_meta"  # a bucket to nats tools: `nats kv get meta partitions`
META_PARTITIONS = "$KV.meta.partitions"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen about streams. Durations are seconds.

    Attributes:
        partitions: Written once for a namespace and never changed.
        replicas: Servers that keep each message; 1, 3 or 5.
        mailbox: Tasks an agent may have waiting.
        window: How long the server knows a message id again.
        events_kept: Events of one agent, the newest.
        patience: How long a server without an answer is asked again.
    """

    partitions: int = PARTITIONS
    replicas: int = 1
    mailbox: int = 1000
    window: float = 120.0
    events_kept: int = 10_000
    events_age: float = 7 * DAY
    outbox_age: float = 7 * DAY
    dead_letters_age: float = 30 * DAY
    patience: float = 20.0


def definitions(settings: StreamSettings) -> dict[str, Json]:
    """Every stream and what is asked for it, as the server's JSON wants it."""
    mailbox = {
        "retention": "workqueue",
        "discard": "new",
        "max_msgs_per_subject": settings.mailbox,
        "discard_new_per_subject": True,
        "duplicate_window": _nanos(settings.window),
    }
    asked: dict[str, Json] = {
        INGRESS: {"subjects": [*_leaf("inbox"), ORCHESTRATOR], **mailbox},
        INBOX: {"subjects": ["inp.*.*.*"], **mailbox},
        LEDGER: {"subjects": ["led.>"], "discard": "new", "deny_delete": True, "deny_purge": True},
        EVENTS: {
            "subjects": _leaf("events"),
            "discard": "old",
            "max_age": _nanos(settings.events_age),
            "max_msgs_per_subject": settings.events_kept,
        },
        OUTBOX: {
            "subjects": _leaf("outbox"),
            "discard": "old",
            "max_age": _nanos(settings.outbox_age),
            "duplicate_window": _nanos(settings.window),
        },
        DEAD_LETTERS: {
            "subjects": ["dlq.*.*.*"],
            "discard": "old",
            "max_age": _nanos(settings.dead_letters_age),
        },
        META: {
            "subjects": ["$KV.meta.>"],
            "discard": "new",
            "max_msgs_per_subject": 1,
            "deny_delete": True,
            "allow_rollup_hdrs": True,
        },
    }
    common = {"retention": "limits", "storage": "file", "num_replicas": settings.replicas}
    return {name: {"name": name, **common, **config} for name, config in asked.items()}


async def provision(js: JetStream, version: Version, settings: StreamSettings) -> Features:
    """Make every stream, or accept it as it is where it is what we ask for. Idempotent.

    Returns:
        What the server can do beyond the floor.

    Raises:
        UnsupportedServer: The server is refused, or dropped a field that we need.
        ConfigError: A stream is there with another configuration, or the number of partitions is another.
        BusLost: The server did not answer.
    """
    check_version(version)
    patience = Patience(settings.patience)
    for asked in definitions(settings).values():
        await ensure_stream(js, asked, patience)
    await patience.ask(lambda: _agree(js, settings.partitions), "reading the partitions")
    return features(version)


async def ensure_stream(js: JetStream, asked: Json, patience: Patience) -> None:
    """Make a stream, or accept it as it is where it is what we ask for. Idempotent.

    Raises:
        ConfigError: It is there with another configuration, or cannot be made.
        UnsupportedServer: The server cannot keep it, or made another one than it was asked for.
        BusLost: The server did not answer.
    """
    name = asked["name"]
    try:
        found = await patience.ask(lambda: _config_of(js, name), f"reading stream {name}")
    except ApiError as error:
        raise ConfigError(f"stream {name}: {error}", stream=name) from error
    if found is not None:
        check_echo(asked, found, existed=True)
        return
    try:
        made = await patience.ask(lambda: js.api(f"STREAM.CREATE.{name}", asked), f"making stream {name}")
    except ApiError as error:
        raise ConfigError(f"stream {name} cannot be made: {error}", stream=name) from error
    log.info("bus.stream_made", extra={"stream": name})
    check_echo(asked, made["config"], existed=False)


async def _config_of(js: JetStream, name: str) -> Json | None:
    try:
        found: Json = (await js.api(f"STREAM.INFO.{name}"))["config"]
    except ApiError as error:
        if error.err_code == NO_STREAM:
            return None
        raise
    return found


def check_echo(asked: Json, echo: Json, *, existed: bool) -> None:
    """Refuse a stream that is not what was asked for.

    A server before 2.10 is known by a setting that it does not echo. On 2.9.10 with three replicas two writes
    at once that expect the same sequence were both acknowledged, 400 of 400 times: it fences nobody
    (nats-server#4320). One replica is safe there.

    Raises:
        ConfigError: It existed and differs.
        UnsupportedServer: The server made it otherwise, or cannot keep it.
    """
    name = asked["name"]
    if asked["num_replicas"] > 1 and "compression" not in echo:
        raise UnsupportedServer(
            f"stream {name}: nats-server before 2.10 does not compare-and-set on replicated streams; "
            "use a newer server, or one replica",
            stream=name,
        )
    wrong = differences(asked, echo)
    if not wrong:
        return
    found = "; ".join(f"{field} = {given!r}, and {wanted!r} is asked for" for field, wanted, given in wrong)
    fields = {"stream": name, "field": wrong[0][0]}
    if existed:
        do = f"change the setting, or the stream with `nats stream edit {name}`"
        raise ConfigError(f"stream {name} is there with {found}: {do}", **fields)
    do = "use a newer server, and remove that stream first"
    raise UnsupportedServer(f"the server made stream {name} with {found}: {do}", **fields)


def differences(asked: Json, echo: Json) -> list[tuple[str, Any, Any]]:
    """Field, asked and echoed, where they differ; of metadata the server may add to what was asked."""
    pairs = ((field, *_comparable(field, wanted, echo.get(field))) for field, wanted in asked.items())
    return [(field, wanted, given) for field, wanted, given in pairs if wanted != given]


def _comparable(field: str, wanted: Any, given: Any) -> tuple[Any, Any]:
    if field == "metadata":
        return wanted, {key: value for key, value in (given or {}).items() if key in wanted}
    if field == "subjects":
        return sorted(wanted), sorted(given or [])
    return wanted, given or type(wanted)()  # servers leave out what is off


async def _agree(js: JetStream, partitions: int) -> None:
    """Write the number of partitions, or find another: then no agent would be where it is looked for."""
    try:
        ack = await js.publish(META_PARTITIONS, str(partitions).encode(), {EXPECTED_LAST: "0"})
        if ack.seq:
            return
    except ApiError as error:
        if error.err_code not in WRONG_LAST:
            raise
    written = await js.get(META, last_by=META_PARTITIONS)
    text = written.message.payload.decode() if written else "none"
    if text != str(partitions):
        raise ConfigError(
            f"this namespace has {text} partitions and {partitions} are configured: "
            f"the number cannot change, set partitions = {text}",
            partitions=text,
        )


def _leaf(leaf: str) -> list[str]:
    return [f"agents.*.{leaf}", f"tenants.*.agents.*.{leaf}"]


def _nanos(seconds: float) -> int:
    return int(seconds * 1e9)
