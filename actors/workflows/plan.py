"""What a workflow run writes down next, as pure functions of its state.

Not responsible for doing it: see `engine.py`. Invariant: for the same state and moment the answer is the same
on every worker, so whoever takes a run over goes on where its pages end.
"""

from collections.abc import Iterator

from ...bus.task import Result, Status
from ..runs.budget import LIMITS
from .agenda import STEP
from .branch import Stage
from .definition import OnFailure
from .ending import ending
from .errand import deadline_ms
from .fact import Done, Heard
from .opening import opening, too_late
from .record import Closing, Why, WorkflowFact
from .saga import next_undo
from .scheduling import scheduling
from .state import WorkflowState


def next_facts(state: WorkflowState, now_ms: int, *, elapsed: float = 0.0) -> list[WorkflowFact]:
    """What can be said now; empty: the run waits for what is under way, for people or time, or it is over.

    Fold what it says and ask again, until it says no more.

    Args:
        elapsed: Seconds since its newest page, while it was carried.
    """
    if state.started is None or state.ended is not None:
        return []
    if state.closing is not None:
        return _close(state, now_ms)
    closing = _closing(state, now_ms)
    if closing is not None:
        return [closing]
    if not state.agenda.unsettled:
        return [ending(state, now_ms)]
    if state.paused:
        return []
    return [*_moved(state, now_ms)] or _begun(state, now_ms, elapsed)


def next_due(state: WorkflowState, now_ms: int) -> int | None:
    """The next moment (ms since 1970) at which time alone lets the run go on; None: there is none."""
    if state.ended is not None:
        return None
    moments: list[int | None] = []
    if not state.paused or state.closing is not None:
        moments.append(state.agenda.next_due(now_ms))
    if state.closing is None:
        moments += [deadline_ms(state), *_questions(state, now_ms)]
    return min((moment for moment in moments if moment is not None and moment > now_ms), default=None)


def _close(state: WorkflowState, now_ms: int) -> list[WorkflowFact]:
    """When nothing runs any more, what was done is taken back, and then the run ends.

    A run that cannot be carried on takes nothing back: its end tells what is left.
    """
    if state.agenda.running:
        return []
    if not state.completed or (state.closing is not None and state.closing.why is Why.FAULT):
        return [ending(state, now_ms)]
    undo = next_undo(state, now_ms)
    return [undo] if undo is not None else []


def _closing(state: WorkflowState, now_ms: int) -> Closing | None:
    """Why the run must turn to its end, where it must."""
    if state.agenda.failed and state.workflow.on_failure is not OnFailure.CONTINUE:
        return _failed(state)
    deadline = deadline_ms(state)
    if deadline is not None and now_ms >= deadline and state.agenda.unsettled:
        told = f"it was not over within its deadline of {state.workflow.deadline:g} seconds"
        return Closing(why=Why.DEADLINE, error=told)
    return None


def _failed(state: WorkflowState) -> Closing:
    step_id = next(iter(state.agenda.failed))
    result = _failed_result(state, step_id)
    told = f"step {step_id} failed: {result.error if result else 'no reason is known'}"
    failure = result.failure if result else None
    return Closing(why=Why.FAILED, error=told, step=step_id, failure=failure)


def _failed_result(state: WorkflowState, step_id: str) -> Result | None:
    """The failure of a step, or of the first branch of it that failed."""
    step = state.steps[step_id]
    if step.result is not None:
        return step.result
    failed = (branch.result for branch in step.branches if branch.stage is Stage.FAILED)
    return next(failed, None)


def _used_up(state: WorkflowState, elapsed: float) -> Closing | None:
    """The limit that leaves nothing for another step."""
    started = state.started
    if started is None:
        return None
    budget = started.budget
    for name in LIMITS:
        allowed, spent = getattr(budget, name), getattr(state.spent, name)
        used = spent + elapsed if name == "seconds" else spent
        if allowed is not None and used >= allowed:
            told = f"the budget allows {allowed:g} {name}, and {used:g} are used"
            return Closing(why=Why.BUDGET, error=told, limit=name)
    if budget.depth < 1:
        return Closing(why=Why.BUDGET, error="no level of delegation is left for a step", limit="depth")
    return None


def _begun(state: WorkflowState, now_ms: int, elapsed: float) -> list[WorkflowFact]:
    """Attempts that begin, unless there is nothing left to spend."""
    if not state.agenda.ready and not state.agenda.timers:
        return []
    begun = scheduling(state, now_ms)
    over = _used_up(state, elapsed) if begun else None
    return [over] if over else [*begun]


def _moved(state: WorkflowState, now_ms: int) -> Iterator[WorkflowFact]:
    """What goes on without an attempt."""
    for rank in state.agenda.fresh:
        yield opening(state, state.dag.ranked(rank), now_ms)
    if state.signals:
        yield from _heard(state)
    if state.agenda.timers:
        yield from _woken(state, now_ms)


def _heard(state: WorkflowState) -> Iterator[WorkflowFact]:
    """Signals that steps wait for: each is taken by one, the one that has waited longest."""
    for name, signals in state.signals.items():
        waiting = state.agenda.listening.get(name, ())
        oldest = sorted(waiting, key=lambda step_id: (state.steps[step_id].began_ms, state.dag.rank(step_id)))
        for step_id, _ in zip(oldest, signals, strict=False):
            yield Heard(step=step_id, signal=name)


def _woken(state: WorkflowState, now_ms: int) -> Iterator[WorkflowFact]:
    """Steps whose time has come."""
    for _, step_id, item in state.agenda.due(now_ms):
        if item != STEP:
            continue
        if state.steps[step_id].stage is Stage.SLEEPING:
            yield Done(step=step_id, result=Result(status=Status.SUCCESS))
        elif not state.signals.get(state.dag.steps[step_id].wait_signal):
            yield too_late(state, step_id)


def _questions(state: WorkflowState, now_ms: int) -> Iterator[int]:
    """When open questions expire; one that was escalated does so later."""
    for step_id in state.agenda.asked:
        question = state.steps[step_id].question
        if question is not None:
            ttl = int(question.ttl * 1000)
            yield from (
                moment for moment in (question.asked_ms + ttl, question.asked_ms + 2 * ttl) if moment > now_ms
            )
