"""Refusal: why a letter is not even tried, whoever would try it: an actor or a carrier of runs. Pure."""

from ..bus.errors import DeadlineExceeded
from ..bus.task import Result
from .errors import Cancelled
from .outcome import failure
from .port import Letter


def refusal(letter: Letter, agent: str, now: float) -> Result | None:
    """What whoever waits is told; None: it is tried. `now` is local monotonic seconds."""
    deadline = letter.envelope.deadline
    if letter.cancelled:
        return failure(Cancelled(f"task {letter.task_id} was cancelled before it ran", agent=agent))
    if deadline is not None and deadline <= now:
        return failure(DeadlineExceeded(f"the deadline passed before {agent!r} could start", agent=agent))
    return None
