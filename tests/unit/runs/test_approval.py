"""A question is answered once, by an answer for its hash, in its time; and time does what it was told."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.approval import (
    Decision,
    Escalate,
    Expire,
    OnExpiry,
    Pending,
    Question,
    Remind,
    Verdict,
    digest,
    due,
    passed,
    refusal,
)
from actorium.actors.runs.approvals import AnswerRefused, Approvals
from actorium.storage.errors import NotFound
from actorium.storage.memory import MemoryState

NOW = 1_800_000_000.0


def question(**more) -> Question:
    told = {
        "id": "q1",
        "run": "r",
        "agent": "a",
        "call": "1/1",
        "tool": "pay",
        "arguments": {"n": 1},
        "hash": "h",
    }
    return Question(**{**told, "asked_ms": int(NOW * 1000), "ttl": 100.0, "reminders": (10.0, 20.0), **more})


class Clock:
    now = NOW


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return MemoryState()


@pytest.fixture
def approvals(store, clock):
    return Approvals(store, lambda: clock.now)


def test_reminders_come_in_order_and_those_slept_through_as_one():
    pending = Pending(question=question())
    assert due(pending, NOW + 9) is None
    assert due(pending, NOW + 10) == Remind(1)
    reminded = passed(pending, Remind(1))
    assert due(reminded, NOW + 19) is None
    assert due(reminded, NOW + 20) == Remind(2)
    assert due(pending, NOW + 50) == Remind(2)
    assert due(passed(pending, Remind(2)), NOW + 99) is None


def test_it_expires_and_an_answered_one_does_not():
    pending = Pending(question=question())
    assert due(pending, NOW + 100) == Expire()
    expired = passed(pending, Expire())
    assert (expired.decision.verdict, expired.decision.hash) == (Verdict.EXPIRE, "h")
    assert due(expired, NOW + 1000) is None


def test_it_is_escalated_once_and_then_expires():
    pending = Pending(question=question(on_expiry=OnExpiry.ESCALATE, escalate_to="boss"))
    assert due(pending, NOW + 100) == Escalate("boss")
    escalated = passed(pending, Escalate("boss"))
    assert due(escalated, NOW + 109) is None
    assert due(escalated, NOW + 110) == Remind(1)
    assert due(escalated, NOW + 200) == Expire()


@given(st.lists(st.floats(0, 500), max_size=30).map(sorted), st.sampled_from(OnExpiry))
def test_whenever_the_sweeper_comes_nothing_is_done_twice(moments, on_expiry):
    pending, done = Pending(question=question(on_expiry=on_expiry, escalate_to="boss")), []
    for moment in moments:
        while (what := due(pending, NOW + moment)) is not None:
            done.append(what)
            pending = passed(pending, what)
    assert sum(isinstance(what, Escalate) for what in done) <= 1
    assert sum(isinstance(what, Expire) for what in done) <= 1
    assert sum(isinstance(what, Remind) for what in done) <= 4


def test_the_hash_binds_run_call_tool_and_arguments():
    one = digest("r", "1/1", "pay", {"a": 1, "b": 2})
    assert one == digest("r", "1/1", "pay", {"b": 2, "a": 1})
    others = [("s", "1/1", "pay", {"a": 1, "b": 2}), ("r", "1/2", "pay", {"a": 1, "b": 2})]
    others += [("r", "1/1", "buy", {"a": 1, "b": 2}), ("r", "1/1", "pay", {"a": 1, "b": 3})]
    assert one not in [digest(*other) for other in others]


async def test_an_answer_counts_once(approvals):
    await approvals.ask(question())
    answered = await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="h", by="ann"))
    assert await approvals.decision(question()) == answered.decision
    with pytest.raises(AnswerRefused, match="answered by ann: accept"):
        await approvals.answer("q1", Decision(verdict=Verdict.DENY, hash="h"))
    assert await approvals.list() == []
    assert [p.question.id for p in await approvals.list(open_only=False)] == ["q1"]


async def test_an_answer_for_other_arguments_is_refused(approvals):
    await approvals.ask(question())
    with pytest.raises(AnswerRefused, match="other arguments"):
        await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="old"))
    assert await approvals.decision(question()) is None


async def test_an_answer_that_comes_too_late_is_refused(approvals, clock):
    await approvals.ask(question())
    clock.now = NOW + 100
    with pytest.raises(AnswerRefused, match="expired"):
        await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="h"))
    assert (await approvals.decision(question())).verdict is Verdict.EXPIRE  # without any sweeper
    with pytest.raises(AnswerRefused, match="was answered by somebody: expire"):
        await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="h"))


async def test_what_is_no_answer_is_refused(approvals):
    await approvals.ask(question())
    for decision in (Decision(verdict=Verdict.EDIT, hash="h"), Decision(verdict=Verdict.EXPIRE, hash="h")):
        with pytest.raises(AnswerRefused):
            await approvals.answer("q1", decision)
    with pytest.raises(NotFound):
        await approvals.answer("q2", Decision(verdict=Verdict.ACCEPT, hash="h"))


async def test_what_stands_under_its_id_but_is_another_question_is_no_answer(approvals):
    await approvals.ask(question(arguments={"n": 2}))
    await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="h"))
    assert await approvals.decision(question()) is None


async def test_a_question_of_a_run_that_is_over_is_closed(approvals):
    await approvals.withdraw(question())  # nobody was told yet
    await approvals.ask(question())
    await approvals.withdraw(question())
    await approvals.withdraw(question())
    with pytest.raises(AnswerRefused, match="answered by its run"):
        await approvals.answer("q1", Decision(verdict=Verdict.ACCEPT, hash="h"))


async def test_the_sweeper_does_not_overtake_an_answer(approvals):
    pending = await approvals.ask(question())
    assert await approvals.let_pass(pending, Remind(1))
    assert not await approvals.let_pass(pending, Expire())
    assert (await approvals.show("q1")).reminded == 1


def test_an_edit_that_does_not_fit_leaves_the_question_open():
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
    asked = Pending(question=question(schema=schema))
    wrong = Decision(verdict=Verdict.EDIT, hash="h", arguments={"amount": "NaN"})
    assert "amount" in refusal(asked, wrong, NOW)
    assert not refusal(asked, msgspec.structs.replace(wrong, arguments={"amount": 5}), NOW)


def test_a_question_belongs_to_the_tenant_of_its_run():
    assert question(run="payer/t1").tenant == "default"
    assert question(run="acme:payer/t1:2").tenant == "acme"
    assert question(run="payer/t1:2").tenant == "default"
