"""Rollout: stored tasks that wait for a program which has their agent's class.

While nodes are updated one after the other, the definitions of the new program are known at once, but an old
node still owns some of their partitions until it is its turn to stop. Not responsible for turning anybody
away. Invariant: each task waits for its own time, whenever the first of its agent came.
"""

from ..actors.port import Letter
from .post import Key

ROLLOUT = (
    60.0  # seconds: the node that is stopped drains, by default for 30 at most, and another comes up first
)
LOOK = 1.0  # seconds between two looks at whether the class is there now


class Rollout:
    """What waits on one partition.

    Args:
        patience: Seconds that a task waits; 0: no other program will come.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._waiting: dict[Key, list[tuple[float, Letter]]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._waiting

    def add(self, key: Key, letters: list[Letter], now: float) -> None:
        """Have stored tasks of an agent wait; `now` is monotonic."""
        if letters:
            self._waiting.setdefault(key, []).extend((now + self._patience, letter) for letter in letters)

    def has(self, key: Key, task_id: str) -> bool:
        """Whether a task waits here."""
        return any(letter.task_id == task_id for _, letter in self._waiting.get(key, ()))

    def late(self, key: Key, now: float) -> list[Letter]:
        """Take those that waited for long enough, in order."""
        waiting = self._waiting.pop(key, [])
        if still := [entry for entry in waiting if entry[0] > now]:
            self._waiting[key] = still
        return [letter for until, letter in waiting if until <= now]

    def take(self, key: Key) -> list[Letter]:
        """Take all that wait for an agent, in order."""
        return [letter for _, letter in self._waiting.pop(key, [])]

    def clear(self) -> None:
        """Nobody is responsible for them here any more."""
        self._waiting.clear()
