"""Caller: brings one tool call a step further, doing what `clearance.py` says.

Not responsible for which calls go on when: see `engine.py`. Invariant: a tool runs only after its intention
stands, and what came of it stands before anything else is done with it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...bus.errors import ActoriumError, Effect
from ...bus.task import Result, Status
from ..context import Context
from ..errors import Paused
from .approval import About, Question, digest, question_id
from .approvals import Approvals
from .book import RunBook
from .budget import ONE_CALL, Cost
from .call import Call, Stage, bill
from .clearance import Ask, Probe, Run, Tell, Undo, call_action, intended_again, intention
from .config import AgentConfig
from .delegation import Grant
from .effect import EffectClass
from .purse import Purse
from .record import Asked, Done, Failed, Intended, Undone, Unknown
from .tool import NotDone, Tool, shown

GRACE = 5.0  # seconds after a delegate's own deadline, which cancels it and says so
REASONING = 2000  # characters of the model's words in a question
ToolContext = Callable[[str, Grant | None], Context]


class Doubt(msgspec.Struct, frozen=True):
    """Nobody knows whether the call happened."""

    why: str


class Caller:
    """Makes the tool calls of one run.

    Args:
        run: Its id.
        config: The agent.
        tools: What it may call, by name.
        book: Its records.
        purse: What it pays from.
        approvals: Where people are asked.
        ctx: Of the handler.
        tool_ctx: Makes the context of a call from its key and, for a delegate, its grant: what a tool says
            with it has ids made of that key.
        wall: The wall clock, seconds since 1970.

    Attributes:
        resting: Calls whose delegate waits for people; they are made again when the run is taken up again.
    """

    def __init__(
        self,
        run: str,
        config: AgentConfig,
        *,
        tools: Mapping[str, Tool],
        book: RunBook,
        purse: Purse,
        approvals: Approvals,
        ctx: Context,
        tool_ctx: ToolContext,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._run_id = run
        self._config = config
        self._tools = tools
        self._book = book
        self._purse = purse
        self._approvals = approvals
        self._ctx = ctx
        self._tool_ctx = tool_ctx
        self._wall = wall
        self.resting: set[str] = set()

    async def forward(self, call: Call) -> None:
        """Bring a call a step further, which none does at the same time.

        Cancellation: it is treated as after a crash. Raises what the ledger and the state store raise.
        """
        match call_action(call, self._tools, self._book.state.risk):
            case Run():
                await self._run(call)
            case Tell(content, failed):
                await self._close(call, _told(call, content, failed=failed))
            case Ask(about):
                await self._ask(call, about)
            case Undo():
                await self._undo_and_run(call)
            case Probe():
                await self._probe_and_run(call)

    async def _run(self, call: Call) -> None:
        """Reserve, write the intention, call, write what came of it."""
        tool, key = self._tools[call.wanted.name], self._key(call)
        if call.stage is Stage.INTENDED and call.grant is not None:
            await self._made(call, tool, intended_again(call, tool, key))
            return
        refused = None if call.attempt else await self._purse.reserve(bill(call, ONE_CALL))
        record = await self._book.decide(lambda state: intention(state, call.id, self._tools, key, refused))
        if isinstance(record, Failed):
            await self._closed(call, record)
            return
        call = self._book.state.call(call.id)
        await self._ctx.emit("tool", tool=tool.spec.name, call=call.id, arguments=call.arguments)
        await self._made(call, tool, record)

    async def _made(self, call: Call, tool: Tool, record: Intended) -> None:
        """Make a call whose intention stands, and write what came of it."""
        match await self._perform(tool, record):
            case Doubt(why):
                await self._doubt(call, tool, why)
            case None:
                self.resting.add(call.id)
            case outcome:
                await self._close(call, outcome)

    async def _perform(self, tool: Tool, intended: Intended) -> Done | Failed | Doubt | None:
        """Call a tool. It may raise anything: the model reads it and decides. None: its delegate waits."""
        ctx = self._tool_ctx(intended.key, intended.grant)
        slice_ = intended.grant.budget.seconds if intended.grant else None
        timeout = None if slice_ is None else slice_ + GRACE
        try:
            value = await tool.call(tool.read(intended.arguments), ctx, timeout=timeout)
            return observed(intended.call, value, intended.reserved)
        except Paused:
            return None
        except TimeoutError:
            return Doubt(f"{tool.spec.name} did not end in time; whether it worked is unknown")
        except ActoriumError as error:
            if error.effect is Effect.UNKNOWN:
                return Doubt(error.message)
            return Failed(call=intended.call, error=error.message, cost=ONE_CALL)
        except Exception as error:  # noqa: BLE001  # the boundary to a tool's code
            text = shown(f"{type(error).__name__}: {error}")
            return Failed(call=intended.call, error=text, cost=intended.reserved)

    async def _doubt(self, call: Call, tool: Tool, why: str) -> None:
        """Settle a call that ended without an answer as its effect class says, in this very process."""
        match tool.spec.effect:
            case EffectClass.IRREVERSIBLE:
                found = await self._probed(call)
                if isinstance(found, NotDone):
                    await self._close(call, _told(call, f"{why}, and was found not to have happened"))
                elif found is None:
                    await self._ask(call, About.UNKNOWN, why)
                else:
                    await self._close(call, observed(call.id, found, call.reserved))
            case EffectClass.COMPENSABLE:
                if await self._taken_back(call):
                    await self._close(call, _told(call, f"{why}; it was taken back"))
                else:
                    await self._ask(call, About.UNKNOWN, f"{why}; taking it back failed")
            case _:
                await self._close(call, _told(call, why))

    async def _probe_and_run(self, call: Call) -> None:
        """Find out whether an interrupted call happened; it runs only where it surely did not."""
        found = await self._probed(call)
        if isinstance(found, NotDone):
            await self._run(call)
        elif found is None:
            await self._ask(call, About.UNKNOWN, "the process died in the middle of the call")
        else:
            await self._close(call, observed(call.id, found, call.reserved))

    async def _undo_and_run(self, call: Call) -> None:
        """Take an interrupted call back, and when that stands, run it."""
        if not await self._taken_back(call):
            await self._ask(call, About.UNKNOWN, "the process died in the call, and taking it back failed")
            return
        await self._book.write(Undone(call=call.id))
        await self._run(self._book.state.call(call.id))

    async def _probed(self, call: Call) -> Any:
        """What the probe found; None also where it failed."""
        tool = self._tools[call.wanted.name]
        try:
            return await tool.ask_probe(tool.read(call.arguments), self._tool_ctx(self._key(call), None))
        except Exception as error:  # noqa: BLE001  # the boundary to a tool's code
            await self._ctx.emit("probe_failed", tool=tool.spec.name, call=call.id, error=shown(str(error)))
            return None

    async def _taken_back(self, call: Call) -> bool:
        tool = self._tools[call.wanted.name]
        try:
            await tool.take_back(tool.read(call.arguments), self._tool_ctx(self._key(call), None))
        except Exception as error:  # noqa: BLE001  # the boundary to a tool's code
            await self._ctx.emit("undo_failed", tool=tool.spec.name, call=call.id, error=shown(str(error)))
            return False
        return True

    async def _ask(self, call: Call, about: About, known: str = "") -> None:
        """Put a question to a person: first on record, then where people look."""
        question = self._question(call, about, known)
        kind = Unknown if about is About.UNKNOWN else Asked
        await self._book.write(kind(call=call.id, question=question))
        await self._approvals.ask(question)
        await self._ctx.emit("approval", id=question.id, tool=question.tool, about=about)

    def _question(self, call: Call, about: About, known: str) -> Question:
        name, config = call.wanted.name, self._config
        spec = self._tools[name].spec if name in self._tools else None
        binding = digest(self._run_id, call.id, name, call.arguments)
        return Question(
            id=question_id(binding, about, call.attempt),
            run=self._run_id,
            agent=self._ctx.agent,
            call=call.id,
            tool=name,
            arguments=call.arguments,
            hash=binding,
            about=about,
            risk=spec.risk if spec else "",
            reasoning=known or self._book.state.text[:REASONING],
            approver=spec.approve if spec else "",
            schema=spec.schema if spec else {},
            asked_ms=int(self._wall() * 1000),
            ttl=config.approval_ttl,
            reminders=config.reminders,
            on_expiry=config.on_expiry,
            escalate_to=config.escalate_to,
        )

    async def _close(self, call: Call, record: Done | Failed) -> None:
        await self._book.write(record)
        await self._closed(call, record)

    async def _closed(self, call: Call, record: Done | Failed) -> None:
        """What follows the record of a call's end."""
        await self._purse.settle(bill(call, record.cost))
        failed = isinstance(record, Failed)
        await self._ctx.emit("tool_done", tool=call.wanted.name, call=call.id, failed=failed)

    def _key(self, call: Call) -> str:
        return f"{self._run_id}/{call.id}"


def observed(call_id: str, value: object, reserved: Cost) -> Done | Failed:
    """What a tool returned, as the model reads it, and what it cost: a delegate's result tells its own.

    Raises whatever a value raises that cannot be shown.
    """
    if not isinstance(value, Result):
        return Done(call=call_id, content=shown(value), cost=ONE_CALL)
    metrics = value.metrics
    thought = metrics.tokens_used is not None
    cost = ONE_CALL + Cost(tokens=metrics.tokens_used or 0)
    priced = not thought or metrics.usd is not None
    cost += Cost(usd=(metrics.usd or 0.0) if priced else reserved.usd)
    if value.status is Status.FAILURE:
        return Failed(call=call_id, error=value.error or "it failed", cost=cost, priced=priced)
    partial = f"[partial: {value.error}]\n" if value.status is Status.PARTIAL else ""
    return Done(call=call_id, content=partial + shown(value.data), cost=cost, priced=priced)


def _told(call: Call, content: str, *, failed: bool = True) -> Done | Failed:
    """A call that ends with words of ours or a person's; one that may have run costs what was reserved."""
    if failed:
        return Failed(call=call.id, error=content, cost=call.reserved)
    return Done(call=call.id, content=content, cost=call.reserved)
