"""ScheduleCheck: whether a schedule that is to be added would ever do anything, found before it is stored."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ...actors.schedules.schedule import Schedule, What


def must_come(schedule: "Schedule", now: datetime) -> None:
    """Refuse a schedule none of whose times is yet to come. Raises UsageError."""
    from ...actors.schedules.due import next_fire

    if schedule.starts and schedule.ends and schedule.ends < schedule.starts:
        raise click.UsageError("it ends before it starts: --ends must be later than --starts")
    if next_fire(schedule, now) is None:
        raise click.UsageError("it would never fire: no time of it is yet to come before --ends")


def fitted(definition: "Definition", what: "What", pairs: tuple[str, ...]) -> "What":
    """An order as its agent takes it; one that it could not take is refused.

    Args:
        pairs: The inputs as they were given: text where a workflow wants text.

    Raises:
        UsageError: The agent is no workflow, or has no tools.
        InvalidWorkflow, BadTask: The inputs do not fit the workflow; it tells all of it.
    """
    from ...actors.schedules.schedule import Order, ToolOrder, WorkflowOrder
    from ...actors.workflows.inputs import take_inputs
    from ..workflow_parts import is_workflow
    from .workflow_inputs import as_declared

    if not is_workflow(definition):
        if isinstance(what, WorkflowOrder):
            raise click.UsageError(f"agent {definition.name} is no workflow: give it TEXT or --json-file")
        return what
    from ...actors.workflows.runner import inputs_of, workflow_of

    workflow = workflow_of(definition)
    match what:
        case ToolOrder():
            raise click.UsageError(f"workflow {definition.name} has no tools: give it --workflow and --input")
        case WorkflowOrder(inputs=inputs):
            given = as_declared(workflow, inputs, pairs)
            take_inputs(workflow, given)
            return WorkflowOrder(workflow=definition.name, inputs=given)
        case Order(task=task):
            take_inputs(workflow, inputs_of(task))
            return what
