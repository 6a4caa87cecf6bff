"""What users write, as a type checker sees it. Read by mypy in `test_typing.py`, never run.

Each `type: ignore` is an error that must be found: with `warn_unused_ignores` a lost one fails the test.
"""

from collections.abc import AsyncIterator
from typing import assert_type

import msgspec

from actorium import (
    Actor,
    Agent,
    AgentStatus,
    App,
    Artifact,
    BadTask,
    Budget,
    Client,
    Context,
    Definition,
    Effect,
    Event,
    Handle,
    Isolation,
    MailboxFull,
    Options,
    Policy,
    Reject,
    Restart,
    Result,
    Status,
    Strategy,
    Supervisor,
    Task,
    tool,
)


class Add(msgspec.Struct):
    amount: int = 1


class Clear(msgspec.Struct):
    pass


class Total(msgspec.Struct):
    total: int = 0
    names: list[str] = []


class Counter(Actor):
    """A typed actor with durable state."""

    options = Options(attempts=5, idle=10.0, isolation=Isolation.PROCESS, policy=Policy(intensity=3))
    state: Total

    async def on_start(self, ctx: Context) -> None:
        assert_type(ctx.agent, str)
        assert_type(ctx.attempt, int)

    async def on_stop(self) -> None:
        self.state.names.clear()

    async def receive(self, message: Add | Clear, ctx: Context) -> int:
        assert_type(self.state, Total)
        assert_type(self.state.total, int)
        match message:
            case Add(amount):
                self.state.total += amount
            case Clear():
                self.state = Total()
        self.state.total = "many"  # type: ignore[assignment]
        self.state.totals += 1  # type: ignore[attr-defined]
        return self.state.total


class Boss(Actor):
    """Speaks to others."""

    async def receive(self, message: Task, ctx: Context) -> Result:
        assert_type(message.action, str)
        assert_type(await ctx.tell("counter", Add(amount=1)), str)
        result = await ctx.ask("counter", Add(amount=1), timeout=2)
        assert_type(result, Result)
        assert_type(await ctx.delegate("counter", Task(action="add", spec={"amount": 1})), Result)
        assert_type(await ctx.spawn(Counter.named("newcomer", start=3)), str)
        assert_type(ctx.remaining, float | None)
        await ctx.emit("halfway", percent=50)
        await ctx.ask("counter")  # type: ignore[call-arg]
        await ctx.ask("counter", Add(), timeout="soon")  # type: ignore[arg-type]
        await ctx.spawn("newcomer")  # type: ignore[arg-type]
        if result.status is Status.FAILURE:
            raise Reject(result.error or "no", agent="counter")
        return Result(status=Status.PARTIAL, data=[1], artifacts=(Artifact(type="code", path="x"),))  # type: ignore[arg-type]


class Plain(Actor):
    """A blocking function runs off the loop."""

    def receive(self, message: str, ctx: Context) -> str:  # type: ignore[override]
        return message.upper()


counter = Counter.named("counter")
assert_type(counter, Definition)
group = Supervisor.of(
    "team",
    Counter.named("one", Options(restart=Restart.TRANSIENT)),
    Counter.named("two"),
    policy=Policy(strategy=Strategy.REST_FOR_ONE, intensity=3, period=10.0),
)
app = App(counter, group, Boss.named("boss"))
App(Counter)  # type: ignore[arg-type]
Policy(intensity="many")  # type: ignore[arg-type]
Options(attemps=3)  # type: ignore[call-arg]
Task("add")  # type: ignore[call-arg]


@tool(effect="irreversible", risk="high", timeout=30.0)
async def pay(invoice: int, ctx: Context) -> str:
    return f"{ctx.agent} paid {invoice}"


@tool
def look(number: int) -> str:
    return str(number)


clerk = Agent("clerk", model="ollama:llama3.2", tools=[look], isolation="process", execution="never")
assert_type(clerk, Definition)
writer = Agent(
    "writer",
    model="anthropic:claude-sonnet-5-5",
    fallback=["openai:gpt-5.1"],
    prompt="You write.",
    tools=[pay, "shop:look", clerk],
    delegates=[clerk, "reviewer"],
    budget=Budget(usd=0.50, steps=20),
    risk="low",
    output=Total,
    effort="high",
    reminders=[60.0],
    on_expiry="halt",
    skills=["write"],
    options=Options(idle=5.0),
)
App(writer, clerk, counter)
Agent("writer")  # type: ignore[call-arg]
Agent("writer", model="a:b", tols=[pay])  # type: ignore[call-arg]
Agent("writer", model="a:b", risk="huge")  # type: ignore[arg-type]
Agent("writer", model="a:b", tools=[len])  # type: ignore[list-item]
Budget(dollars=1)  # type: ignore[call-arg]
tool(effects="pure")  # type: ignore[call-overload]


async def use() -> None:
    async with Client("nats://127.0.0.1:4222") as actorium:
        assert_type(actorium, Client)
        result = await actorium.ask("counter", Add(amount=1), timeout=60)
        assert_type(result, Result)
        assert_type(result.status, Status)
        assert_type(result.metrics.execution_time_ms, int)
        if result.failure is not None:
            assert_type(result.failure.effect, Effect)
        handle = await actorium.tell("counter", Task(action="add", spec={"amount": 2}), task_id="order-17")
        assert_type(handle, Handle)
        assert_type(handle.id, str)
        events: AsyncIterator[Event] = handle.events()
        async for event in events:
            assert_type(event.kind, str)
        assert_type(await handle.result(timeout=60), Result)
        assert_type((await handle.cancel()).cancelled, bool)
        assert_type(await actorium.agents(), list[Definition])
        await actorium.spawn(counter)
        status = await actorium.status("counter")
        assert AgentStatus(status["status"]) in AgentStatus
        await actorium.tell("counter")  # type: ignore[call-arg]
        actorium.tell("counter", Add())  # type: ignore[unused-coroutine]
        try:
            await actorium.tell("counter", "plain text")
        except MailboxFull as error:
            assert_type(error.retryable, bool)
        except BadTask as error:
            assert_type(error.fields, dict[str, str])
        result.status = Status.FAILURE  # type: ignore[misc]
