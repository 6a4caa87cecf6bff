"""Supervisor: an actor that restarts a group of actors together, wherever their owners are.

Not responsible for the decision: see `supervision.py`. The owner of a child that failed asks it; it answers
for that child and commands the others. A group can stand in a group: when its supervisor gives up, the one
above decides whether the whole group begins anew, or gives up in turn. Invariant: who asks carries out the
answer for what is below him, who answers for all others; and a group whose supervisor dies between a stop and
the start that belongs to it is started by the next owner, for that was stored before.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..bus.envelope import Envelope
from ..bus.errors import ActoriumError, ConfigError, DeadlineExceeded, NoOwner
from ..bus.task import Result
from ..bus.value import JsonObject
from .actor import Actor
from .context import ASK_TIMEOUT, Context
from .definition import Definition, Options
from .errors import ActorError, HandlerFailed, Reject
from .message import to_task
from .port import Courier, Directive
from .supervision import Child, Escalate, Forget, Policy, Restart, RestartChildren, agents, decide

RESERVE = 0.2  # share of the time that a supervisor keeps for itself when it asks the one above
ATTEMPTS = 10  # to start what an earlier life stopped, of which each may meet another death
REMEMBERED = 16  # restarts; their messages to ourselves come right behind them
IDLE = 60.0  # seconds for which a supervisor is remembered to have restarted somebody, beyond its period


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A child ended by a failure; where it is a group, it gave up."""

    child: str
    error: str = ""


class Mend(msgspec.Struct, frozen=True, kw_only=True):
    """Start these agents, unless the restart of that id came to its end; stored before they are stopped."""

    id: str
    agents: tuple[str, ...]


class History(msgspec.Struct):
    """What a supervisor must know after its death.

    Attributes:
        ended: Ids of the newest restarts that came to their end.
        given_up: The group is stopped on purpose.
    """

    ended: list[str] = []
    given_up: bool = False


