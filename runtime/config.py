"""Settings: what an operator can turn, typed, from one TOML file, the environment and flags, in that order.

Unknown keys are refused with the nearest known name, before anything starts. Environment: `NATS_URL`, and
`ACTORIUM_<KEY>` or `ACTORIUM_<TABLE>__<KEY>` for everything else. Invariant: a Settings value is complete and
valid; nothing reads the environment after it was made.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import get_type_hints

import msgspec

from ..bus.errors import ConfigError
from ..bus.subjects import PARTITIONS
from ..bus.value import Json, JsonObject

PREFIX = "ACTORIUM_"


class NatsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach NATS. An empty url means the embedded server, where one may be started.

    Attributes:
        creds: Path of a credentials file; `token`, `user` and `password` are the plainer ways.
        replicas: Copies of every stream: 1, or 3 and 5 on a cluster.
    """

    url: str = ""
    creds: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    replicas: int = 1

    def __repr__(self) -> str:
        return f"NatsSettings(url={self.url!r}, ...)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a node. Durations are seconds.

    Attributes:
        node: This machine's name among the others.
        workers: Worker processes; 0: one per core.
        lease: Time after which a silent worker's partitions go to others; 0: 6, or 20 on a cluster.
        block_limit: How long a worker's event loop may be blocked before the supervisor ends the process.
        drain: How long a planned stop waits for what is in hand.
        partitions: Written once per namespace; must be the same everywhere.
        mailbox: Stored tasks an agent may have waiting.
        data: Where the embedded server keeps its streams.
        log_level: debug, info, warning or error.
        log_json: One JSON object a line instead of text.
    """

    nats: NatsSettings = NatsSettings()
    node: str = ""
    workers: int = 0
    lease: float = 0.0
    block_limit: float = 60.0
    drain: float = 30.0
    partitions: int = PARTITIONS
    mailbox: int = 1000
    data: str = ""
    log_level: str = "info"
    log_json: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work; msgspec turns the ValueError into an error with the key's path."""
        if self.workers < 0 or self.partitions < 1 or self.mailbox < 1:
            raise ValueError("workers must be 0 or more, partitions and mailbox 1 or more")
        if self.lease and not 1.0 <= self.lease <= 300.0:
            raise ValueError("lease must be 1 to 300 seconds, or 0 to choose it by the server")
        if self.block_limit <= 0 or self.drain < 0:
            raise ValueError("block_limit must be above 0 and drain 0 or more seconds")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ValueError("log_level must be debug, info, warning or error")

    @property
    def node_name(self) -> str:
        """The node's name: as set, else the host's, as a token."""
        name = self.node or socket.gethostname().split(".")[0]
        return re.sub(r"[^a-z0-9_-]", "-", name.lower())[:63] or "node"

    @property
    def worker_count(self) -> int:
        """Worker processes to run."""
        return self.workers or os.cpu_count() or 1

    @property
    def data_dir(self) -> Path:
        """Where the embedded server keeps its streams."""
        if self.data:
            return Path(self.data).expanduser()
        home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(home).expanduser() / "actorium"


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Json] | None = None,
) -> Settings:
    """Settings from a TOML file's `[actorium]` table (or its top level), the environment, and flags.

    Args:
        path: The file; None: no file.
        environment: Variables; read once, here.
        flags: Values by dotted key that win over both; None values are skipped.

    Raises:
        ConfigError: The file does not read, a key is unknown or a value does not fit; it names which.
    """
    merged: JsonObject = _from_file(path) if path else {}
    for key, value in _from_environment(environment).items():
        _put(merged, key, value)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(merged, key, value)
    settings: Settings = decode(merged, Settings, str(path or "settings"))
    return settings


def read_toml(path: Path) -> JsonObject:
    """A TOML file as a dict. Raises ConfigError with file and line."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}", file=str(path)) from error


def decode(values: Mapping[str, Json], shape: type[Json], where: str) -> Json:
    """Values as a Struct; the error of a mistyped key names the nearest known one.

    Raises:
        ConfigError: A key is unknown or a value does not fit.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a table, not {values!r}")
    _refuse_unknown(values, shape, where, "")
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def nearest(name: str, known: list[str]) -> str:
    """A hint for a mistyped name: ", did you mean 'x'?" or what there is."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f", did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known)) or 'none'}"


def _refuse_unknown(values: Mapping[str, Json], shape: type[Json], where: str, prefix: str) -> None:
    hints = get_type_hints(shape)
    known = [field.name for field in msgspec.structs.fields(shape)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {prefix + key!r}{nearest(key, known)}", key=prefix + key)
        inner = hints[key]
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _refuse_unknown(value, inner, where, f"{prefix}{key}.")


def _from_file(path: Path) -> JsonObject:
    values = read_toml(path)
    alone = {key: value for key, value in values.items() if key != "agent"}
    table: Json = values.get("actorium", {} if "agent" in values else alone)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: actorium must be a table, not {table!r}")
    return table


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {"nats.url": environment["NATS_URL"]} if environment.get("NATS_URL") else {}
    reserved = {"ACTORIUM_NATS_SERVER", "ACTORIUM_TEST_NATS"}
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in reserved:
            found[name.removeprefix(PREFIX).lower().replace("__", ".")] = value
    return found


def _put(values: JsonObject, key: str, value: object) -> None:
    *tables, last = key.split(".")
    for depth, table in enumerate(tables, 1):
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            above = ".".join(tables[:depth])
            raise ConfigError(f"{above} is a value, no table: {key} cannot be set", key=key)
    values[last] = value
