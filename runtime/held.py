"""Held: the stored letters of a partition, from delivery to acknowledgement, and whose bodies stay in memory.

Not responsible for where a letter waits meanwhile. Invariant: what all partitions of a worker keep of bodies
fits into its Room; a body that is not kept is fetched from the stream at its letter's turn.
"""

from ..actors.port import Letter

ROOM = 32 << 20  # bytes of bodies that a worker keeps for letters that wait


class Room:
    """The bytes that the partitions of one worker share.

    Args:
        size: How many there are.
    """

    def __init__(self, size: int = ROOM) -> None:
        self.free = size


class Held:
    """The stored letters that one partition was handed and has not acknowledged.

    Args:
        room: Where their bodies stay.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._letters: dict[int, Letter] = {}
        self._kept: dict[int, int] = {}  # bytes of the bodies that stay, by sequence

    def find(self, seq: int) -> Letter | None:
        """The letter of a sequence, if it was delivered before."""
        return self._letters.get(seq)

    def add(self, letter: Letter) -> None:
        """Hold a letter; its body stays where there is room."""
        self._letters[letter.seq] = letter
        size = len(letter.message.payload) if letter.message is not None else 0
        if size > self._room.free:
            letter.message = None
            return
        self._room.free -= size
        self._kept[letter.seq] = size

    def leave_in_stream(self, letter: Letter) -> None:
        """Its turn is not in sight: keep the letter without its body."""
        letter.message = None
        self._room.free += self._kept.pop(letter.seq, 0)

    def release(self, letter: Letter) -> None:
        """It was acknowledged. Idempotent."""
        self._letters.pop(letter.seq, None)
        self._room.free += self._kept.pop(letter.seq, 0)

    def tokens(self) -> list[str]:
        """What acknowledges each of them."""
        return [letter.token for letter in self._letters.values()]

    def clear(self) -> None:
        """Nobody is responsible for them here any more."""
        self._letters.clear()
        self._room.free += sum(self._kept.values())
        self._kept.clear()
