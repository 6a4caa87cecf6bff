"""What people are asked, what their answers do, and what happens when nobody can say what happened."""

import asyncio

import pytest

from actorium.actors.models.port import ToolResult
from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.approval import Decision, OnExpiry, Pending, Verdict
from actorium.actors.runs.tool import NOT_DONE, tool
from actorium.bus.errors import BusLost
from actorium.storage.memory import MemoryState
from eventually import eventually

PAID: list[int] = []
FOUND: list[object] = []


def look(n: int) -> object:
    found = FOUND.pop() if FOUND else None
    if isinstance(found, Exception):
        raise found
    return found


@tool(effect="irreversible", risk="high", approve="finance")
async def pay(n: int) -> str:
    """Pay."""
    PAID.append(n)
    return f"paid {n}"


@tool(effect="irreversible", probe=look)
async def send(n: int) -> str:
    """Send, and never know."""
    PAID.append(n)
    raise BusLost("the line is dead")


@pytest.fixture(autouse=True)
def nothing_yet():
    PAID.clear()
    FOUND.clear()


SCRIPT = in_order(call(("pay", {"n": 17}), text="The invoice is due."), say("done"))
SEND = in_order(call(("send", {"n": 17})), say("done"))


def told(stage) -> ToolResult:
    return stage.requests[-1].turns[-1].parts[0]


async def test_a_risky_call_waits_with_its_arguments_shown(stage):
    assert await stage.carry(SCRIPT, pay) is None
    (pending,) = await stage.approvals.list()
    question = pending.question
    assert (question.tool, question.arguments, question.approver) == ("pay", {"n": 17}, "finance")
    assert (question.run, question.agent, question.about) == ("run-1", "it", "approval")
    assert question.reasoning == "The invoice is due."
    assert (question.ttl, question.risk) == (86_400.0, "high")
    assert await stage.carry(SCRIPT, pay) is None
    assert len(await stage.approvals.list()) == 1
    assert PAID == []


@pytest.mark.parametrize(
    ("verdict", "more", "paid", "content", "failed"),
    [
        (Verdict.ACCEPT, {}, [17], "paid 17", False),
        (Verdict.EDIT, {"arguments": {"n": 4}}, [4], '[ann changed the arguments to {"n":4}]\npaid 4', False),
        (Verdict.RESPOND, {"text": "It was paid by hand."}, [], "It was paid by hand.", False),
        (Verdict.DENY, {"text": "Too much."}, [], "Denied by ann. Too much.", True),
    ],
)
async def test_each_answer_does_what_it_says_three_days_later(  # noqa: PLR0917  # one column each
    stage, verdict, more, paid, content, failed
):
    assert await stage.carry(SCRIPT, pay, approval_ttl=1e6) is None
    stage.wall += 3 * 86_400
    await stage.answer(verdict, **more)
    ended = await stage.carry(SCRIPT, pay, approval_ttl=1e6)
    assert ended.why == "completed"
    assert paid == PAID
    assert content in told(stage).content
    assert told(stage).is_error is failed


async def test_a_call_answered_with_an_end_does_not_go_on_while_others_are_under_way(stage):
    gate = asyncio.Event()

    @tool(effect="pure")
    async def slow() -> str:
        await gate.wait()
        return "slow"

    script = in_order(call(("pay", {"n": 1}), ("slow", {})), say("done"))
    engine = await stage.engine(script, pay, slow, on_expiry=OnExpiry.HALT)
    carrying = asyncio.create_task(engine.carry())
    await eventually(lambda: stage.office.events and stage.office.events[-1][0] in {"approval", "tool"})
    stage.wall += 2 * 86_400
    engine.nudge()
    for _ in range(20):
        await asyncio.sleep(0)
    gate.set()
    assert (await carrying).why == "expired"
    assert PAID == []


async def test_news_for_a_run_that_is_about_to_rest_do_not_spin(stage):
    gate, turns = asyncio.Event(), 0

    @tool(effect="pure")
    async def slow() -> str:
        await gate.wait()
        return "slow"

    script = in_order(call(("pay", {"n": 1}), ("slow", {})), say("done"))
    engine = await stage.engine(script, pay, slow)
    carrying = asyncio.create_task(engine.carry())
    await eventually(lambda: any(kind == "approval" for kind, _ in stage.office.events))
    engine.rest()
    engine.nudge()
    honest = asyncio.wait

    async def counted(*args, **more):
        nonlocal turns
        turns += 1
        return await honest(*args, **more)

    asyncio.wait = counted
    try:
        for _ in range(100):
            await asyncio.sleep(0)
    finally:
        asyncio.wait = honest
    gate.set()
    await carrying
    assert turns < 10


