"""Scheduling: which attempts begin now, as many as there is room for.

Pure. Attempts that were waiting for their time come first, then steps by priority, then as the definition has
them. Invariant: never more run at a time than the workflow allows, nor of a fan-out more than it allows.
"""

from collections.abc import Iterator

from .agenda import STEP
from .branch import Place, Stage
from .errand import key_of, task_of
from .expressions.error import ExpressionError
from .fact import Failed, Scheduled
from .gathering import failed_result
from .opening import edited_task
from .state import WorkflowState


def scheduling(state: WorkflowState, now_ms: int) -> list[Scheduled | Failed]:
    """Attempts that begin now. One that cannot be given its task fails, and none begins behind it."""
    room = state.workflow.max_parallel - len(state.agenda.running)
    facts: list[Scheduled | Failed] = []
    places = _places(state, now_ms)
    while len(facts) < room:
        place = next(places, None)
        if place is None:
            break
        facts.append(_attempt(state, place))
        if isinstance(facts[-1], Failed):
            break
    return facts


def _places(state: WorkflowState, now_ms: int) -> Iterator[Place]:
    """Where attempts could begin, in the order they would."""
    for _, step_id, item in state.agenda.due(now_ms):
        if item != STEP and state.steps[step_id].branches[item].stage is Stage.SLEEPING:
            yield Place(step_id, item)
    for rank in state.agenda.ready:
        yield from _items(state, state.dag.ranked(rank))


def _items(state: WorkflowState, step_id: str) -> Iterator[Place]:
    step, each = state.steps[step_id], state.dag.steps[step_id].for_each
    end = step.total
    if each is not None and each.max_parallel is not None:
        end = min(end, step.begun + each.max_parallel - state.agenda.busy.get(step_id, 0))
    return (Place(step_id, item) for item in range(step.begun, end))


def _attempt(state: WorkflowState, place: Place) -> Scheduled | Failed:
    step_id, item = place.step, place.item
    step = state.steps[step_id]
    before = step.branches[item] if item < step.begun else None
    attempt = before.attempt + 1 if before else 1
    key = key_of(state, place, attempt)
    if before is not None and before.task is not None:
        return Scheduled(step=step_id, item=item, attempt=attempt, key=key)
    try:
        task = edited_task(state, step_id) or task_of(state, place)
    except ExpressionError as error:
        return Failed(step=step_id, item=item, result=failed_result(error.failure()))
    return Scheduled(step=step_id, item=item, attempt=attempt, key=key, task=task)
