"""How far an actor has come: what the ledger says it may run, and what it may never run again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.progress import (
    REMEMBERED,
    Body,
    Bury,
    Doubt,
    Kind,
    Progress,
    Repeat,
    Run,
    apply,
    judge,
)
from actorium.bus.task import Result, Status

ALLOWED = 3
DONE = Result(status=Status.SUCCESS)


def started(progress: Progress, seq: int, attempt: int) -> Progress:
    return apply(progress, Kind.STARTED, seq, Body(task_id="a", attempts=attempt), 1)


def failed(progress: Progress, seq: int, attempt: int) -> Progress:
    return apply(progress, Kind.FAILED, seq, Body(task_id="a", attempts=attempt), 1)


def completed(progress: Progress, seq: int, task_id: str, kind: Kind = Kind.COMPLETED) -> Progress:
    done = max(seq, progress.done)
    return apply(progress, kind, seq, Body(task_id=task_id, result=DONE, done=done), 1)


def test_a_new_task_runs_for_the_first_time() -> None:
    """Nothing is known of it."""
    assert judge(Progress(), 5, "a", ALLOWED) == Run(1)


def test_a_task_whose_process_died_runs_again_as_a_suspect() -> None:
    """Started and nothing after: it may be what killed the process."""
    assert judge(started(Progress(), 5, 1), 5, "a", ALLOWED) == Run(2, suspect=True)


def test_a_task_that_raised_runs_again_and_is_no_suspect() -> None:
    """The failure is on record: the process lived."""
    assert judge(failed(started(Progress(), 5, 1), 5, 1), 5, "a", ALLOWED) == Run(2)


def test_an_attempt_that_was_cut_short_by_a_stop_does_not_count() -> None:
    """A planned stop costs no attempt."""
    progress = apply(started(Progress(), 5, 1), Kind.INTERRUPTED, 5, Body(task_id="a", attempts=0), 1)

    assert judge(progress, 5, "a", ALLOWED) == Run(1)


@pytest.mark.parametrize("end", [started, failed])
def test_after_its_last_attempt_it_is_buried(end) -> None:
    """Whether the last one raised or died."""
    assert judge(end(Progress(), 5, ALLOWED), 5, "a", ALLOWED) == Bury(ALLOWED)


@pytest.mark.parametrize("kind", [Kind.COMPLETED, Kind.BURIED])
def test_a_finished_task_is_told_again(kind) -> None:
    """The same message publishes its result again; another message of the same id only tells and acks."""
    progress = completed(Progress(), 5, "a", kind)

    assert judge(progress, 5, "a", ALLOWED) == Repeat(DONE, again=False)
    assert judge(progress, 9, "a", ALLOWED) == Repeat(DONE, again=True)


def test_below_done_and_forgotten_is_a_doubt() -> None:
    """Its record must be looked up before anything is decided."""
    assert judge(completed(Progress(), 5, "a"), 4, "b", ALLOWED) == Doubt()


def test_an_ask_that_changed_the_state_leaves_the_open_task_alone() -> None:
    """An ask between two attempts does not give the task new attempts."""
    progress = failed(started(Progress(), 5, 2), 5, 2)
    answered = apply(progress, Kind.ANSWERED, 0, Body(state={"x": 1}), 2)

    assert answered.state == {"x": 1}
    assert judge(answered, 5, "a", ALLOWED) == Run(3)


def test_only_so_many_ids_are_remembered() -> None:
    """The memory of finished ids is bounded, oldest out first."""
    progress = Progress()
    for n in range(1, REMEMBERED + 3):
        progress = completed(progress, n, f"t{n}")

    assert len(progress.finished) == REMEMBERED
    assert "t2" not in progress.finished
    assert f"t{REMEMBERED + 2}" in progress.finished


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["crash", "raise", "done", "ask", "epoch"]))))
def test_whatever_happens_nothing_finished_runs_and_attempts_are_counted(steps) -> None:
    """`done` never falls, a finished task never gets a Run, attempts never exceed what is allowed.

    Letters come again in any order, as after takeovers; each step delivers one and says how its run ends.
    """
    progress, finished, runs = Progress(), set(), {}
    for seq, end in steps:
        before = progress.done
        if end == "ask":
            progress = apply(progress, Kind.ANSWERED, 0, Body(done=progress.done), 1)
        elif end == "epoch":
            progress = apply(progress, Kind.EPOCH, 0, Body(), 1)
        else:
            verdict = judge(progress, seq, f"t{seq}", ALLOWED)
            match verdict:
                case Run(attempt):
                    assert seq not in finished
                    # a task overtaken by another one starts anew; the one open is counted
                    runs[seq] = attempt
                    assert attempt <= ALLOWED
                    progress = started(progress, seq, attempt)
                    if end == "raise":
                        progress = failed(progress, seq, attempt)
                    elif end == "done":
                        progress = completed(progress, seq, f"t{seq}")
                        finished.add(seq)
                case Bury(attempts):
                    assert seq not in finished
                    assert attempts == runs[seq] == ALLOWED
                    progress = completed(progress, seq, f"t{seq}", Kind.BURIED)
                    finished.add(seq)
                case Repeat():
                    assert seq in finished
                case Doubt():
                    assert seq < progress.done
                    assert seq not in finished  # every finished one is remembered here
        assert progress.done >= before
