"""Settings: what an operator can turn, typed, from one TOML file, the environment and flags, in that order.

Unknown keys are refused with the nearest known name, before anything starts. Environment: `NATS_URL`, and
`ACTORIUM_<KEY>` or `ACTORIUM_<TABLE>__<KEY>` for everything else, or `ACTORIUM_<TABLE>` with a JSON object.
Invariant: a Settings value is complete and valid; no setting is read from the environment after it was made.
Keys of models are no settings, unless they are written here: adapters read the variables that providers name.
"""

import math
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from ..actors.fields import decode, nearest
from ..actors.models.prices import Price
from ..actors.models.settings import ModelSettings
from ..bus.errors import ConfigError
from ..bus.subjects import PARTITIONS
from ..bus.value import Json, JsonObject

__all__ = ["NatsSettings", "Settings", "load_settings", "nearest", "read_toml"]

PREFIX = "ACTORIUM_"
RESERVED = frozenset({"ACTORIUM_NATS_SERVER", "ACTORIUM_TEST_NATS"})
TABLES = frozenset({"nats", "models", "prices"})
Names: TypeAlias = tuple[str, ...]


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

    def __post_init__(self) -> None:
        """Refuse what no server could do."""
        if self.replicas not in (1, 3, 5):  # an even number survives no more than one less
            raise ValueError(f"nats.replicas must be 1, 3 or 5, no {self.replicas}")

    def __repr__(self) -> str:
        return f"NatsSettings(url={re.sub('(?<=//)[^/@]*@', '***@', self.url)!r}, ...)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a node. Durations are seconds.

    Attributes:
        models: Providers of language models: addresses, keys, and those that are not known by themselves.
        prices: What tokens cost, by `provider:model`; `*` stands for anything, the first that fits wins.
        node: This machine's name among the others.
        workers: Worker processes; 0: one per core.
        lease: Time after which a silent worker's partitions go to others; 0: 6, or 20 on a cluster.
        block_limit: How long a worker's event loop may be blocked before the supervisor ends the process.
        drain: How long a planned stop waits for what is in hand.
        intensity: Deaths of each worker within ten minutes after which the node gives up; of one that had not
            begun to work every death counts for ten.
        partitions: Written once per namespace; must be the same everywhere.
        mailbox: Stored tasks an agent may have waiting.
        data: Where the embedded server keeps its streams.
        log_level: debug, info, warning or error.
        log_json: One JSON object a line instead of text.
    """

    nats: NatsSettings = NatsSettings()
    models: ModelSettings = ModelSettings()
    prices: dict[str, Price] = {}
    node: str = ""
    workers: int = 0
    lease: float = 0.0
    block_limit: float = 60.0
    drain: float = 30.0
    intensity: int = 100
    partitions: int = PARTITIONS
    mailbox: int = 1000
    data: str = ""
    log_level: str = "info"
    log_json: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work; msgspec turns the ValueError into an error with the key's path."""
        for name in _not_finite(msgspec.to_builtins(self)):
            raise ValueError(f"{name} must be a finite number")
        if self.workers < 0 or self.partitions < 1 or self.mailbox < 1:
            raise ValueError("workers must be 0 or more, partitions and mailbox 1 or more")
        if self.intensity < 0:
            raise ValueError("intensity must be 0 or more deaths")
        if self.lease and not 1.0 <= self.lease <= 300.0:
            raise ValueError("lease must be 1 to 300 seconds, or 0 to choose it by the server")
        if self.block_limit <= 0 or self.drain < 0:
            raise ValueError("block_limit must be above 0 and drain 0 or more seconds")
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ValueError("log_level must be debug, info, warning or error")
        for model, price in self.prices.items():
            _check_price(model, price)

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
        base = os.environ.get(
            "XDG_DATA_HOME", ""
        )  # a relative one is ignored, as the XDG specification wants
        return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "actorium"


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
    for names, value in _from_environment(environment):
        _put(merged, names, value)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(merged, key.split("."), value)
    settings: Settings = decode(merged, Settings, str(path or "settings"))
    return settings


def read_toml(path: Path) -> JsonObject:
    """A TOML file as a dict. Raises ConfigError with file and line."""
    import tomllib  # who has no file does not need it

    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}", file=str(path)) from error


def _check_price(model: str, price: Price) -> None:
    if ":" not in model and "*" not in model:
        raise ValueError(f"prices: {model!r} is no model: write provider:model, such as openai:gpt-5.1")
    if min(price.input, price.output, price.cache_read or 0.0, price.cache_write or 0.0) < 0:
        raise ValueError(f"prices: {model!r} must cost 0 or more")


def _not_finite(value: Json, name: str = "") -> Iterator[str]:
    """Names of numbers that no bound would hold: every comparison with nan is false."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, float) and not math.isfinite(value):
        yield name


def _from_file(path: Path) -> JsonObject:
    values = read_toml(path)
    for wrong, right in (("agents", "agent"), ("workflow", "workflows")):
        if wrong in values:
            raise ConfigError(f"{path}: unknown table {wrong!r}, did you mean {right!r}?")
    program = {"agent", "workflows"} & values.keys()
    table: Json = values.get("actorium", {} if program else values)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: actorium must be a table, no {type(table).__name__}")
    return table


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[Names, object]]:
    """What variables say, by the path of the setting; whole tables first, so that single values win."""
    if environment.get("NATS_URL"):
        yield ("nats", "url"), environment["NATS_URL"]
    for name, value in sorted(environment.items(), key=lambda variable: variable[0].count("__")):
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        names = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if names[0] in TABLES and value.lstrip().startswith("{"):
            yield from _leaves(names, _object(name, value))
        else:
            yield names, value


def _object(name: str, value: str) -> JsonObject:
    try:
        return msgspec.json.decode(value, type=JsonObject)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{name} is no JSON object: {error}", key=name) from error


def _leaves(names: Names, value: object) -> Iterator[tuple[Names, object]]:
    """The single values of a table, so that those beside them stay."""
    if not isinstance(value, dict):
        yield names, value
        return
    for name, inner in value.items():
        yield from _leaves((*names, str(name)), inner)


def _put(values: JsonObject, names: Sequence[str], value: object) -> None:
    *tables, last = names
    for depth, table in enumerate(tables, 1):
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            above, key = ".".join(tables[:depth]), ".".join(names)
            raise ConfigError(f"{above} is a value, no table: {key} cannot be set", key=key)
    values[last] = value
