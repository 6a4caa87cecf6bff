"""Nothing is called before its worst case fits; what is over is partial, and says which limit."""

import asyncio

import pytest

from actorium.actors.models.errors import ModelUnavailable
from actorium.actors.models.port import Attempt, ModelResponse, StopReason, Text, Usage
from actorium.actors.models.prices import Prices
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.budget import Budget
from actorium.actors.runs.tool import tool
from actorium.bus.errors import ConfigError, Failure
from actorium.bus.task import Status


@tool(effect="pure")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0)
    return a + b


def more(request):
    n = len(request.turns)
    return call(("add", {"a": n, "b": n}), text=f"Turn {n}.")


def used(answer: ModelResponse, **usage) -> ModelResponse:
    return ModelResponse(
        parts=answer.parts, stop=answer.stop, provider="scripted", model="m", usage=Usage(**usage)
    )


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"steps": 3}, "steps"),
        ({"tool_calls": 2}, "tool_calls"),
        ({"tokens": 3000}, "tokens"),
        ({"usd": 0.01}, "usd"),
    ],
)
async def test_each_limit_ends_the_run_as_partial_and_is_named(stage, limits, limit):
    ended = await stage.carry(more, add, budget={"steps": 50, **limits})
    assert (ended.why, ended.limit, ended.result.status) == ("budget", limit, Status.PARTIAL)
    assert ended.result.failure.fields == {"limit": limit}
    assert ended.result.data.startswith("Turn")
    metrics = ended.result.metrics
    spent = {
        "steps": metrics.steps,
        "tool_calls": metrics.tool_calls,
        "tokens": metrics.tokens_used,
        "usd": metrics.usd,
    }
    assert spent[limit] <= limits[limit]


async def test_time_over_is_partial(stage):
    def script(request):
        stage.now += 200.0
        return more(request)

    ended = await stage.carry(script, add)
    assert (ended.limit, ended.result.metrics.steps) == ("seconds", 2)


async def test_time_in_which_nobody_carried_it_does_not_count(stage):
    @tool(effect="pure", risk="high")
    def pay() -> str:
        return "paid"

    script = in_order(call(("pay", {})), say("done"))
    assert await stage.carry(script, pay) is None
    stage.now += 3 * 86400.0
    await stage.answer("accept")
    ended = await stage.carry(script, pay)
    assert ended.why == "completed"
    assert ended.result.metrics.execution_time_ms == 0


async def test_a_model_that_is_slow_is_cut_when_the_time_is_over(stage):
    async def slow(request):
        try:
            await asyncio.Event().wait()
        finally:
            stage.now += 1.0

    ended = await stage.carry(slow, budget={"seconds": 0.02})
    assert (ended.why, ended.limit) == ("budget", "seconds")
    assert ended.result.metrics.tokens_used >= 8192  # it may have been billed


async def test_parallel_calls_do_not_pass_the_limit_together(stage):
    many = call(*[("add", {"a": n, "b": n}) for n in range(10)])
    ended = await stage.carry(in_order(many, say("never")), add, budget={"tool_calls": 4})
    assert (ended.why, ended.limit, ended.result.metrics.tool_calls) == ("budget", "tool_calls", 4)
    assert (await stage.kinds()).count("intended") == 4
    assert ended.result.data == ["0", "2", "4", "6"]


async def test_an_unknown_price_is_refused_where_money_is_limited(stage):
    stage.prices = Prices()
    ended = await stage.carry(in_order(say("hi")), budget={"usd": 1.0})
    assert (ended.why, ended.result.status) == ("price", Status.FAILURE)
    assert "give it a price" in ended.result.error
    assert stage.requests == []


async def test_an_unknown_price_is_told_as_unknown_where_it_is_not(stage):
    stage.prices = Prices()
    ended = await stage.carry(in_order(say("hi")))
    assert ended.result.metrics.usd is None
    assert ended.result.metrics.tokens_used > 0


async def test_a_fallback_without_a_price_is_refused_too(stage):
    ended = await stage.carry(in_order(say("hi")), budget={"usd": 1.0}, fallback=("other:model",))
    assert ended.why == "price"


async def test_the_model_is_allowed_less_where_little_is_left(stage):
    """A budget can be used up, not only to within the worst case of a full answer."""
    ended = await stage.carry(in_order(say("hi")), budget={"tokens": 2000})
    assert ended.why == "completed"
    assert stage.requests[0].max_tokens == 1024