async def test_other_calls_of_the_step_do_not_wait_for_people(stage):
    @tool(effect="pure")
    def quick() -> str:
        return "quick"

    script = in_order(call(("pay", {"n": 1}), ("quick", {})), say("done"))
    assert await stage.carry(script, pay, quick) is None
    assert "done" in await stage.kinds()
    await stage.answer(Verdict.ACCEPT)
    assert (await stage.carry(script, pay, quick)).why == "completed"
    assert [part.content for part in stage.requests[-1].turns[-1].parts] == ["paid 1", "quick"]


async def test_an_answer_that_comes_while_the_run_is_busy_is_seen(stage):
    @tool(effect="pure")
    async def busy() -> str:
        while not await stage.approvals.list():  # noqa: ASYNC110  # the store tells nobody
            await asyncio.sleep(0)
        await stage.answer(Verdict.ACCEPT)
        return "busy"

    script = in_order(call(("pay", {"n": 1}), ("busy", {})), say("done"))
    assert (await stage.carry(script, pay, busy)).why == "completed"


@pytest.mark.parametrize("forged", ["hash", "question"])
async def test_an_answer_that_was_put_there_for_other_arguments_does_not_count(stage, forged):
    """Whoever can write to the store can still not have other arguments run than those it shows."""
    import msgspec

    assert await stage.carry(SCRIPT, pay) is None
    (pending,) = await stage.approvals.list()
    question = pending.question
    hash_ = "0" * 64 if forged == "hash" else question.hash
    if forged == "question":
        question = msgspec.structs.replace(question, arguments={"n": 1_000_000})
    put = Pending(question=question, decision=Decision(verdict=Verdict.ACCEPT, hash=hash_))
    await stage.state.put(f"approval.{question.id}", msgspec.json.encode(put))
    assert await stage.carry(SCRIPT, pay) is None
    assert PAID == []


async def test_nobody_answered_and_the_call_is_denied(stage):
    assert await stage.carry(SCRIPT, pay) is None
    stage.wall += 86_401
    assert (await stage.carry(SCRIPT, pay)).why == "completed"
    assert told(stage).content == "Nobody approved it in time, so it was denied."


async def test_nobody_answered_and_the_run_halts(stage):
    assert await stage.carry(SCRIPT, pay, on_expiry=OnExpiry.HALT) is None
    stage.wall += 86_401
    ended = await stage.carry(SCRIPT, pay, on_expiry=OnExpiry.HALT)
    assert (ended.why, ended.result.status, PAID) == ("expired", "partial", [])


async def test_a_question_that_was_recorded_but_never_shown_is_shown(stage):
    assert await stage.carry(SCRIPT, pay) is None
    stage.approvals._store = stage.state = MemoryState()
    assert await stage.carry(SCRIPT, pay) is None
    assert len(await stage.approvals.list()) == 1


async def test_an_irreversible_call_without_an_answer_is_asked_about(stage):
    assert await stage.carry(SEND, send) is None
    (pending,) = await stage.approvals.list()
    assert (pending.question.about, pending.question.reasoning) == ("unknown", "the line is dead")
    await stage.answer(Verdict.RESPOND, text="It went out.")
    assert (await stage.carry(SEND, send)).why == "completed"
    assert (told(stage).content, PAID) == ("It went out.", [17])


async def test_an_accepted_unknown_runs_again_and_may_be_unknown_again(stage):
    assert await stage.carry(SEND, send) is None
    (first,) = await stage.approvals.list()
    await stage.answer(Verdict.ACCEPT)
    assert await stage.carry(SEND, send) is None
    (second,) = await stage.approvals.list()
    assert PAID == [17, 17]
    assert first.question.id != second.question.id
    await stage.answer(Verdict.DENY)
    assert (await stage.carry(SEND, send)).why == "completed"
    assert told(stage).content == "ann looked: it did not work."


@pytest.mark.parametrize(
    ("found", "content"),
    [("receipt 5", "receipt 5"), (NOT_DONE, "the line is dead, and was found not to have happened")],
)
async def test_a_probe_that_knows_spares_people_the_question(stage, found, content):
    FOUND.append(found)
    assert (await stage.carry(SEND, send)).why == "completed"
    assert (told(stage).content, PAID) == (content, [17])


async def test_a_probe_that_fails_knows_nothing(stage):
    FOUND.append(ValueError("no idea"))
    assert await stage.carry(SEND, send) is None


@pytest.mark.parametrize("undoes", [True, False])
async def test_a_compensable_call_without_an_answer_is_taken_back_or_asked_about(stage, undoes):
    undone = []

    def undo(n: int) -> None:
        if not undoes:
            raise ValueError("cannot")
        undone.append(n)

    @tool(effect="compensable", undo=undo, timeout=0.01)
    async def book(n: int) -> None:
        await asyncio.Event().wait()

    ended = await stage.carry(in_order(call(("book", {"n": 3})), say("done")), book)
    if undoes:
        assert (ended.why, undone) == ("completed", [3])
        assert "it was taken back" in told(stage).content
    else:
        assert ended is None
        assert "taking it back failed" in (await stage.approvals.list())[0].question.reasoning
