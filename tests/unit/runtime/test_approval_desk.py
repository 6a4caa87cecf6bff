"""The desk of a tenant shows and answers its own questions, and no others."""

import pytest

from actorium import App, Client, ConfigError
from actorium.actors.runs.approval import Question, Verdict, digest
from actorium.actors.runs.approvals import AnswerRefused, Approvals
from actorium.runtime.approval_desk import ApprovalDesk
from actorium.runtime.memory import MemoryWorld, in_memory
from actorium.storage.errors import NotFound


def question(run: str, number: int) -> Question:
    return Question(
        id=f"{number:016x}",
        run=run,
        agent="payer",
        call="1/1",
        tool="pay",
        arguments={"amount": number},
        hash=digest(run, "1/1", "pay", {"amount": number}),
        ttl=1e12,
    )


OURS, THEIRS = question("payer/a", 1), question("acme:payer/b", 2)


@pytest.fixture
async def client():
    world = MemoryWorld()
    approvals = Approvals(world.state)
    await approvals.ask(OURS)
    await approvals.ask(THEIRS)
    async with in_memory(App(), world) as made:
        yield made


async def test_a_question_of_another_tenant_is_as_if_it_were_not(client: Client) -> None:
    """Not even by its whole id."""
    assert [pending.question for pending in await client.approvals()] == [OURS]
    with pytest.raises(NotFound):
        await client.answer(THEIRS.id, "accept")
    theirs = ApprovalDesk(client.names, client.courier, tenant="acme")
    assert [pending.question for pending in await theirs.all()] == [THEIRS]
    assert (await theirs.find(THEIRS.id)).question == THEIRS


async def test_a_second_answer_is_refused_whoever_asks(client: Client) -> None:
    await client.answer(OURS.id, "deny", by="ann")
    with pytest.raises(AnswerRefused, match="was answered by ann: deny"):
        await client.answer(OURS.id, "accept")
    with pytest.raises(AnswerRefused, match="was answered by ann: deny"):
        await client.desk.answer(OURS, Verdict.ACCEPT)


async def test_an_answer_that_is_none_is_told_with_the_nearest(client: Client) -> None:
    for wrong in ("acept", "expire"):
        with pytest.raises(ConfigError, match="is no answer"):
            await client.answer(OURS.id, wrong)
    assert len(await client.approvals()) == 1