async def test_attempts_that_may_have_cost_are_counted(stage):
    lost = Attempt(model="scripted:m", failure=Failure(code="x", message="x", effect="unknown"))
    cheap = Attempt(model="scripted:m", failure=Failure(code="x", message="x"), usage=Usage(input=10))
    free = Attempt(model="scripted:m", failure=Failure(code="x", message="x"))
    answer = ModelResponse(
        parts=(Text("hi"),),
        stop=StopReason.END_TURN,
        provider="scripted",
        model="m",
        usage=Usage(input=100, output=10),
        attempts=(lost, cheap, free),
    )
    ended = await stage.carry(in_order(answer))
    (worst,) = [e["tokens"] for kind, e in stage.office.events if kind == "answered"]
    assert ended.result.metrics.tokens_used == worst > 8192 + 120
    assert ended.result.metrics.steps == 1


async def test_an_error_that_may_have_cost_is_counted_as_the_worst_case(stage):
    errors = [ModelUnavailable("cut")]

    def script(request):
        if errors:
            raise errors.pop()
        return used(say("hi"), input=10, output=10)

    ended = await stage.carry(script)
    assert 8192 < ended.result.metrics.tokens_used < 9000


async def test_a_script_that_raises_ends_the_run_says_why_and_costs_nothing(stage):
    """It is a mistake of the program: tried again it would raise again."""

    def wrong(request):
        return {}["gone"]

    ended = await stage.carry(wrong, account="team")
    assert (ended.why, ended.result.status) == ("model", Status.FAILURE)
    assert "the script raised KeyError: 'gone'" in ended.result.error
    assert (ended.result.metrics.tokens_used, ended.result.metrics.usd) == (0, 0.0)
    assert len(stage.requests) == 1
    account = await stage.accounts.open("team", Budget())
    assert (account.spent.tokens, account.reserved) == (0, {})


async def test_a_model_call_that_a_crash_cut_off_counts_as_the_worst_case_and_is_made_again(stage):
    class Killed(BaseException):
        """The process dies."""

    def dies(request):
        raise Killed

    with pytest.raises(Killed):
        await stage.carry(dies, account="team")
    ended = await stage.carry(in_order(used(say("hi"), input=10, output=10)), account="team")
    assert ended.result.metrics.steps == 1
    assert 8192 < ended.result.metrics.tokens_used < 9000
    account = await stage.accounts.open("team", Budget())
    assert (account.spent.tokens, account.reserved) == (ended.result.metrics.tokens_used, {})


async def test_two_runs_share_an_account_and_do_not_pass_it_together(stage):
    await stage.accounts.open("team", Budget(steps=None, tool_calls=None, seconds=None, tokens=6000))
    subjects = [f"led.7.default.run-{n}" for n in (1, 2)]
    engines = [await stage.engine(more, add, account="team", max_tokens=1000, subject=s) for s in subjects]
    ends = await asyncio.gather(*(engine.carry() for engine in engines))
    account = await stage.accounts.open("team", Budget())
    assert [end.why for end in ends] == ["account", "account"]
    assert {end.limit for end in ends} == {"tokens"}
    assert account.reserved == {}
    assert account.spent.tokens == sum(end.result.metrics.tokens_used for end in ends) <= 6000


async def test_two_runs_overspend_by_no_more_than_what_their_calls_cost_over_the_estimate(stage):
    """A provider that counts far more than anybody could expect."""
    limit, real, estimates = 9_900, 2500, []
    await stage.accounts.open("team", Budget(steps=None, tool_calls=None, seconds=None, tokens=limit))

    async def script(request):
        account = await stage.accounts.open("team", Budget())
        estimates.extend(cost.tokens for cost in account.reserved.values())
        await asyncio.sleep(0)
        n = len(request.turns)
        return used(call(("add", {"a": n, "b": n})), input=real)

    subjects = [f"led.7.default.run-{n}" for n in (1, 2)]
    engines = [await stage.engine(script, add, account="team", max_tokens=300, subject=s) for s in subjects]
    await asyncio.gather(*(engine.carry() for engine in engines))
    spent = (await stage.accounts.open("team", Budget())).spent.tokens
    in_flight = 2
    assert limit < spent <= limit + in_flight * (real - min(estimates))


async def test_an_account_that_nobody_keeps_is_no_account(stage):
    engine = stage.engine(in_order(say("x")), account="team")
    stage.accounts = None
    with pytest.raises(ConfigError, match="team"):
        await engine
