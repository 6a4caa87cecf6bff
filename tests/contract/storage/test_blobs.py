"""The contract of blobs: bytes by their hash, stored once, checked when read."""

import asyncio
import hashlib

import nats
import pytest

from actorium.storage.errors import Corrupt, NotFound
from actorium.storage.port import Blobs

LARGE = bytes(range(256)) * 2048 + b"tail"  # half a MiB and a bit: five chunks


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * (128 * 1024), LARGE], ids=["0", "1", "chunk", "large"])
async def test_bytes_are_read_by_their_hash(blobs: Blobs, data: bytes) -> None:
    """A blob's name is the SHA-256 of its bytes, and reading the name gives the bytes."""
    name = await blobs.put(data)

    assert name == hashlib.sha256(data).hexdigest()
    assert await blobs.get(name) == data


async def test_storing_again_is_the_same_blob(blobs: Blobs) -> None:
    """The same bytes twice, or at once, are one blob."""
    names = await asyncio.gather(*(blobs.put(LARGE) for _ in range(3)))

    assert {*names, await blobs.put(LARGE)} == {hashlib.sha256(LARGE).hexdigest()}
    assert await blobs.get(names[0]) == LARGE


async def test_an_unknown_hash_is_not_found(blobs: Blobs) -> None:
    """A hash that nobody stored raises NotFound."""
    with pytest.raises(NotFound):
        await blobs.get("0" * 64)


async def test_bytes_that_are_stored_are_not_sent_again(js, nats_blobs) -> None:
    """A second put of the same bytes publishes nothing."""
    await nats_blobs.put(LARGE)
    js.published = 0

    await nats_blobs.put(LARGE)

    assert js.published == 0


@pytest.mark.parametrize("loss", ["sent", "unsent"])
async def test_a_chunk_whose_ack_is_lost_is_stored_once(js, nats_blobs, loss) -> None:
    """Lost acks and lost chunks leave the blob whole."""
    js.losses = ["", loss, "", "", "", loss]

    name = await nats_blobs.put(LARGE)

    assert await nats_blobs.get(name) == LARGE


async def test_uploads_at_once_leave_one_copy(js, nats_blobs, unique) -> None:
    """Of several uploads of the same bytes at once only one keeps its chunks."""
    await asyncio.gather(*(nats_blobs.put(LARGE) for _ in range(3)))

    info = await js.api(f"STREAM.INFO.OBJ_blobs-{unique}")
    assert info["state"]["messages"] == 6


async def test_a_missing_chunk_is_noticed(js, nats_blobs, unique) -> None:
    """A blob whose chunks were removed behind our back is Corrupt, not short."""
    name = await nats_blobs.put(LARGE)
    await js.api(f"STREAM.MSG.DELETE.OBJ_blobs-{unique}", {"seq": 2})

    with pytest.raises(Corrupt):
        await nats_blobs.get(name)


async def test_the_bucket_is_an_ordinary_object_bucket(nats_url, nats_blobs, unique) -> None:
    """nats-py reads our objects with their digest, and we notice when it deletes one."""
    name = await nats_blobs.put(LARGE)
    client = await nats.connect(nats_url)
    bucket = await client.jetstream().object_store(f"blobs-{unique}")

    assert (await bucket.get(name)).data == LARGE
    await bucket.delete(name)
    with pytest.raises(NotFound):
        await nats_blobs.get(name)
    assert await nats_blobs.get(await nats_blobs.put(LARGE)) == LARGE
    await client.close()
