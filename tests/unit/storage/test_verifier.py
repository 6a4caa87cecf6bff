"""Whatever is done to a stored chain is found."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.storage.errors import Corrupt
from actorium.storage.record import Record, decode_record, digest, encode_record
from actorium.storage.verifier import Verified, Verifier, verify, verify_stream

SUBJECT = "led.7.acme.writer"


def make_chain(
    length: int, *, epoch: int = 1, chain: str = SUBJECT, start: Record | None = None
) -> list[bytes]:
    """Records that follow one another, as a writer makes them."""
    records: list[bytes] = []
    prev, n = (digest(encode_record(start)), start.n) if start else ("", 0)
    for i in range(n + 1, n + length + 1):
        record = Record(
            chain=chain, n=i, kind="step", epoch=epoch, id=f"{epoch}-{i}", at_ms=i, prev=prev, body={"i": i}
        )
        records.append(encode_record(record))
        prev = digest(records[-1])
    return records


def checkpoint(records: list[bytes]) -> Verified:
    return Verified(len(records), digest(records[-1]))


def change(data: bytes, **fields: object) -> bytes:
    return encode_record(msgspec.structs.replace(decode_record(data), **fields))


CHAINS = st.integers(min_value=1, max_value=8).map(make_chain)


@given(CHAINS)
def test_a_chain_as_written_is_whole(records: list[bytes]) -> None:
    """A chain nobody touched verifies, with and without its checkpoint."""
    expected = checkpoint(records)

    assert verify(records, SUBJECT) == expected
    assert verify(records, SUBJECT, expected) == expected


def test_an_empty_chain_is_whole() -> None:
    """No records are a chain of none, unless a checkpoint says there were some."""
    assert verify([], SUBJECT) == Verified(0, "")
    assert verify([], SUBJECT, Verified(0, "")) == Verified(0, "")


@given(CHAINS, st.integers(min_value=1, max_value=3))
def test_a_chain_may_grow_behind_its_checkpoint(records: list[bytes], more: int) -> None:
    """Records appended after the checkpoint do not break it."""
    grown = records + make_chain(more, start=decode_record(records[-1]))

    assert verify(grown, SUBJECT, checkpoint(records)) == checkpoint(grown)


@settings(max_examples=400)
@given(CHAINS, st.data())
def test_any_single_change_is_found(records: list[bytes], data: st.DataObject) -> None:
    """A flipped byte, a dropped, repeated, swapped or moved record, or a cut tail is refused."""
    expected = checkpoint(records)
    i = data.draw(st.integers(0, len(records) - 1))
    j = data.draw(st.integers(0, len(records) - 1))
    touched = list(records)
    match data.draw(st.sampled_from(["flip", "drop", "repeat", "swap", "move", "cut"])):
        case "flip":
            at = data.draw(st.integers(0, len(touched[i]) - 1))
            mask = data.draw(st.integers(1, 255))
            touched[i] = touched[i][:at] + bytes([touched[i][at] ^ mask]) + touched[i][at + 1 :]
        case "drop":
            del touched[i]
        case "repeat":
            touched.insert(j, touched[i])
        case "swap":
            touched[i], touched[j] = touched[j], touched[i]
        case "move":
            touched.insert(j, touched.pop(i))
        case "cut":
            touched = touched[:i]
    if touched == records:
        return

    with pytest.raises(Corrupt):
        verify(touched, SUBJECT, expected)


@pytest.mark.parametrize(
    ("place", "change_", "index", "reason"),
    [
        (1, {"n": 5}, "2", "says it is record 5: records before it are missing"),
        (1, {"n": 1}, "2", "says it is record 1: it was repeated, moved or forked"),
        (1, {"body": {"i": 99}}, "3", "follows another record"),
        (1, {"prev": ""}, "2", "follows another record"),
        (1, {"epoch": 0}, "2", "epoch 0 is below 1"),
        (2, {"chain": "led.7.acme.reader"}, "3", "belongs to led.7.acme.reader"),
        (0, {"v": 2}, "1", "version 2"),
    ],
)
def test_the_error_names_the_record_and_what_is_wrong(place, change_, index, reason) -> None:
    """Corrupt carries the index of the first record that does not fit, and why."""
    records = make_chain(4)
    records[place] = change(records[place], **change_)

    with pytest.raises(Corrupt) as caught:
        verify(records, SUBJECT)

    assert caught.value.fields["index"] == index
    assert reason in caught.value.fields["reason"]


def test_a_fork_is_found() -> None:
    """Two records that follow the same one cannot both be in a chain."""
    records = make_chain(3)
    fork = make_chain(1, epoch=2, start=decode_record(records[1]))

    with pytest.raises(Corrupt, match="record 4"):
        verify(records + fork, SUBJECT)


def test_an_inserted_record_is_found() -> None:
    """A record put between two others, well formed and numbered on, breaks the one behind it."""
    records = make_chain(3)
    inserted = make_chain(1, epoch=1, start=decode_record(records[0]))[0]
    forged = change(inserted, id="forged")

    with pytest.raises(Corrupt, match="record 3"):
        verify([records[0], forged, *records[1:]], SUBJECT)


def test_bytes_that_are_not_canonical_are_found() -> None:
    """A space changes the bytes without changing the record: it is not the form that everybody agrees on."""
    (record,) = make_chain(1)

    with pytest.raises(Corrupt, match="not canonical"):
        verify([record.replace(b'"n":1', b'"n": 1')], SUBJECT)


def test_bad_bytes_in_a_field_nobody_reads_are_found() -> None:
    """A name changed into an unknown one hides bytes from the typed decoder, not from the proof."""
    (record,) = make_chain(1)

    with pytest.raises(Corrupt, match="not canonical"):
        verify([record.replace(b'"in_seq":0', b'"in_sfq":"\xff"')], SUBJECT)


def test_a_forged_whole_chain_does_not_pass_the_checkpoint() -> None:
    """A chain that is whole in itself is refused when it is not the one that was seen before."""
    with pytest.raises(Corrupt, match=r"record 3 .* not the record of the checkpoint"):
        verify(make_chain(3, epoch=2), SUBJECT, checkpoint(make_chain(3)))


def test_a_falling_epoch_is_found_though_every_seal_holds() -> None:
    """A stale owner's record, sealed properly, is refused for its epoch."""
    new = make_chain(2, epoch=2)
    stale = make_chain(1, epoch=1, start=decode_record(new[-1]))

    with pytest.raises(Corrupt, match="epoch 1 is below 2"):
        verify(new + stale, SUBJECT)


def test_a_refused_record_leaves_what_was_proven() -> None:
    """A verifier that refused a record still tells how far the chain is whole."""
    records = make_chain(3)
    verifier = Verifier(SUBJECT)
    verifier.feed(records[0])
    with pytest.raises(Corrupt):
        verifier.feed(records[2])

    assert verifier.result() == Verified(1, digest(records[0]))


def test_a_stream_of_records_is_proven_alike() -> None:
    """Records that arrive one by one are proven as a list is."""
    records = make_chain(3)

    async def arriving() -> AsyncIterator[bytes]:
        for record in records:
            yield record

    assert asyncio.run(verify_stream(arriving(), SUBJECT)) == verify(records, SUBJECT)
