"""NatsBlobs: large values in an object bucket of NATS; `nats object get <bucket> <hash>` reads them too.

Written over the raw API: nats-py's reader waits for ever for a chunk that is missing, and its writer doubles
a chunk whose ack was lost. Not responsible for removing blobs.
Invariant: the chunks stand before the entry that names them, so a blob that has a name is whole.
"""

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

import msgspec

from ..bus.jetstream import JetStream
from ..bus.patience import Patience
from ..bus.port import Past
from .errors import Corrupt, NotFound, StorageError
from .nats_ask import ask
from .nats_stream import bucket_config, ensure_bucket
from .nats_write import Overtaken, Write, settle

CHUNK = 128 * 1024  # bytes; what the other clients use, and well below the server's 1 MiB with base64


class _Options(msgspec.Struct, frozen=True):
    max_chunk_size: int = CHUNK


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of an object, as ADR-20 of the NATS project lays it down; `nuid` names its chunks."""

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    mtime: str = ""
    chunks: int = 0
    digest: str = ""
    deleted: bool = False
    options: _Options = _Options()


class NatsBlobs:
    """`Blobs` in one object bucket; reads are answered by its leader.

    Args:
        js: The storage API of a connection.
        bucket: The bucket's name.
        patience: How long each request goes on without an answer.
        now: The wall clock, seconds since 1970, for the time that the entry tells.
    """

    def __init__(
        self,
        js: JetStream,
        bucket: str = "blobs",
        *,
        patience: Patience | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._js = js
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._patience = patience or Patience()
        self._now = now

    async def ensure(self, replicas: int = 1) -> None:
        """Make the bucket where there is none.

        Raises:
            ConfigError: It exists with other settings.
            UnsupportedServer: The server did not make what was asked.
            StoreUnavailable: No answer in time.
        """
        subjects = [f"$O.{self._bucket}.C.>", f"$O.{self._bucket}.M.>"]
        await ensure_bucket(self._js, bucket_config(self._stream, subjects, replicas), self._patience)

    async def put(self, data: bytes) -> str:
        """Store bytes once; nothing is sent where they are stored already.

        Cancellation: some chunks may stay behind without a name; they are only space.

        Returns:
            Their SHA-256 in hex, which is their name.

        Raises:
            StoreUnavailable: No answer in time; call again.
        """
        sha = sha256(data)
        name = sha.hexdigest()
        standing = await self._entry(name)
        if standing is not None and not _info(standing).deleted:
            return name
        nuid = secrets.token_hex(11)
        chunks = await self._send_chunks(f"$O.{self._bucket}.C.{nuid}", data)
        info = _Info(
            name=name,
            bucket=self._bucket,
            nuid=nuid,
            size=len(data),
            mtime=datetime.fromtimestamp(self._now(), UTC).isoformat(),
            chunks=chunks,
            digest="SHA-256=" + urlsafe_b64encode(sha.digest()).decode(),
        )
        await self._send_entry(info, after=standing.seq if standing else 0)
        return name

    async def get(self, digest: str) -> bytes:
        """The bytes of a hash, read from the leader and checked.

        Raises:
            NotFound: There is no such blob.
            Corrupt: Chunks are missing or changed.
            StoreUnavailable: No answer in time.
        """
        entry = await self._entry(digest)
        if entry is None or (info := _info(entry)).deleted:
            raise NotFound(f"bucket {self._bucket} has no blob {digest}", digest=digest)
        data = await self._receive_chunks(f"$O.{self._bucket}.C.{info.nuid}")
        if sha256(data).hexdigest() != digest:
            raise Corrupt(f"blob {digest} has other bytes than its name says", digest=digest)
        return data

    def _entry_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{urlsafe_b64encode(name.encode()).decode()}"

    async def _entry(self, name: str) -> Past | None:
        read = partial(self._js.get, self._stream, last_by=self._entry_subject(name))
        return await ask(self._patience, read, f"reading blob {name}")

    async def _send_chunks(self, subject: str, data: bytes) -> int:
        after = 0
        starts = range(0, len(data), CHUNK)
        for start in starts:
            chunk = data[start : start + CHUNK]
            write = Write(stream=self._stream, subject=subject, payload=chunk, after=after)
            after = await settle(self._js, write, self._patience)
        return len(starts)

    async def _send_entry(self, info: _Info, *, after: int) -> None:
        write = Write(
            stream=self._stream,
            subject=self._entry_subject(info.name),
            payload=msgspec.json.encode(info),
            after=after,
            headers={"Nats-Rollup": "sub"},
        )
        try:
            await settle(self._js, write, self._patience)
        except Overtaken:
            # Somebody else stored the same bytes meanwhile: theirs has the name, our chunks may go.
            body = {"filter": f"$O.{self._bucket}.C.{info.nuid}"}
            with suppress(StorageError):
                await ask(
                    self._patience,
                    partial(self._js.api, f"STREAM.PURGE.{self._stream}", body),
                    f"purging {info.nuid}",
                )

    async def _receive_chunks(self, subject: str) -> bytes:
        chunks: list[bytes] = []
        after = 0
        while True:
            read = partial(self._js.get, self._stream, seq=after + 1, next_by=subject)
            chunk = await ask(self._patience, read, f"reading {subject}")
            if chunk is None:
                return b"".join(chunks)
            chunks.append(chunk.message.payload)
            after = chunk.seq


def _info(past: Past) -> _Info:
    try:
        return msgspec.json.decode(past.message.payload, type=_Info)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        subject = past.message.subject
        raise Corrupt(f"{subject} is no entry of an object: {error}", subject=subject) from error
