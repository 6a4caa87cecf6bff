"""The same workflow run over the stores that hold it in production."""

import secrets

import nats

from actorium.actors.receipt import Receipt
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import Decision, Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.workflows.beginning import beginning
from actorium.actors.workflows.book import WorkflowBook
from actorium.actors.workflows.definition import Input, SharedBudget, Workflow
from actorium.actors.workflows.edition import edition
from actorium.actors.workflows.engine import Engine
from actorium.actors.workflows.reading import find_ended, read_state
from actorium.actors.workflows.record import Ended
from actorium.actors.workflows.snapshot import encode_snapshot
from actorium.actors.workflows.step import Approval, ForEach, Step
from actorium.bus.jetstream import JetStream
from actorium.bus.task import Result, Status
from actorium.storage.nats import NatsBlobs, NatsLedger, NatsState

FLOW = Workflow(
    name="wf",
    inputs={"numbers": Input()},
    steps=(
        Step(
            id="double",
            agent="bob",
            action="double",
            inputs="${n}",
            for_each=ForEach(items="${inputs.numbers}", item="n"),
        ),
        Step(id="pay", agent="bob", action="pay", inputs="${steps.double.data}", approve=Approval()),
    ),
    budget=SharedBudget(usd=1.0),
)


class Hands:
    """Agents that do it at once."""

    def __init__(self) -> None:
        self.given: list[str] = []

    async def delegate(self, agent, task, *, key, timeout, grant, once=False):
        self.given.append(key)
        data = "x" * 70_000 if task.action == "pay" else 2 * task.inputs
        return Result(status=Status.SUCCESS, data=data)

    async def cancel(self, agent, key):
        return Receipt(agent=agent, task_id=key, cancelled=True)

    async def emit(self, kind, **data): ...


async def test_a_workflow_waits_for_a_person_and_goes_on_over_a_real_server(nats_url):
    unique = secrets.token_hex(4)
    client = await nats.connect(nats_url)
    try:
        js = JetStream(client)
        stream, subject = f"LED_{unique}", f"led.{unique}.default.run-1"
        await js.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"led.{unique}.*.*"]})
        ledger, blobs = NatsLedger(js, stream_of=lambda _: stream), NatsBlobs(js, f"blobs-{unique}")
        state = NatsState(js, f"state-{unique}")
        await state.ensure()
        await blobs.ensure()
        approvals, accounts, hands = Approvals(state), Accounts(state), Hands()

        async def carry(epoch: int) -> Ended | None:
            book = await WorkflowBook.open(ledger, blobs, subject, epoch, most_pages=6)
            if book.state.started is None:
                await book.begin(beginning("run-1", edition(FLOW), {"numbers": list(range(40))}))
            return await Engine(book, hands=hands, approvals=approvals, accounts=accounts).carry()

        assert await carry(1) is None
        (pending,) = await approvals.list()
        decision = Decision(verdict=Verdict.ACCEPT, hash=pending.question.hash, by="ann")
        await approvals.answer(pending.question.id, decision)
        ended = await carry(2)
        assert ended.result.data == {"pay": "x" * 70_000}
        assert len(hands.given) == len(set(hands.given)) == 41
        assert await carry(3) == await find_ended(ledger, blobs, subject) == ended
        assert (await ledger.last(f"{subject}_2")) is not None
        read = await read_state(ledger, blobs, subject)
        assert encode_snapshot(read) == encode_snapshot(await read_state(ledger, blobs, subject))
    finally:
        await client.close()
