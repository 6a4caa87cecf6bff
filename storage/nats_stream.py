"""Streams behind our buckets: made once, and compared with what was asked.

Not responsible for the streams of messages (`bus/streams.py`).
Invariant: an old server drops configuration that it does not know without a word, so no answer is believed
before it was compared.
"""

from ..bus.errors import ConfigError, UnsupportedServer
from ..bus.jetstream import ApiError, JetStream
from ..bus.value import JsonObject
from .patience import Patience

NAME_IN_USE = 10058
TWO_MINUTES = 120_000_000_000  # nanoseconds, as all durations of the storage API

Config = JsonObject


def bucket_config(stream: str, subjects: list[str], replicas: int) -> Config:
    """What key-value and object buckets have in common; clients of every language read them as such."""
    return {
        "name": stream,
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": False,  # a direct get may be answered by a replica that is behind
        "duplicate_window": TWO_MINUTES,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
    }


async def ensure_stream(js: JetStream, config: Config, patience: Patience) -> None:
    """Make a stream where there is none. Idempotent.

    Raises:
        ConfigError: It exists and differs; the message says in what.
        UnsupportedServer: The server cannot keep such a stream, or made another one than it was asked for.
        StoreUnavailable: No answer in time.
    """
    name = config["name"]
    try:
        there = await patience.ask(lambda: _create(js, config), f"making stream {name}")
        existed = False
    except _InUse:
        there = await patience.ask(lambda: js.api(f"STREAM.INFO.{name}"), f"reading stream {name}")
        existed = True
    check_echo(config, there["config"], existed=existed)


def check_echo(asked: Config, there: Config, *, existed: bool) -> None:
    """Refuse a stream that is not what was asked for.

    A server before 2.10 is known by a setting that it does not echo. On 2.9.10 with three replicas two writes
    at once that expect the same sequence were both acknowledged, 400 of 400 times: it fences nobody
    (nats-server#4320). One replica is safe there.

    Raises:
        ConfigError: It existed and differs.
        UnsupportedServer: The server made it otherwise, or cannot keep it.
    """
    name = asked["name"]
    if asked["num_replicas"] > 1 and "compression" not in there:
        raise UnsupportedServer(
            f"stream {name}: nats-server before 2.10 does not compare-and-set on replicated streams; "
            "use a newer server, or one replica",
            stream=name,
        )
    wrong = _differences(asked, there)
    if wrong and existed:
        text = f"stream {name} exists with other settings: {wrong}; change or remove it"
        raise ConfigError(text, stream=name)
    if wrong:
        raise UnsupportedServer(f"the server made stream {name} otherwise than asked: {wrong}", stream=name)


class _InUse(Exception):
    """A stream of that name exists with another configuration."""


async def _create(js: JetStream, config: Config) -> JsonObject:
    try:
        return await js.api(f"STREAM.CREATE.{config['name']}", config)
    except ApiError as error:
        if error.err_code == NAME_IN_USE:
            raise _InUse from error
        raise


def _differences(asked: Config, there: Config) -> str:
    """Settings that are not as asked; what was not asked for may be anything. Servers leave out the falsy."""
    wrong = [key for key, value in asked.items() if (there.get(key) or 0) != (value or 0)]
    return ", ".join(f"{key} is {there.get(key)!r}, asked {asked[key]!r}" for key in wrong)
