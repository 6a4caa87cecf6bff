"""Tasks given to other agents: once by the call's key, with a slice of what is left, paid by the giver."""

import pytest

from actorium.actors.models.port import ToolResult
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.budget import Budget
from actorium.actors.runs.delegation import DELEGATE, Grant
from actorium.actors.runs.effect import Risk
from actorium.actors.runs.tool import tool
from actorium.bus.errors import ConfigError, DeadlineExceeded, MailboxFull
from actorium.bus.task import Metrics, Result, Status

BOB = (DELEGATE, {"agent": "bob", "task": "Look it up"})
EVE = (DELEGATE, {"agent": "eve", "task": "Write it down"})
SCRIPT = in_order(call(BOB, EVE), say("done"))
TEAM = {"delegates": ("bob", "eve")}


def told(stage) -> list[ToolResult]:
    return list(stage.requests[-1].turns[-1].parts)


async def test_tasks_are_given_in_parallel_under_the_keys_of_their_calls(stage):
    ended = await stage.carry(SCRIPT, **TEAM, budget={"usd": 4.0})
    assert {key: (agent, task.spec) for key, (agent, task) in stage.office.delegated.items()} == {
        "run-1/1/1/1": ("bob", "Look it up"),
        "run-1/1/2/1": ("eve", "Write it down"),
    }
    assert [result.content for result in told(stage)] == ["bob did it", "eve did it"]
    metrics = ended.result.metrics
    assert metrics.usd > 0.5
    assert metrics.tokens_used > 200
    assert metrics.tool_calls == 2


async def test_a_delegate_is_granted_a_share_and_no_more_rights(stage):
    await stage.carry(SCRIPT, **TEAM, budget={"usd": 4.0, "depth": 2}, risk="low", account="team")
    one, other = stage.grants
    assert one.budget.usd == pytest.approx(other.budget.usd)
    assert 1.2 < one.budget.usd < 4.0 / 3
    assert (one.risk, one.account, one.budget.depth) == (Risk.LOW, "team", 1)
    assert one.budget.seconds == 300.0


async def test_what_a_delegate_spends_is_settled_in_the_account_by_itself_alone(stage):
    await stage.accounts.open("team", Budget(steps=None, tool_calls=None, seconds=None, usd=100.0))
    ended = await stage.carry(SCRIPT, **TEAM, account="team")
    account = await stage.accounts.open("team", Budget())
    assert account.spent.usd == pytest.approx(ended.result.metrics.usd - 0.5)
    assert account.reserved == {}


async def test_the_tool_names_the_agents_and_nobody_else_is_reached(stage):
    wrong = call((DELEGATE, {"agent": "mallory", "task": "x"}))
    await stage.carry(in_order(wrong, say("sorry")), **TEAM)
    (spec,) = stage.requests[0].tools
    assert spec.schema["properties"]["agent"]["enum"] == ["bob", "eve"]
    assert told(stage)[0].is_error
    assert stage.office.delegated == {}


async def test_depth_is_bounded(stage):
    grant = Grant(budget=Budget(depth=0))
    await stage.carry(in_order(call(BOB), say("sorry")), **TEAM, grant=grant)
    assert stage.requests[0].tools == ()
    assert "There is no tool 'delegate_task'" in told(stage)[0].content


@pytest.mark.parametrize(
    ("status", "content", "failed"),
    [(Status.FAILURE, "no time", True), (Status.PARTIAL, "[partial: no time]\n[1]", False)],
)
async def test_a_delegate_that_fails_or_is_cut_short_is_told_and_paid(stage, status, content, failed):
    spent = Metrics(execution_time_ms=1, tokens_used=7, usd=1.0)
    result = Result(status=status, data=[1], error="no time", metrics=spent)
    stage.office.answer = lambda agent, task: result
    ended = await stage.carry(in_order(call(BOB), say("ok")), **TEAM)
    assert (told(stage)[0].content, told(stage)[0].is_error) == (content, failed)
    assert ended.result.metrics.usd > 1.0


@pytest.mark.parametrize(("error", "spent"), [(MailboxFull("full"), False), (DeadlineExceeded("late"), True)])
async def test_a_delegate_without_a_result_costs_its_slice_if_it_may_have_run(stage, error, spent):
    def answer(agent, task):
        raise error

    stage.office.answer = answer
    ended = await stage.carry(in_order(call(BOB), say("ok")), **TEAM, budget={"usd": 4.0})
    assert told(stage)[0].is_error
    assert (ended.result.metrics.usd > 1.9) is spent


async def test_an_actor_that_does_not_think_costs_nothing(stage):
    stage.office.answer = lambda agent, task: Result(status=Status.SUCCESS, data=5)
    ended = await stage.carry(in_order(call(BOB), say("ok")), **TEAM, budget={"usd": 4.0})
    assert told(stage)[0].content == "5"
    assert ended.result.metrics.usd < 0.1


async def test_a_delegate_whose_money_is_not_known_costs_its_slice(stage):
    stage.office.answer = lambda agent, task: Result(
        status=Status.SUCCESS, data=5, metrics=Metrics(execution_time_ms=1, tokens_used=7)
    )
    ended = await stage.carry(in_order(call(BOB), say("ok")), **TEAM, budget={"usd": 4.0})
    assert ended.why == "completed"
    assert ended.result.metrics.usd is None


async def test_a_tool_of_that_name_is_refused(stage):
    @tool(effect="pure", name=DELEGATE)
    def mine() -> None: ...

    with pytest.raises(ConfigError, match="built in"):
        await stage.engine(SCRIPT, mine, **TEAM)
