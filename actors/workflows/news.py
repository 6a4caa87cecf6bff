"""News: what is published of a run when a page of it stands.

Pure. `workflow_step_completed` and its fields are those of the seeds' worker. Invariant: nothing is told that
does not stand.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from ...bus.value import JsonObject
from .fact import Asked, Scheduled, UndoScheduled
from .record import Closing, Ended, Paused, Resumed, WorkflowFact
from .state import WorkflowState

LONGEST: Final = 16 * 1024  # bytes of an output that is told; a longer one is read from the run
News: TypeAlias = tuple[str, JsonObject]


def news(state: WorkflowState, facts: Iterable[WorkflowFact]) -> Iterator[News]:
    """What the facts of a page are to others, in their order."""
    told: set[str] = set()
    name = state.workflow.name
    for fact in facts:
        tell = _TOLD.get(type(fact))
        if tell is not None:
            kind, data = tell(fact)
            yield kind, {"workflow_id": name, "run_id": state.run, **data}
            continue
        step_id = getattr(fact, "step", "")
        if step_id and step_id not in told and state.steps[step_id].settled:
            told.add(step_id)
            done = _completed(state, step_id)
            yield "workflow_step_completed", {"workflow_id": name, "run_id": state.run, **done}


def _begun(fact: Scheduled | UndoScheduled) -> News:
    kind = "workflow_step_started" if isinstance(fact, Scheduled) else "workflow_undo_started"
    return kind, {"step_id": fact.step, "item": fact.item, "attempt": fact.attempt}


def _asked(fact: Asked) -> News:
    return "approval", {"step_id": fact.step, "id": fact.question.id, "tool": fact.question.tool}


def _paused(fact: Paused | Resumed) -> News:
    return type(fact).__name__.lower(), {"by": fact.by}


def _closing(fact: Closing) -> News:
    return "workflow_closing", {"why": fact.why.value, "error": fact.error}


def _ended(fact: Ended) -> News:
    status = fact.result.status.value
    return "ended", {"why": fact.why.value, "status": status, "limit": fact.limit, "ms": fact.ms}


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


_TOLD: Final[dict[type, Callable[[Any], News]]] = {
    Scheduled: _begun,
    UndoScheduled: _begun,
    Asked: _asked,
    Paused: _paused,
    Resumed: _paused,
    Closing: _closing,
    Ended: _ended,
}
