"""Supervisor: an actor that restarts a group of actors together, wherever their owners are.

Not responsible for the decision: see `supervision.py`. The owner of a child that failed asks it; it answers
for that child and commands the others. When it gives up, all its children are stopped, and if it belongs to a
group itself, its own supervisor is asked in turn.
"""

import asyncio
import time

import msgspec

from ..bus.envelope import Envelope
from ..bus.errors import ConfigError
from ..bus.value import JsonObject
from .actor import Actor
from .context import ASK_TIMEOUT, Context
from .definition import Definition, Options
from .errors import HandlerFailed
from .message import to_task
from .port import Courier, Directive
from .supervision import Child, Escalate, Forget, Policy, Restart, RestartChildren, decide


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A child ended by a failure."""

    child: str
    error: str = ""


class Supervisor(Actor):
    """Keeps a group of agents: one_for_one, one_for_all or rest_for_one.

    Args:
        children: Name and restart type of each child, in start order.
        policy: Strategy, intensity and backoff.
    """

    def __init__(self, children: list[dict[str, str]], policy: JsonObject) -> None:
        self._children = [Child(c["name"], Restart(c["restart"])) for c in children]
        self._policy = msgspec.convert(policy, Policy)
        self._restarts: list[float] = []

    @classmethod
    def of(cls, name: str, *children: Definition, policy: Policy | None = None) -> list[Definition]:
        """Definitions of a supervisor and of its children, for an App.

        Args:
            name: The supervisor's own agent id.
            children: In start order; stopped in reverse order.
        """
        told = [{"name": child.name, "restart": str(child.options.restart)} for child in children]
        config = {"children": told, "policy": msgspec.to_builtins(policy or Policy())}
        group = [
            msgspec.structs.replace(child, options=msgspec.structs.replace(child.options, supervisor=name))
            for child in children
        ]
        return [cls.named(name, Options(attempts=1), **config), *group]

    async def receive(self, message: Ended, ctx: Context) -> Directive:
        """Decide for a child that ended, command the others, and answer for the child itself."""
        now = time.monotonic()
        decision = decide(
            self._policy, self._children, message.child, failed=True, restarts=self._restarts, now=now
        )
        match decision:
            case RestartChildren(names, delay):
                self._restarts = [m for m in self._restarts if m > now - self._policy.period] + [now]
                others = [name for name in names if name != message.child]
                await self._restart(others, ctx)
                return Directive(restart=True, delay=delay)
            case Forget():
                return Directive(restart=False, reason="its restart type says so")
            case Escalate(reason):
                await self._give_up(message.child, ctx)
                await ctx.emit("escalated", reason=reason, child=message.child)
                return Directive(restart=False, reason=reason)

    async def _restart(self, names: list[str], ctx: Context) -> None:
        """Stop in reverse order, start in order; the owners wait for what is in hand."""
        for name in reversed(names):
            await ctx.command(name, "stop")
        for name in names:
            await ctx.command(name, "restart")

    async def _give_up(self, failed: str, ctx: Context) -> None:
        others = [child.name for child in reversed(self._children) if child.name != failed]
        await asyncio.gather(*(ctx.command(name, "stop") for name in others))


async def ask_supervisor(courier: Courier, definition: Definition, ended: Ended) -> Directive:
    """What the supervisor of a child says. Raises what `Courier.ask` does, and HandlerFailed."""
    envelope = Envelope(task_id=f"{definition.name}-ended", deadline=time.monotonic() + ASK_TIMEOUT)
    name = definition.options.supervisor
    try:
        result = await courier.ask(name, to_task(ended), envelope)
        if result.failure is not None:
            raise HandlerFailed(f"supervisor {name!r} failed: {result.error}")
        return msgspec.convert(result.data, Directive)
    except (ConfigError, msgspec.ValidationError) as error:
        raise HandlerFailed(f"{name!r} is no supervisor: {error}") from error
