"""Streams behind our buckets: what is asked for them.

Not responsible for making streams (`bus/streams.py`).
"""

from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.streams import ensure_stream
from ..bus.value import JsonObject
from .nats_ask import as_storage_errors

TWO_MINUTES = 120_000_000_000  # nanoseconds, as all durations of the storage API


def bucket_config(stream: str, subjects: list[str], replicas: int) -> JsonObject:
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


async def ensure_bucket(js: JetStream, config: JsonObject, patience: Patience) -> None:
    """Make the stream of a bucket where there is none. Idempotent.

    Raises:
        ConfigError: It exists and differs, or cannot be made; the message says in what, or why.
        UnsupportedServer: The server cannot keep such a stream, or made another one than it was asked for.
        StoreUnavailable: No answer in time.
    """
    with as_storage_errors(f"making stream {config['name']}"):
        await ensure_stream(js, config, patience)
