"""Errand: the task that a step or its undo becomes, who gets it, under which key, and what it may take.

Pure. Invariant: of the same state the same task, and of the same attempt the same key.
"""

from hashlib import sha256
from typing import Final

import msgspec

from ...bus.task import Task
from ...bus.value import JsonObject
from ..context import MAX_ID
from ..runs.budget import Budget, Cost, share
from ..runs.delegation import LONGEST, Grant
from .branch import Place
from .expressions.template import resolve
from .scope import scope_of, view_of_result, with_item
from .state import WorkflowState
from .step import Kind, Step

EXECUTE: Final = "execute_workflow"


def task_of(state: WorkflowState, place: Place) -> Task:
    """What the agent of a step is given.

    Raises:
        ExpressionError: A template has no value.
    """
    step = state.dag.steps[place.step]
    scope = _item_scope(state, place, scope_of(state))
    at = f"steps.{step.id}"
    if state.dag.kinds[step.id] is Kind.WORKFLOW:
        spec = {"workflow_id": step.workflow, "trigger": "workflow"}
        return Task(action=EXECUTE, spec=spec, inputs=resolve(step.inputs, scope, f"{at}.inputs") or {})
    constraints = resolve(list(step.constraints), scope, f"{at}.constraints")
    return Task(
        action=step.action,
        spec=resolve(step.spec, scope, f"{at}.spec"),
        inputs=resolve(step.inputs, scope, f"{at}.inputs"),
        constraints=tuple(map(str, constraints)),
    )


def undo_task_of(state: WorkflowState, place: Place) -> Task:
    """What takes a branch back. Its templates see the branch's own result as the step's.

    Raises:
        ExpressionError: A template has no value.
    """
    undo = state.dag.steps[place.step].undo
    if undo is None:
        return Task()
    result = state.branch(place).result
    own = {place.step: view_of_result(result)} if result else {}
    scope = _item_scope(state, place, scope_of(state, own=own))
    at = f"steps.{place.step}.undo"
    return Task(
        action=undo.action,
        spec=resolve(undo.spec, scope, f"{at}.spec"),
        inputs=resolve(undo.inputs, scope, f"{at}.inputs"),
    )


def agent_of(step: Step, *, undo: bool = False) -> str:
    """Who gets it: an agent, or a workflow by its name."""
    own = step.undo.agent if undo and step.undo else ""
    return own or step.agent or step.workflow


def key_of(state: WorkflowState, place: Place, attempt: int) -> str:
    """Under which key an attempt is delegated."""
    said = f"undo-{attempt}" if place.undo else str(attempt)
    item = f"/{place.item}" if state.steps[place.step].items is not None else ""
    told = f"{place.step}/{said}{item}"
    whole = f"{state.run}/{told}"
    return (
        whole
        if len(whole) <= MAX_ID
        else f"{sha256(f'{state.run}/{place.step}'.encode()).hexdigest()[:24]}/{said}{item}"
    )


def time_for(state: WorkflowState, place: Place, now_ms: int) -> float:
    """Seconds an attempt may take: the step's, and no longer than the run has."""
    step = state.dag.steps[place.step]
    if place.undo:
        own = step.undo.timeout if step.undo else None
        return own or step.timeout or LONGEST
    limit = step.timeout or LONGEST
    deadline = deadline_ms(state)
    return limit if deadline is None else min(limit, max(0.0, (deadline - now_ms) / 1000))


def deadline_ms(state: WorkflowState) -> int | None:
    """When the run must be over; None: it takes as long as it takes."""
    seconds = state.workflow.deadline
    return None if seconds is None else state.began_ms + int(seconds * 1000)


def grant_of(state: WorkflowState, elapsed: float) -> Grant:
    """What a task may spend: all that is left, for all pay from the same account.

    An account of the run's own knows its limits. In somebody else's the run's own are kept by slices: they
    are passed by no more than what runs at the same time.
    """
    started = state.started
    if started is None:
        return Grant(budget=Budget())
    budget = share(started.budget, state.spent + Cost(seconds=elapsed), 1)
    if started.account == account_of(started.run):
        budget = msgspec.structs.replace(budget, tokens=None, usd=None)
    return Grant(budget=budget, risk=started.risk, account=started.account)


def account_of(run: str) -> str:
    """The name of a run's own account."""
    return f"workflow-{sha256(run.encode()).hexdigest()[:24]}"


def _item_scope(state: WorkflowState, place: Place, scope: JsonObject) -> JsonObject:
    each, items = state.dag.steps[place.step].for_each, state.steps[place.step].items
    if each is None or items is None:
        return scope
    return with_item(scope, each, items[place.item], place.item)
