"""Order: a task that is one tool call, which the agent makes without thinking about it.

What a schedule, a workflow or a person orders goes through the same clearance, budget, effects and approval
as a call that a model wants. Pure.
"""

from typing import Final

import msgspec

from ...bus.task import Task
from ..errors import BadTask
from ..models.port import JsonObject, ToolCall

CALL_TOOL: Final = "call_tool"  # the action of such a task; its spec is {"tool", "arguments"}


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tool: str
    arguments: JsonObject = {}


def ordered(task: Task) -> ToolCall | None:
    """The call that a task orders; None: it orders none.

    Raises:
        BadTask: It orders one, and does not say which.
    """
    if task.action != CALL_TOOL:
        return None
    try:
        order = msgspec.convert(task.spec, _Order)
    except msgspec.ValidationError as error:
        raise BadTask(f"{CALL_TOOL}: the spec must be {{tool, arguments}}: {error}") from error
    return ToolCall(id="order", name=order.tool, arguments=order.arguments)
