"""Agenda: what could go on in a run, kept up to date fact by fact instead of being sought each time.

Derived: the same state has the same. Not responsible for what becomes of what stands in it: see `plan.py`.
Invariant: each change costs the same in a run of ten steps and of a thousand.
"""

from bisect import bisect_left, insort

from .branch import Place

STEP = -1  # in a timer, instead of an item: the step's own


class Agenda:
    """What waits for a decision.

    Attributes:
        fresh: Ranks of steps whose dependencies are over and of which nothing was decided.
        ready: Ranks of steps that have a branch to begin, in order.
        timers: Moments (ms), with their step and item, in order.
        running: Branches and undos that are delegated, in the order they were.
        asked: Steps that wait for people.
        listening: Steps that wait for a signal, by its name.
        busy: Running branches of each step.
        unmet: Dependencies of each step that are not over.
        unsettled: Steps that are not over.
        failed: Steps that failed, or a branch of which did, in the order they did.
    """

    def __init__(self, unmet: dict[str, int]) -> None:
        self.fresh: list[int] = []
        self.ready: list[int] = []
        self.timers: list[tuple[int, str, int]] = []
        self.running: dict[Place, None] = {}
        self.asked: dict[str, None] = {}
        self.listening: dict[str, dict[str, None]] = {}
        self.busy: dict[str, int] = {}
        self.unmet = unmet
        self.unsettled = len(unmet)
        self.failed: dict[str, None] = {}

    def add_timer(self, due_ms: int, step: str, item: int = STEP) -> None:
        """Something is due then."""
        insort(self.timers, (due_ms, step, item))

    def drop_timer(self, due_ms: int, step: str, item: int = STEP) -> None:
        """It is not any more. Idempotent."""
        if not self.timers:
            return
        at = bisect_left(self.timers, (due_ms, step, item))
        if self.timers[at : at + 1] == [(due_ms, step, item)]:
            del self.timers[at]

    def due(self, now_ms: int) -> list[tuple[int, str, int]]:
        """What is due, the oldest first."""
        return self.timers[: bisect_left(self.timers, (now_ms + 1,))]

    def next_due(self, now_ms: int) -> int | None:
        """The first moment after now; None: no timer is set."""
        at = bisect_left(self.timers, (now_ms + 1,))
        return self.timers[at][0] if at < len(self.timers) else None

    def set_ready(self, rank: int, *, ready: bool) -> None:
        """Whether a step has a branch to begin. Idempotent."""
        _place(self.ready, rank, inside=ready)

    def set_fresh(self, rank: int, *, fresh: bool) -> None:
        """Whether a step waits for its first decision. Idempotent."""
        _place(self.fresh, rank, inside=fresh)

    def begin(self, place: Place) -> None:
        """It is delegated."""
        self.running[place] = None
        self.busy[place.step] = self.busy.get(place.step, 0) + 1

    def end(self, place: Place) -> None:
        """It is not any more. Idempotent."""
        if place in self.running:
            del self.running[place]
            self.busy[place.step] -= 1


def _place(ranks: list[int], rank: int, *, inside: bool) -> None:
    at = bisect_left(ranks, rank)
    there = ranks[at : at + 1] == [rank]
    if inside and not there:
        ranks.insert(at, rank)
    elif there and not inside:
        del ranks[at]
