"""The same run over the stores that hold it in production."""

import secrets

import nats

from actorium.actors.models.scripted import call, in_order, say
from actorium.actors.runs.accounts import Accounts
from actorium.actors.runs.approval import Verdict
from actorium.actors.runs.approvals import Approvals
from actorium.actors.runs.budget import Budget
from actorium.actors.runs.tool import tool
from actorium.bus.jetstream import JetStream
from actorium.storage.nats import NatsBlobs, NatsLedger, NatsState


@tool(effect="irreversible", risk="high")
async def pay(n: int) -> str:
    """Pay."""
    return f"paid {n}" + " " * 70_000  # what the model reads of it stands in the ledger; the answer in a blob


async def test_a_run_waits_for_a_person_and_goes_on_over_a_real_server(stage, nats_url):
    unique = secrets.token_hex(4)
    client = await nats.connect(nats_url)
    try:
        js = JetStream(client)
        stream, subject = f"LED_{unique}", f"led.{unique}.default.run-1"
        await js.api(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"led.{unique}.*.*"]})
        stage.ledger = NatsLedger(js, stream_of=lambda _: stream)
        stage.state = NatsState(js, f"state-{unique}")
        stage.blobs = NatsBlobs(js, f"blobs-{unique}")
        await stage.state.ensure()
        await stage.blobs.ensure()
        stage.approvals, stage.accounts = Approvals(stage.state, lambda: stage.wall), Accounts(stage.state)
        await stage.accounts.open("team", Budget(usd=1.0))
        script = in_order(call(("pay", {"n": 17})), say("x" * 100_000))
        again = {"subject": subject, "account": "team"}
        assert await stage.carry(script, pay, **again) is None
        await stage.answer(Verdict.ACCEPT)
        ended = await stage.carry(script, pay, **again)
        assert (ended.why, len(ended.result.data)) == ("completed", 100_000)
        assert await stage.carry(script, pay, **again) == ended
        account = await stage.accounts.open("team", Budget())
        assert (account.spent.tool_calls, account.reserved) == (1, {})
    finally:
        await client.close()
