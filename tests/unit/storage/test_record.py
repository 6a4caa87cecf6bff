"""A record has one form in bytes, and bytes that are no record are refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.storage.errors import Corrupt
from actorium.storage.record import Record, canonical, decode_record, digest, encode_record

BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def record(body: object = None) -> Record:
    return Record(
        chain="led.7.acme.writer", n=1, kind="step", epoch=3, in_seq=9, id="ab", at_ms=5, prev="", body=body
    )


def test_canonical_bytes_are_sorted_json_without_whitespace() -> None:
    """The bytes of a record can be made again by any JSON library that sorts keys."""
    assert encode_record(record({"b": 1.5, "a": "ü"})) == (
        b'{"at_ms":5,"body":{"a":"\xc3\xbc","b":1.5},"chain":"led.7.acme.writer","epoch":3,"id":"ab",'
        b'"in_seq":9,"kind":"step","n":1,"prev":"","v":1}'
    )


def test_the_digest_is_sha_256_in_hex() -> None:
    """The digest of bytes is their SHA-256."""
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(BODIES)
def test_encoding_what_was_decoded_gives_the_same_bytes(body: object) -> None:
    """Any JSON body survives, and its bytes are canonical already."""
    data = encode_record(record(body))

    assert encode_record(decode_record(data)) == data
    assert canonical(msgspec.json.decode(data)) == data


def test_unknown_fields_are_ignored() -> None:
    """A record with a field of a later release is read."""
    later = encode_record(record())[:-1] + b',"w":1}'

    assert decode_record(later) == record()


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"{}", b"\xff", b"[" * 5000, encode_record(record())[:-1], b'{"v":1,"n":"1"}'],
)
def test_bytes_that_are_no_record_are_corrupt(data: bytes) -> None:
    """Whatever is read in place of a record ends as Corrupt, nothing else."""
    with pytest.raises(Corrupt):
        decode_record(data)


def test_an_unknown_version_is_corrupt() -> None:
    """A record of a later shape is refused by version, not half read."""
    later = msgspec.structs.replace(record(), v=2)

    with pytest.raises(Corrupt, match="version 2"):
        decode_record(encode_record(later))
