"""An agent as a tool: another agent that the model calls by its name, as it calls any tool.

Not responsible for what goes along with the task: see `delegation.py`. Invariant: its call is a delegation,
carried durably under the call's own key, and no other agent can be named in it.
"""

from inspect import cleandoc
from typing import Final

from ...bus.task import Result
from ..context import Context
from .delegation import LONGEST
from .effect import EffectClass, Risk
from .tool import Tool, tool

PREFIX: Final = "agent:"  # before the name, among the tools of a config
TASK: Final = "The whole task in words: the agent sees nothing of this conversation."


def agent_tool(name: str, description: str = "") -> Tool:
    """The tool that gives a task to one agent and waits for its result.

    Args:
        name: The agent's, and the tool's.
        description: What the agent can do, for the model that may call it.
    """

    async def give_task(task: str, ctx: Context) -> Result:
        return await ctx.delegate(name, task)

    about = cleandoc(description) or f"Give a task to the agent {name} and wait for its result."
    give_task.__doc__ = f"{about}\n\nArgs:\n    task: {TASK}"
    make = tool(effect=EffectClass.IDEMPOTENT, risk=Risk.LOW, timeout=LONGEST, name=name)
    return make(give_task).delegating()


def agents_in(tools: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the agents among the tools of a config."""
    return tuple(path.removeprefix(PREFIX) for path in tools if path.startswith(PREFIX))
