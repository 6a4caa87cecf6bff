import msgspec
import pytest

from actorium.bus.claim import LIMIT, check_in, check_out
from actorium.bus.codec import MAX_BODY
from actorium.bus.errors import BadMessage
from actorium.storage.memory import MemoryBlobs


async def test_small_bodies_travel_themselves():
    """A body up to the limit is not touched, on the way in and on the way out."""
    blobs, body = MemoryBlobs(), b"x" * LIMIT
    assert await check_in(blobs, body) == (body, "")
    assert await check_out(blobs, body, "") == body


async def test_large_bodies_travel_as_reference():
    """A body over the limit becomes a small readable reference, and comes back whole."""
    blobs, body = MemoryBlobs(), b"x" * (LIMIT + 1)
    payload, digest = await check_in(blobs, body)
    assert msgspec.json.decode(payload) == {"blob": digest, "size": len(body)}
    assert await check_out(blobs, payload, digest) == body


async def test_too_large_bodies_are_refused_before_they_are_kept():
    """A body over the size limit is a BadMessage on the way in."""
    with pytest.raises(BadMessage, match=str(MAX_BODY)):
        await check_in(MemoryBlobs(), b"x" * (MAX_BODY + 1))


async def test_a_reference_that_claims_too_much_is_not_fetched():
    """A reference over the size limit is refused by what it says, before anything is fetched."""
    with pytest.raises(BadMessage, match="are allowed"):
        await check_out(MemoryBlobs(), b'{"blob":"ab","size":99999999}', "ab" * 32)


async def test_other_bytes_than_the_name_says_are_refused():
    """A blob whose bytes do not hash to its name is not handed to anybody."""

    class Forged:
        async def put(self, data):
            return ""

        async def get(self, digest):
            return b"evil"

    with pytest.raises(BadMessage, match="other bytes"):
        await check_out(Forged(), b"", "ab" * 32)
