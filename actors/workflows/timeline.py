"""Timeline: a run as people and programs look at it: a pure view of its state.

Invariant: it says nothing that is not in the state; asking changes nothing.
"""

from collections.abc import Iterator

import msgspec

from ...bus.value import Json, JsonObject
from .branch import Branch, Stage, StepState
from .ending import took
from .state import WorkflowState

SHOWN = 100  # items of a fan-out that are told one by one: those that are not done


def show(state: WorkflowState, now_ms: int) -> JsonObject:
    """The run, and of every step its stage, times, attempts, and what it waits for."""
    started, ended = state.started, state.ended
    return {
        "run": state.run,
        "workflow": state.workflow.name,
        "definition": started.definition if started else "",
        "stage": _stage(state),
        "closing": msgspec.to_builtins(state.closing),
        "began_ms": state.began_ms,
        "ms": ended.ms if ended else max(0, now_ms - state.began_ms),
        "spent": msgspec.to_builtins(state.spent),
        "signals": {name: len(waiting) for name, waiting in state.signals.items()},
        "result": msgspec.to_builtins(ended.result) if ended else None,
        "steps": [_step(state, step_id, step, now_ms) for step_id, step in state.steps.items()],
    }


def _stage(state: WorkflowState) -> str:
    """Where the run stands, in a word."""
    if state.ended is not None:
        return state.ended.result.status.value
    if state.closing is not None:
        return "undoing" if state.completed else "closing"
    if state.started is None:
        return "unknown"
    return "paused" if state.paused else "running"


def _step(state: WorkflowState, step_id: str, step: StepState, now_ms: int) -> JsonObject:
    told: JsonObject = {
        "id": step_id,
        "stage": step.stage.value,
        **msgspec.to_builtins(took(step, now_ms)),
        "needs": list(state.dag.needs[step_id]),
        "began_ms": step.began_ms or None,
        "ended_ms": step.ended_ms or None,
        "why": step.why,
        "waits_for": _waits_for(state, step_id, step),
        "undone": [branch.undo.stage.value for branch in step.branches if branch.undo],
    }
    if step.items is not None:
        told["done"] = sum(branch.stage is Stage.DONE for branch in step.branches)
        told["failed"] = step.failed
        told["open_items"] = list(_items(step))
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def _waits_for(state: WorkflowState, step_id: str, step: StepState) -> Json:
    """What keeps a step from going on."""
    match step.stage:
        case Stage.WAITING:
            return [need for need in state.dag.needs[step_id] if not state.steps[need].settled]
        case Stage.ASKED:
            return {"approval": step.question.id if step.question else ""}
        case Stage.LISTENING:
            return {"signal": state.dag.steps[step_id].wait_signal, "until_ms": step.due_ms or None}
        case Stage.SLEEPING:
            return {"until_ms": step.due_ms}
        case _:
            again = [branch.due_ms for branch in step.branches if branch.stage is Stage.SLEEPING]
            return {"next_attempt_ms": min(again)} if again else None


def _items(step: StepState) -> Iterator[JsonObject]:
    """Items that began and are not done, or failed."""
    odd = [(item, branch) for item, branch in enumerate(step.branches) if branch.stage is not Stage.DONE]
    for item, branch in odd[:SHOWN]:
        yield {"item": item, "stage": branch.stage.value, "attempts": branch.attempt, **_error(branch)}


def _error(branch: Branch) -> JsonObject:
    return {"error": branch.result.error} if branch.result and branch.result.error else {}
