"""Doctor: what a NATS can do for agents, what is missing, what that costs and what to do about it.

Looks at the NATS that the settings name, or that runs here. Not responsible for changing anything: it makes
no stream, and what it writes to read the server's clock it removes again. Invariant: only what keeps agents
from working counts as missing; everything else is a note.
"""

import re
import time
from enum import StrEnum

import msgspec

from ..bus.connection import Version
from ..bus.errors import ActoriumError, BusError, UnsupportedServer
from ..bus.jetstream import NO_STREAM, ApiError
from ..bus.nats import NatsBus
from ..bus.server import check_version, features, probe_mappings
from ..bus.streams import META, META_PARTITIONS, StreamSettings, definitions, differences
from ..bus.subjects import INBOX
from ..bus.value import Json
from ..storage.nats import NatsState
from .config import Settings
from .namespace import connect_bus
from .server.embedded import running_url

BUCKETS = ("KV_nodes", "KV_owners", "KV_defs", "KV_state", "OBJ_blobs")
SKEW = 0.5  # seconds between two clocks that are worth a word
CLOCK = "doctor"  # a key of the bucket `state`
DEFAULT_SYNC = 120  # seconds between two flushes of a server that was told nothing, 2.9.10 included
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}  # in seconds


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at: what is so, what that costs, and what to do."""

    what: str
    level: Level
    says: str
    do: str = ""


async def look_at_server(settings: Settings) -> list[Finding]:
    """Everything about the NATS; one finding where there is none."""
    url = settings.nats.url or await running_url(settings)
    if not url:
        says = "none: NATS_URL names none and no embedded one runs here"
        return [Finding("server", Level.NOTE, says, "actorium dev starts one; or set NATS_URL")]
    nats = msgspec.structs.replace(settings.nats, url=url)
    try:
        bus = await connect_bus(nats, "doctor")
    except ActoriumError as error:
        return [Finding("server", Level.MISSING, error.message)]
    try:
        conf = "" if settings.nats.url else (settings.data_dir / "nats" / "nats.conf").read_text()
        return await _examined(bus, settings, url, conf)
    except (ActoriumError, ApiError) as error:
        return [Finding("server", Level.MISSING, f"{url} stopped answering: {error}", "look at its log")]
    finally:
        await bus.close()


async def _examined(bus: NatsBus, settings: Settings, url: str, conf: str) -> list[Finding]:
    version = bus.server_version
    shown = ".".join(map(str, version))
    found = [_version(version, f"nats-server {shown} at {url}")]
    account = await _account(bus, settings.partitions)
    found.append(account)
    if account.level is Level.MISSING:
        return found
    found += [*await _streams(bus, settings), await _mappings(bus), await _clock(bus)]
    found.append(power_loss(version, sync=_sync(conf), replicas=settings.nats.replicas))
    return found + [_feature(line) for line in features(version).describe()]


def _version(version: Version, shown: str) -> Finding:
    try:
        check_version(version)
    except UnsupportedServer as error:
        return Finding("server", Level.MISSING, error.message)
    return Finding("server", Level.OK, shown)


async def _account(bus: NatsBus, partitions: int) -> Finding:
    """JetStream, and how much the account may have."""
    try:
        info = await bus.js.api("INFO")
    except (BusError, ApiError) as error:
        says = f"JetStream does not answer: {error}"
        return Finding("jetstream", Level.MISSING, says, "enable it: nats-server -js, and for this account")
    return room(info, partitions)


def room(info: Json, partitions: int) -> Finding:
    """Whether a JetStream account has room for what we make in it, by its own account of itself."""
    limits = info.get("limits", {})
    consumers, needed = limits.get("max_consumers", -1), partitions + 1  # one for each, and the relay's
    if 0 <= consumers < needed:
        says = f"the account may have {consumers} consumers, and {partitions} partitions need {needed}"
        return Finding("jetstream", Level.MISSING, says, "raise max_consumers of the account")
    used, limit = info.get("storage", 0), limits.get("max_storage", -1)
    says = f"{_size(used)} stored of {'no limit' if limit < 0 else _size(limit)}"
    if 0 <= limit < used * 10 / 9:
        return Finding(
            "jetstream", Level.NOTE, f"{says}: tasks are refused soon", "raise the account's limit"
        )
    return Finding("jetstream", Level.OK, says)


async def _streams(bus: NatsBus, settings: Settings) -> list[Finding]:
    """Streams and buckets: there, and as this configuration wants them."""
    asked = definitions(
        StreamSettings(
            partitions=settings.partitions, mailbox=settings.mailbox, replicas=settings.nats.replicas
        )
    )
    absent, wrong = [], []
    for name in (*asked, *BUCKETS):
        there = await _stream(bus, name)
        if there is None:
            absent.append(name)
        wrong += [
            f"{name}: {field} is {given!r}, {wanted!r} is asked for"
            for field, wanted, given in (differences(asked.get(name, {}), there) if there else [])
        ]
    do = "actorium dev and actorium up make them"
    if wrong:
        found = Finding("streams", Level.MISSING, "; ".join(wrong), "change the setting or the stream")
    elif absent:
        found = Finding("streams", Level.NOTE, f"not there yet: {', '.join(absent)}", do)
    else:
        found = Finding("streams", Level.OK, f"{len(asked)} streams and {len(BUCKETS)} buckets are there")
    return [found, *(await _partitions(bus, settings) if META not in absent else [])]


async def _stream(bus: NatsBus, name: str) -> dict[str, object] | None:
    try:
        config: dict[str, object] = (await bus.js.api(f"STREAM.INFO.{name}"))["config"]
    except ApiError as error:
        if error.err_code == NO_STREAM:
            return None
        raise
    return config


async def _partitions(bus: NatsBus, settings: Settings) -> list[Finding]:
    written = await bus.newest(META, META_PARTITIONS)
    if written is None:
        return []
    text = written.message.payload.decode()
    if text == str(settings.partitions):
        return [Finding("partitions", Level.OK, text)]
    says = f"the namespace has {text}, and {settings.partitions} are configured"
    return [Finding("partitions", Level.MISSING, says, f"set partitions = {text}; it cannot change")]


async def _mappings(bus: NatsBus) -> Finding:
    if await probe_mappings(bus):
        return Finding("mappings", Level.OK, "a publish to agents.<id>.inbox is in the mailbox at once")
    if await _stream(bus, INBOX) is None:
        return Finding("mappings", Level.NOTE, "not known before the streams are there")
    says = (
        "none: what other NATS clients publish to agents.<id>.inbox waits for a relay; this library does not"
    )
    return Finding(
        "mappings", Level.NOTE, says, "put what `actorium doctor --mappings` prints into nats.conf"
    )


async def _clock(bus: NatsBus) -> Finding:
    """The server's clock against ours, by the time it gives a message that is stored between two looks."""
    store = NatsState(bus.js, "state")
    if await _stream(bus, "KV_state") is None:
        return Finding("clock", Level.NOTE, "not compared: there is no bucket to store a message in yet")
    before = time.time()
    await store.put(CLOCK, b"now", ttl=60.0)
    after = time.time()
    stored = await bus.newest("KV_state", f"$KV.state.{CLOCK}")
    await store.delete(CLOCK)
    if stored is None:
        return Finding("clock", Level.NOTE, "not compared: somebody else removed the message")
    skew = max(before - stored.at, stored.at - after, 0.0)  # what the round trip cannot explain
    if skew < SKEW:
        return Finding(
            "clock", Level.OK, f"the server's differs by less than {max(skew, after - before):.3f} s"
        )
    says = (
        f"the server's differs by {skew:.1f} s: state may end early or late; ownership does not depend on it"
    )
    return Finding("clock", Level.NOTE, says, "synchronise both clocks (NTP)")


