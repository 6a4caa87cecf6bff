"""Progress: how far an actor has come, folded from the records of its ledger.

Not responsible for reading or writing them. Invariant: `done` only grows, and a task at or below it that has
a record is never run again.
"""

from enum import StrEnum

import msgspec

from ..bus.task import Result
from ..bus.value import Json

REMEMBERED = 1024  # task ids kept in memory to recognise a repetition outside the server's own window
FOLDED = 16  # records with state that a new owner reads again to remember their task ids


class Kind(StrEnum):
    """What a record of an actor's ledger says."""

    STARTED = "started"  # an attempt, before it runs: what kills the process is counted too
    FAILED = "failed"  # the attempt raised
    INTERRUPTED = "interrupted"  # a stop cut it short, or no instance could be made: it does not count
    COMPLETED = "completed"  # result and state of a stored task
    BURIED = "buried"  # given up, it is in the dead letters
    ANSWERED = "answered"  # an ask that changed the state
    CANCELLED = "cancelled"  # a task that waits or runs is called off
    EPOCH = "epoch"  # a new owner took over: earlier owners are fenced


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a record of an actor's ledger holds beside its chain data.

    Attributes:
        since: Stream sequence of the record from which a reader must fold to know where the actor stands.
        done: Highest inbox sequence that is finished.
        attempts: Attempts of the open task so far (started, failed).
    """

    since: int = 0
    done: int = 0
    task_id: str = ""
    attempts: int = 0
    task: Json = None
    result: Result | None = None
    state: Json = None
    error: str = ""
    reason: str = ""


class Finished(msgspec.Struct, frozen=True):
    """A finished task: the inbox sequence it came under, and its result."""

    seq: int
    result: Result


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where an actor stands.

    A sequence alone names no task: an inbox that lost its end gives one out twice.

    Attributes:
        done: Highest inbox sequence that is finished.
        open_seq: Inbox sequence of the task that was started and not finished; 0: none.
        open_id: That task's id.
        attempts: How often it was started.
        state: The last durable state, JSON values; None: never written.
        marks: Stream sequences of the newest records that hold state, oldest first.
        crashed: The open task's last attempt neither finished nor raised: its process died.
        finished: Remembered tasks by id, oldest first.
        cancelled: Inbox sequence and id of the tasks that were called off and are not finished, oldest first,
            each with the stream sequence of the record that says so.
    """

    done: int = 0
    open_seq: int = 0
    open_id: str = ""
    attempts: int = 0
    state: Json = None
    marks: tuple[int, ...] = ()
    crashed: bool = False
    finished: dict[str, Finished] = {}
    cancelled: dict[tuple[int, str], int] = {}

    @property
    def since(self) -> int:
        """The oldest record that a new owner must read again; 0: not known."""
        return min((*self.marks[:1], *self.cancelled.values()), default=0)


class Run(msgspec.Struct, frozen=True):
    """Run the task; it is this attempt. A suspect runs alone: it may have killed its process before."""

    attempt: int
    suspect: bool = False


class Repeat(msgspec.Struct, frozen=True):
    """Already finished: do not run it, settle it with this result; `again` where it is another message."""

    result: Result
    again: bool


class Doubt(msgspec.Struct, frozen=True):
    """Below `done`, and not remembered: look its record up before anything is decided."""


class Bury(msgspec.Struct, frozen=True):
    """It had all its attempts: to the dead letters without running it."""

    attempts: int


Verdict = Run | Repeat | Doubt | Bury


def judge(progress: Progress, seq: int, task_id: str, allowed: int, *, searched: bool = False) -> Verdict:
    """What to do with a stored task, before it runs.

    Args:
        progress: Where the actor stands.
        seq: The task's inbox sequence.
        task_id: Its logical id.
        allowed: Attempts it may have.
        searched: The whole chain was searched for its end, and there is none.
    """
    known = progress.finished.get(task_id)
    if known is not None:
        return Repeat(known.result, again=known.seq != seq)
    if seq <= progress.done and not searched:
        return Doubt()
    if (seq, task_id) != (progress.open_seq, progress.open_id):
        return Run(1)
    attempts = progress.attempts
    return Run(attempts + 1, progress.crashed) if attempts < allowed else Bury(attempts)


def apply(progress: Progress, kind: str, in_seq: int, body: Body, sequence: int) -> Progress:
    """Progress after one more record, which stands at a sequence of the ledger's stream."""
    replace = msgspec.structs.replace
    match kind:
        case Kind.STARTED | Kind.FAILED | Kind.INTERRUPTED:
            crashed = kind == Kind.STARTED
            opened = replace(progress, open_seq=in_seq, open_id=body.task_id)
            return replace(opened, attempts=body.attempts, crashed=crashed)
        case Kind.COMPLETED | Kind.BURIED | Kind.ANSWERED:
            if body.result is not None:
                _remember(progress.finished, body.task_id, Finished(in_seq, body.result))
            marks = (*progress.marks, sequence)[-FOLDED:]
            closed = replace(progress, done=body.done, state=body.state, marks=marks)
            if kind == Kind.ANSWERED:
                return closed
            # they end in order: what was called off before this one has ended too
            left = {task: at for task, at in progress.cancelled.items() if task[0] > in_seq}
            return replace(closed, open_seq=0, open_id="", attempts=0, cancelled=left)
        case Kind.CANCELLED:
            return replace(progress, cancelled={**progress.cancelled, (in_seq, body.task_id): sequence})
        case _:
            return progress


def _remember(finished: dict[str, Finished], task_id: str, task: Finished) -> None:
    """Grown in place: it belongs to one line of progress, and a copy would cost O(n) a task."""
    finished[task_id] = task
    if len(finished) > REMEMBERED:
        del finished[next(iter(finished))]
