"""Claim check: a body too large to travel is left with the blobs, and its hash travels instead.

Not responsible for how blobs are kept (`storage/`) nor for removing them.
Invariant: the digest in the header is the SHA-256 of the body; what comes back is compared with it.
"""

from hashlib import sha256
from typing import Protocol

import msgspec

from .codec import MAX_BODY, check_size
from .errors import BadMessage

LIMIT = 64 * 1024  # bytes that still travel


class BlobStore(Protocol):
    """Bodies by content: the name of one is the SHA-256 of its bytes, in hex."""

    async def put(self, data: bytes) -> str:
        """Keep bytes. Returns their hash. Idempotent."""

    async def get(self, digest: str) -> bytes:
        """The bytes of a hash."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What travels instead of a large body, readable to people and other languages."""

    blob: str
    size: int


async def check_in(blobs: BlobStore, payload: bytes) -> tuple[bytes, str]:
    """Leave a body with the blobs if it is too large to travel.

    Cancellation: the blob may be kept; nothing refers to it.

    Returns:
        What travels, and the digest for the header `Actorium-Blob`; empty where the body itself travels.

    Raises:
        BadMessage: Larger than MAX_BODY.
    """
    if len(payload) <= LIMIT:
        return payload, ""
    check_size(payload)
    digest = await blobs.put(payload)
    return msgspec.json.encode(Reference(blob=digest, size=len(payload))), digest


async def check_out(blobs: BlobStore, payload: bytes, digest: str) -> bytes:
    """The body itself.

    Args:
        payload: What travelled.
        digest: The header `Actorium-Blob`; empty: it is the body.

    Raises:
        BadMessage: It says that it is larger than MAX_BODY, or the bytes are not those of the digest.
    """
    if not digest:
        return payload
    try:
        claimed = msgspec.json.decode(payload, type=Reference).size
    except (msgspec.DecodeError, UnicodeDecodeError):
        claimed = 0  # other clients may send anything beside the header
    if claimed > MAX_BODY:
        raise BadMessage(f"the body of blob {digest[:12]} has {claimed} bytes, and {MAX_BODY} are allowed")
    body = await blobs.get(digest)
    if sha256(body).hexdigest() != digest:
        raise BadMessage(f"blob {digest[:12]} holds other bytes than its name says: send the task again")
    check_size(body)
    return body