class Supervisor(Actor):
    """Keeps a group of agents: one_for_one, one_for_all or rest_for_one.

    Args:
        children: Name, restart type and members of each child, in start order.
        policy: Strategy, intensity and backoff.
        supervisor: The name of the group that this one stands in; empty: it is the top.
    """

    state: History = History()

    def __init__(self, children: list[JsonObject], policy: JsonObject, supervisor: str = "") -> None:
        self._children = msgspec.convert(children, list[Child])
        self._policy = msgspec.convert(policy, Policy)
        self._supervisor = supervisor
        self._restarts: list[float] = []

    @classmethod
    def of(
        cls,
        name: str,
        *children: Definition | Sequence[Definition],
        policy: Policy | None = None,
        restart: Restart = Restart.PERMANENT,
    ) -> list[Definition]:
        """Definitions of a supervisor and of its children, for an App.

        Args:
            name: The supervisor's own agent id.
            children: In start order; stopped in reverse order. The list that another `of` returned is a
                group below.
            restart: When the group as a whole is restarted, where it stands in another one.

        Raises:
            ConfigError: A child belongs to another group already.
        """
        policy = policy or Policy()
        told, below = [], []
        for child in children:
            head, *rest = [child] if isinstance(child, Definition) else child
            groups = {one.options.supervisor for one in rest}
            members = tuple(one.name for one in rest if one.name not in groups)
            told.append(Child(head.name, head.options.restart, members))
            below += [_under(name, head, group=bool(rest)), *rest]
        config = {"children": msgspec.to_builtins(told), "policy": msgspec.to_builtins(policy)}
        options = Options(attempts=ATTEMPTS, restart=restart, idle=policy.period + IDLE)
        return [cls.named(name, options, **config), *below]

    async def receive(self, message: Ended | Mend, ctx: Context) -> Directive | None:
        """Decide for a child that ended; or make good what an earlier life of this supervisor began."""
        if isinstance(message, Ended):
            return await self._decide(message, ctx)
        if message.id not in self.state.ended and not self.state.given_up:
            await self._start(message.agents, ctx)
        return None

    async def _decide(self, message: Ended, ctx: Context) -> Directive:
        """Command the others, and answer for the child itself.

        Raises:
            Reject: It is no child of this group, as another program may define it: its own policy decides.
        """
        if message.child not in {child.name for child in self._children}:
            raise Reject(f"{message.child!r} is no child of group {ctx.agent!r}")
        now = time.monotonic()
        decision = decide(
            self._policy, self._children, message.child, failed=True, restarts=self._restarts, now=now
        )
        match decision:
            case RestartChildren(names, delay):
                self._restarts = [m for m in self._restarts if m > now - self._policy.period] + [now]
                await self._restart([name for name in names if name != message.child], ctx)
                return Directive(restart=True, delay=delay)
            case Forget():
                return Directive(restart=False, reason="its restart type says so")
            case Escalate(reason):
                return await self._escalate(message.child, reason, ctx)

    async def _restart(self, names: list[str], ctx: Context) -> None:
        """Stop in reverse order, start in order; the owners wait for what is in hand."""
        self.state.given_up = False
        chosen = agents(self._children, names)
        if not chosen:
            return
        await ctx.tell(ctx.agent, Mend(id=ctx.task_id, agents=tuple(chosen)))
        for name in reversed(chosen):
            await ctx.command(name, "stop")
        await self._start(chosen, ctx)
        self.state.ended = [*self.state.ended, ctx.task_id][-REMEMBERED:]

    async def _start(self, names: Sequence[str], ctx: Context) -> None:
        for name in names:
            await ctx.command(name, "restart")

    async def _escalate(self, ended: str, reason: str, ctx: Context) -> Directive:
        """Give up, unless the supervisor above has the whole group begin anew."""
        directive = await self._ask_above(reason, ctx)
        others = [child.name for child in self._children if child.name != ended]
        if directive.restart:
            self._restarts = []
            await self._restart(others, ctx)
        else:
            self.state.given_up = True
            async with asyncio.TaskGroup() as stops:
                for name in reversed(agents(self._children, others)):
                    stops.create_task(_stop(name, ctx))
        await ctx.emit(
            "escalated", reason=reason, child=ended, to=self._supervisor, restarted=directive.restart
        )
        return directive

    async def _ask_above(self, reason: str, ctx: Context) -> Directive:
        """What the supervisor above says of this group; where there is none, or no answer, it gives up."""
        if not self._supervisor:
            return Directive(restart=False, reason=reason)
        left = ASK_TIMEOUT if ctx.remaining is None else ctx.remaining
        ended = Ended(child=ctx.agent, error=reason)
        try:
            result = await ctx.ask(self._supervisor, ended, timeout=left * (1 - RESERVE))
            return _read(self._supervisor, result)
        except ActoriumError as error:
            return Directive(restart=False, reason=f"{reason}; {error}")


async def _stop(name: str, ctx: Context) -> None:
    """Stop one of a group that gives up, whatever the others say; it stands for the next owner too."""
    with suppress(ActorError, NoOwner, DeadlineExceeded):
        await ctx.command(name, "give_up")


def _under(name: str, child: Definition, *, group: bool) -> Definition:
    """A definition as a child of a supervisor; one that is a supervisor itself knows whom to ask."""
    if child.options.supervisor:
        raise ConfigError(
            f"agent {child.name!r} belongs to group {child.options.supervisor!r} already: "
            "hand over the list that Supervisor.of returned as it is",
            agent=child.name,
        )
    options = msgspec.structs.replace(child.options, supervisor=name)
    above = {"supervisor": name} if group else {}
    return msgspec.structs.replace(child, options=options, config=child.config | above)


async def ask_supervisor(courier: Courier, definition: Definition, ended: Ended) -> Directive:
    """What the supervisor of a child says. Raises what `Courier.ask` does, and HandlerFailed."""
    task_id = f"{definition.name[:32]}-ended-{secrets.token_hex(4)}"
    envelope = Envelope(task_id=task_id, deadline=time.monotonic() + ASK_TIMEOUT)
    name = definition.options.supervisor
    try:
        return _read(name, await courier.ask(name, to_task(ended), envelope))
    except ConfigError as error:
        raise HandlerFailed(f"{name!r} is no supervisor: {error}") from error


def _read(name: str, result: Result) -> Directive:
    """What a supervisor answered."""
    if result.failure is not None:
        raise HandlerFailed(f"supervisor {name!r} failed: {result.error}")
    try:
        return msgspec.convert(result.data, Directive)
    except msgspec.ValidationError as error:
        raise HandlerFailed(f"{name!r} is no supervisor: {error}") from error
