"""News: what is published of a run when a page of it stands.

Pure. `workflow_step_completed` and its fields are those of the seeds' worker. Invariant: nothing is told that
does not stand.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from ...bus.value import JsonObject
from .record import Asked, Closing, Ended, Paused, Resumed, Scheduled, UndoScheduled, WorkflowFact
from .state import WorkflowState

LONGEST = 16 * 1024  # bytes of an output that is told; a longer one is read from the run
News: TypeAlias = tuple[str, JsonObject]


def news(state: WorkflowState, facts: Iterable[WorkflowFact]) -> Iterator[News]:
    """What the facts of a page are to others, in their order."""
    run = state.started.run if state.started else ""
    told: set[str] = set()
    for fact in facts:
        found = _of_fact(fact)
        if found is not None:
            kind, data = found
            yield kind, {"workflow_id": run, **data}
            continue
        step_id = getattr(fact, "step", "")
        if step_id and step_id not in told and state.steps[step_id].settled:
            told.add(step_id)
            yield "workflow_step_completed", {"workflow_id": run, **_completed(state, step_id)}


def _of_fact(fact: WorkflowFact) -> News | None:
    """What is told of a fact that is about more than the end of a step."""
    match fact:
        case Scheduled() | UndoScheduled():
            kind = "workflow_step_started" if isinstance(fact, Scheduled) else "workflow_undo_started"
            return kind, {"step_id": fact.step, "item": fact.item, "attempt": fact.attempt}
        case Asked():
            return "approval", {"step_id": fact.step, "id": fact.question.id, "tool": fact.question.tool}
        case Paused() | Resumed():
            return type(fact).__name__.lower(), {"by": fact.by}
        case Closing():
            return "workflow_closing", {"why": fact.why.value, "error": fact.error}
        case Ended():
            status = fact.result.status.value
            return "ended", {"why": fact.why.value, "status": status, "limit": fact.limit, "ms": fact.ms}
        case _:
            return None


def _completed(state: WorkflowState, step_id: str) -> JsonObject:
    step = state.steps[step_id]
    result = step.result
    told: JsonObject = {
        "step_id": step_id,
        "status": result.status.value if result else step.stage.value,
        "ms": max(0, step.ended_ms - step.began_ms),
    }
    if result is not None and result.error:
        told["error"] = result.error
    if result is not None and len(msgspec.json.encode(result.data)) <= LONGEST:
        told["output"] = result.data
    return told
