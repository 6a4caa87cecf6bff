"""Engine: carries one run, doing what `plan.py` says and writing each thing down before and after.

Not responsible for deciding, nor for when a run is carried. Invariant: a model or a tool is called only after
the record of its intention stands, and what has a record of its outcome is not called again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from ...bus.errors import ConfigError
from ..context import Context
from ..models.errors import ModelError
from ..models.port import Model, ModelRequest, OutputSchema, ToolSpec
from ..models.prices import Prices
from . import plan
from .accounts import Accounts
from .approvals import Approvals
from .book import RunBook
from .budget import Exceeded, exceeded
from .call import Bill, Call, Stage
from .caller import Caller, ToolContext
from .config import AgentConfig
from .delegation import DELEGATE, delegate_tool
from .ending import Ending
from .purse import Charge, Purse
from .record import Answered, Compacted, Decided, Ended, Objected, Requested, Started, Unanswered
from .state import model_key
from .tool import Tool
from .voice import Voice

LEAST_ANSWER = 256  # tokens: where a budget has no room for so many, the model is not asked


class Engine:
    """Carries one run that has begun.

    Args:
        run: Its id.
        config: The agent it is pinned to.
        tools: What it may call, by name.
        model: Who thinks; retries and fallbacks are its own.
        book: Its records, the first of which stands: see `RunBook.begin`.
        approvals: Where people are asked.
        prices: What tokens cost.
        accounts: Shared budgets, where the run names one.
        ctx: Of the handler.
        tool_ctx: Makes the context of a call; see `Caller`.
        voice: Told every piece of the model's answers.
        wall: The wall clock, seconds since 1970.

    Attributes:
        ending: Brings the run to its end; of one that nobody carries also from outside.

    Raises:
        ConfigError: The run has not begun, is pinned to another definition, or the tools do not fit.
    """

    def __init__(
        self,
        run: str,
        config: AgentConfig,
        *,
        tools: Mapping[str, Tool],
        model: Model,
        book: RunBook,
        approvals: Approvals,
        prices: Prices,
        ctx: Context,
        tool_ctx: ToolContext,
        accounts: Accounts | None = None,
        voice: Voice | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        started = _begun(run, config, book)
        self._config = config
        self._tools = _allowed(config, tools, started)
        self._model = model
        self._book = book
        self._approvals = approvals
        self._purse = Purse(run, prices, accounts, started.account)
        self._ctx = ctx
        self._voice = voice
        self._leaving = False
        self._news = asyncio.Event()
        structured = config.output is not None
        self.ending = Ending(book, self._purse, approvals, ctx, structured)
        self._caller = Caller(
            run,
            config,
            tools=self._tools,
            book=book,
            purse=self._purse,
            approvals=approvals,
            ctx=ctx,
            tool_ctx=tool_ctx,
            wall=wall,
        )

    async def carry(self) -> Ended | None:
        """Go on until the run ends, until everything that is left waits for people, or `rest` (None).

        Cancellation: open the book again and carry on; what was under way is treated as after a crash.

        Raises:
            Fenced: A newer owner carries the run.
            StorageError: Records or questions cannot be kept; open the book again.
        """
        self._book.take_up()
        await self.ending.settle_owed()
        while self._book.state.ended is None:
            if self._leaving:
                await self._book.flush()
                return None
            await self._collect_answers()
            elapsed, resting = self._book.elapsed, self._caller.resting
            match plan.next_step(self._book.state, self._config, elapsed=elapsed, resting=resting):
                case plan.AskModel():
                    await self._ask_model()
                case plan.Work(calls):
                    await self._work(calls)
                case plan.Wait():
                    await self._book.flush()
                    await self._ctx.emit("paused")
                    return None
                case plan.Finish() as finish:
                    await self.ending.finish(finish)
                case plan.WriteOff():
                    await self._write_off()
                case plan.Object(text):
                    await self._book.write(Objected(text=text))
                case plan.Compact(keep):
                    await self._book.write(Compacted(keep=keep))
        await self.ending.wrap_up()
        return self._book.state.ended

    def rest(self) -> None:
        """Have `carry` return at the next step, with nothing under way."""
        self._leaving = True

    def nudge(self) -> None:
        """There is news of a question, or of a delegate that waited for people: look at once."""
        self._news.set()

    async def _collect_answers(self) -> None:
        """Take in what people answered."""
        self._news.clear()
        for call in self._book.state.open_calls:
            if call.stage is Stage.WAITING and call.question is not None:
                decision = await self._approvals.decision(call.question)
                if decision is not None:
                    await self._book.write(Decided(call=call.id, decision=decision))
                    await self._approvals.collected(call.question)

    async def _work(self, calls: tuple[Call, ...]) -> None:
        """Bring calls further, side by side, and those of which there is news meanwhile.

        The first error ends them all, as a crash would.
        """
        under_way: dict[str, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while calls:
                    under_way |= {call.id: group.create_task(self._caller.forward(call)) for call in calls}
                    calls = await self._answered_meanwhile(under_way)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _answered_meanwhile(self, under_way: Mapping[str, asyncio.Task[None]]) -> tuple[Call, ...]:
        """Calls that waited and may go on, as soon as there are some; none: nothing is under way any more."""
        while busy := [task for task in under_way.values() if not task.done()]:
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait([news, *busy], return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            if self._leaving:
                self._news.clear()  # whoever carries the run next looks anyway
            elif self._news.is_set():
                await self._collect_answers()
                self._caller.resting.clear()
                if found := self._idle_calls(under_way):
                    return found
        return ()

    def _idle_calls(self, under_way: Mapping[str, asyncio.Task[None]]) -> tuple[Call, ...]:
        """Calls that could be brought further, and that nobody brings further."""
        idle = (
            call
            for call in self._book.state.open_calls
            if call.id not in under_way or under_way[call.id].done()
        )
        return tuple(call for call in idle if call.stage is not Stage.WAITING and not plan.halts(call))

    async def _ask_model(self) -> None:
        """Reserve, write the request, ask, take in the answer."""
        afforded = await self._afford()
        if isinstance(afforded, plan.Finish):
            await self.ending.finish(afforded)
            return
        request, ahead = afforded
        step, name = self._book.state.step + 1, self._model.name
        requested = Requested(step=step, model=name, reserved=ahead.cost, priced=ahead.priced)
        await self._book.write(requested)
        await self._ctx.emit("step", step=step, model=name)
        outcome = await self._complete(request, step, ahead)
        self._book.note(outcome)  # it stands together with what follows from it
        await self.ending.settle_owed()
        if self._voice is not None:
            await self._voice.say()
        await self._ctx.emit("answered", step=step, tokens=outcome.cost.tokens, usd=outcome.cost.usd)

    async def _complete(self, request: ModelRequest, step: int, ahead: Charge) -> Answered | Unanswered:
        """Ask the model, for as long as the run has time."""
        hear = self._voice.hear if self._voice else None
        try:
            async with asyncio.timeout(self._time_left()):
                response = await self._model.complete(request, on_delta=hear)
        except TimeoutError:
            lost = msgspec.structs.replace(ahead.cost, steps=0)
            return Unanswered(step=step, cost=lost, priced=ahead.priced)
        except ModelError as error:
            charge = self._purse.of_error(error, self._model.name, ahead)
            return Unanswered(step=step, failure=error.failure(), cost=charge.cost, priced=charge.priced)
        charge = self._purse.of_answer(response, ahead)
        return Answered(step=step, response=response, cost=charge.cost, priced=charge.priced)

    async def _afford(self) -> tuple[ModelRequest, Charge] | plan.Finish:
        """The next request, with its worst case reserved; near the end of a budget it may write less."""
        state, models = self._book.state, (self._model.name, *self._config.fallback)
        request = self._request()
        while True:
            ahead = self._purse.worst(models, request)
            own = _refusal(ahead, state.budget.usd) or exceeded(state.budget, state.held, ahead.cost)
            over = own or await self._purse.reserve(Bill(model_key(state), ahead.cost), ahead.unpriced)
            if over is None:
                return request, ahead
            if over.limit not in ("tokens", "usd") or over.reason or request.max_tokens <= LEAST_ANSWER:
                return plan.spent_up(state, over, account=own is None)
            fewer = max(LEAST_ANSWER, request.max_tokens // 2)
            request = msgspec.structs.replace(request, max_tokens=fewer)

    def _request(self) -> ModelRequest:
        config = self._config
        specs = (tool.spec for tool in self._tools.values())
        return ModelRequest(
            turns=self._book.state.turns,
            system=config.prompt,
            tools=tuple(ToolSpec(name=s.name, description=s.description, schema=s.schema) for s in specs),
            max_tokens=config.max_tokens,
            output=OutputSchema(schema=config.output) if config.output else None,
            effort=config.effort,
        )

    async def _write_off(self) -> None:
        asking = self._book.state.asking
        if asking is not None:
            lost = msgspec.structs.replace(asking.reserved, steps=0)
            await self._book.write(Unanswered(step=asking.step, cost=lost, priced=asking.priced))
            await self.ending.settle_owed()

    def _time_left(self) -> float | None:
        state = self._book.state
        limit = state.budget.seconds
        return None if limit is None else max(0.0, limit - state.spent.seconds - self._book.elapsed)


def _refusal(ahead: Charge, usd: float | None) -> Exceeded | None:
    """Money is limited, and nobody knows what the call costs."""
    if usd is None or not ahead.unpriced:
        return None
    return Exceeded("usd", usd, 0.0, f"a limit of {usd:g} usd cannot be kept: {ahead.unpriced}")


def _begun(run: str, config: AgentConfig, book: RunBook) -> Started:
    started = book.state.started
    if started is None:
        raise ConfigError(f"{run} has not begun: write its first record with RunBook.begin", run=run)
    if started.definition != config.hash:
        told = f"{run} is pinned to definition {started.definition}, and was given {config.hash}"
        raise ConfigError(told, run=run)
    return started


def _allowed(config: AgentConfig, tools: Mapping[str, Tool], started: Started) -> dict[str, Tool]:
    """The tools of a run: the agent's own, and delegation where it may go a level deeper."""
    if started.tools is not None:  # what is told unknown is not called: by default nothing is
        tools = {name: tool for name, tool in tools.items() if name in started.tools}
    if not started.budget.depth:
        return {name: tool for name, tool in tools.items() if not tool.spec.delegates}
    if not config.delegates or (started.tools is not None and DELEGATE not in started.tools):
        return dict(tools)
    if DELEGATE in tools:
        raise ConfigError(f"tool {DELEGATE} is built in for an agent with delegates: name yours otherwise")
    return {**tools, DELEGATE: delegate_tool(config.delegates)}
