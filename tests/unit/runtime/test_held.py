"""Which bodies of waiting tasks stay in a worker's memory."""

from actorium.actors.port import Letter
from actorium.bus.envelope import Envelope
from actorium.bus.port import Message
from actorium.runtime.held import Held, Room


def letter(seq: int, size: int) -> Letter:
    message = Message("agents.a.inbox", b"x" * size)
    return Letter(envelope=Envelope(), task_id=f"t{seq}", message=message, seq=seq, token=f"k{seq}")


def kept(*letters: Letter) -> list[int]:
    return [letter.seq for letter in letters if letter.message is not None]


def test_what_all_partitions_of_a_worker_keep_fits_into_its_room() -> None:
    """A number of tasks says nothing about their bytes."""
    room = Room(100)
    here, there = Held(room), Held(room)
    letters = [letter(1, 60), letter(2, 60), letter(3, 30), letter(4, 0)]
    for held, one in zip((here, there, there, here), letters, strict=True):
        held.add(one)

    assert kept(*letters) == [1, 3, 4]
    assert here.tokens() + there.tokens() == ["k1", "k4", "k2", "k3"]


def test_there_is_room_again_for_what_was_acknowledged_left_or_given_up() -> None:
    """Each gives its bytes back once, whatever it is told twice."""
    room = Room(100)
    held = Held(room)
    done, left, lost, big = letter(1, 30), letter(2, 30), letter(3, 30), letter(4, 500)
    for one in (done, left, lost, big):
        held.add(one)
    for _ in range(2):
        held.release(done)
        held.leave_in_stream(left)
        held.leave_in_stream(big)

    assert held.find(1) is None
    assert held.find(2) is left
    assert kept(left, lost) == [3]
    assert room.free == 70
    held.clear()
    held.release(lost)
    assert held.find(3) is None
    assert room.free == 100
