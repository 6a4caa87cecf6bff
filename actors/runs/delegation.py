"""Delegation: the tool that gives a task to another agent, and what that agent is allowed for it.

Not responsible for how a task travels: the call's context carries it, durably, under the call's own key.
Invariant: a grant is never wider than what its giver has left.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from ...bus.task import Result
from ..context import Context
from ..errors import BadTask
from ..models.port import JsonObject
from .budget import Budget
from .effect import EffectClass, Risk
from .tool import Tool, tool

DELEGATE: Final = "delegate_task"
LONGEST: Final = 7 * 86_400.0  # seconds, where no budget says less


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What goes along with a delegated task, for the run it starts.

    Attributes:
        budget: A slice of the giver's; the delegate's own counts where it is lower.
        risk: The highest risk without approval; the delegate's own counts where it is lower.
        account: The shared budget both pay from.
        tools: The only tools that may be called, of those that the agent has; None: all of them.
    """

    budget: Budget
    risk: Risk = Risk.MEDIUM
    account: str = ""
    tools: tuple[str, ...] | None = None


def read_grant(text: str) -> Grant | None:
    """The grant of an envelope; None: nobody gave one. Raises BadTask."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Grant)
    except msgspec.MsgspecError as error:
        raise BadTask(f"the grant of the task does not read: {error}") from error


def delegate_of(tool_name: str, arguments: JsonObject) -> str:
    """The agent that a delegating call gives its task to."""
    return str(arguments.get("agent", "")) if tool_name == DELEGATE else tool_name


def delegate_tool(delegates: Sequence[str]) -> Tool:
    """The tool of an agent that may give tasks to these agents, and to no others."""

    async def delegate_task(agent: Any, task: str, ctx: Context) -> Result:
        """Give a task to another agent and wait for its result. Several at once work side by side.

        Args:
            agent: Who shall do it.
            task: The whole task in words: the other agent sees nothing of this conversation.
        """
        return await ctx.delegate(agent, task)

    delegate_task.__annotations__["agent"] = Literal[tuple(delegates)]
    make = tool(effect=EffectClass.IDEMPOTENT, risk=Risk.LOW, timeout=LONGEST, name=DELEGATE)
    return make(delegate_task).delegating()