def power_loss(version: Version, *, sync: str | None, replicas: int) -> Finding:
    """Which promise holds when machines lose power; the table of docs/guarantees.md in one line.

    Args:
        sync: When the server flushes to its disk: `always`, a duration, or empty for its own default of two
            minutes; None: it cannot be seen from here, for a server does not tell its clients.
        replicas: Servers that keep each message.
    """
    killed = "kill -9 of anything loses nothing acknowledged"
    loss = "a power loss" if replicas == 1 else "a power loss of a minority of the servers"
    if version < (2, 10, 0):
        says = (
            f"{killed}; a power loss may lose the last {DEFAULT_SYNC} s, which 2.9 cannot be told to change"
        )
        do = "nats-server 2.10 or newer takes jetstream { sync_interval: ... }; with always nothing is lost"
        return Finding("power loss", Level.NOTE, says, do)
    if sync == "always":
        says = f"sync_interval is always: {loss} loses 0 s of what was acknowledged"
        return Finding("power loss", Level.OK, says)
    if sync is None:
        says = (
            f"{killed}; sync_interval is unknown, for the server does not tell: {loss} may lose the last "
            f"{DEFAULT_SYNC} s (its default), and 0 s only with sync_interval: always"
        )
        return Finding("power loss", Level.NOTE, says, "check nats.conf: jetstream { sync_interval: always }")
    told = f"sync_interval is {sync}" if sync else "sync_interval is its default"
    says = f"{killed}; {told}: a power loss may lose the last {_seconds(sync)} s"
    do = "run a nats-server of your own with jetstream { sync_interval: always } and set NATS_URL"
    return Finding("power loss", Level.NOTE, says, do)


def _seconds(sync: str) -> str:
    """Seconds of a duration as nats.conf has it; the text itself where it is none that we know."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", sync)
    if "".join(number + unit for number, unit in parts) != sync:
        return sync
    return f"{sum(float(number) * UNITS[unit] for number, unit in parts) if sync else DEFAULT_SYNC:g}"


def _sync(conf: str) -> str | None:
    """The sync_interval of a nats.conf, empty where it says none; None without a conf."""
    found = re.search(r'^\s*sync_interval\s*[:=]\s*"?(\w+)', conf, re.MULTILINE)
    return (found[1] if found else "") if conf else None


def _feature(line: str) -> Finding:
    name, _, says = line.partition(": ")
    return Finding(name, Level.OK if says == "yes" else Level.NOTE, says)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
