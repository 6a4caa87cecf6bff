"""The contract of leases: a session lives while its own worker renews it, and a partition has one owner."""

import asyncio

import nats
import pytest

from actorium.bus.errors import ConfigError
from actorium.bus.patience import Patience
from actorium.storage.errors import Conflict, LeaseLost, StoreUnavailable
from actorium.storage.nats import NatsLeases
from actorium.storage.port import Leases, Owner, OwnerSeen, Session, SessionSeen

ALPHA = Session(id="alpha", node="n1", pid=7)
BETA = Session(id="beta", node="n2", draining=True)


async def test_sessions_are_seen_in_the_order_of_their_changes(leases: Leases) -> None:
    """A reader sees every session once, as it was written last, in the order of the last writes."""
    alpha = await leases.put_session(ALPHA, revision=0)
    beta = await leases.put_session(BETA, revision=0)
    renewed = Session(id="alpha", node="n1", pid=7, beat=1)
    later = await leases.put_session(renewed, revision=alpha)

    assert await leases.sessions() == [
        SessionSeen("beta", BETA, beta),
        SessionSeen("alpha", renewed, later),
    ]


async def test_a_reader_sees_only_what_is_new(leases: Leases) -> None:
    """Reading behind the last revision that was seen gives the changes since, and nothing without any."""
    alpha = await leases.put_session(ALPHA, revision=0)
    assert await leases.sessions(after=alpha) == []

    beta = await leases.put_session(BETA, revision=0)

    assert await leases.sessions(after=alpha) == [SessionSeen("beta", BETA, beta)]


async def test_an_ended_session_is_seen_as_ended(leases: Leases) -> None:
    """Ending a session is a change that readers see; ending it twice is no error."""
    alpha = await leases.put_session(ALPHA, revision=0)

    await leases.end_session("alpha")
    await leases.end_session("alpha")

    (seen,) = await leases.sessions(after=alpha)
    assert (seen.id, seen.session) == ("alpha", None)


async def test_an_ended_session_cannot_be_renewed(leases: Leases) -> None:
    """A worker that was judged dead learns it at its next renewal, and cannot begin again under its id."""
    alpha = await leases.put_session(ALPHA, revision=0)
    await leases.end_session("alpha")

    for revision in (alpha, 0):
        with pytest.raises(LeaseLost):
            await leases.put_session(ALPHA, revision=revision)

    (seen,) = await leases.sessions()
    assert seen.session is None


async def test_a_session_id_belongs_to_one_worker(leases: Leases) -> None:
    """A second worker with the same id is refused."""
    await leases.put_session(ALPHA, revision=0)

    with pytest.raises(LeaseLost):
        await leases.put_session(Session(id="alpha", node="n2"), revision=0)


async def test_a_session_id_cannot_reach_other_keys(leases: Leases) -> None:
    """An id with a wildcard or a dot is refused before anything is sent."""
    with pytest.raises(ConfigError):
        await leases.put_session(Session(id="a.*", node="n1"), revision=0)


async def test_owners_are_seen_in_the_order_of_their_changes(leases: Leases) -> None:
    """A reader sees who owns each partition now, and what is new behind a revision."""
    seven = await leases.put_owner(7, Owner(session="alpha", epoch=1), revision=0)
    eight = await leases.put_owner(8, Owner(session="alpha", epoch=1), revision=0)
    taken = await leases.put_owner(7, Owner(session="beta", epoch=2), revision=seven)

    assert await leases.owners() == [
        OwnerSeen(8, Owner(session="alpha", epoch=1), eight),
        OwnerSeen(7, Owner(session="beta", epoch=2), taken),
    ]
    assert await leases.owners(after=taken) == []


async def test_of_many_takers_at_once_one_owns_the_partition(leases: Leases) -> None:
    """Sixteen workers that take the same partition at once end as one owner and fifteen conflicts."""
    before = await leases.put_owner(3, Owner(session="dead", epoch=4), revision=0)
    takers = (leases.put_owner(3, Owner(session=f"w{i}", epoch=5), revision=before) for i in range(16))

    ends = await asyncio.gather(*takers, return_exceptions=True)

    (winner,) = (i for i, end in enumerate(ends) if isinstance(end, int))
    assert sum(isinstance(end, Conflict) for end in ends) == 15
    (seen,) = await leases.owners()
    assert seen.owner == Owner(session=f"w{winner}", epoch=5)


@pytest.mark.parametrize("loss", ["sent", "unsent"])
async def test_a_renewal_whose_ack_is_lost_is_no_loss(js, nats_leases, loss) -> None:
    """A renewal or a taking that was stored, or must be sent again, succeeds without a word from the ack."""
    js.losses = [loss]
    alpha = await nats_leases.put_session(ALPHA, revision=0)
    js.losses = [loss]
    assert await nats_leases.put_session(ALPHA, revision=alpha) > alpha
    js.losses = [loss]
    seven = await nats_leases.put_owner(7, Owner(session="alpha", epoch=1), revision=0)

    assert [seen.revision for seen in await nats_leases.owners()] == [seven]


async def test_a_renewal_continues_where_the_last_one_had_no_answer(js, unique, nats_leases) -> None:
    """A renewal that stands, though its call ended without an answer, does not cost the session."""
    leases = NatsLeases(js, nodes=f"nodes-{unique}", owners=f"owners-{unique}", patience=Patience(0.0))
    alpha = await leases.put_session(ALPHA, revision=0)
    js.losses, js.deaf = ["sent"], True
    with pytest.raises(StoreUnavailable):
        await leases.put_session(Session(id="alpha", node="n1", beat=1), revision=alpha)
    js.deaf = False

    later = Session(id="alpha", node="n1", beat=2)
    revision = await leases.put_session(later, revision=alpha)

    assert await leases.sessions() == [SessionSeen("alpha", later, revision)]


async def test_a_worker_that_was_ended_while_unsure_has_lost(js, unique, nats_leases) -> None:
    """A renewal without an answer is not taken up again when somebody ended the session meanwhile."""
    leases = NatsLeases(js, nodes=f"nodes-{unique}", owners=f"owners-{unique}", patience=Patience(0.0))
    alpha = await leases.put_session(ALPHA, revision=0)
    js.losses, js.deaf = ["unsent"], True
    with pytest.raises(StoreUnavailable):
        await leases.put_session(ALPHA, revision=alpha)
    js.deaf = False
    await nats_leases.end_session("alpha")

    with pytest.raises(LeaseLost):
        await leases.put_session(ALPHA, revision=alpha)


async def test_the_buckets_are_ordinary_key_value_buckets(nats_url, nats_leases, unique) -> None:
    """What a worker writes is read by nats-py's key-value store, and so by `nats kv`."""
    alpha = await nats_leases.put_session(ALPHA, revision=0)
    client = await nats.connect(nats_url)

    bucket = await client.jetstream().key_value(f"nodes-{unique}")
    entry = await bucket.get("alpha")
    await nats_leases.end_session("alpha")
    with pytest.raises(nats.js.errors.KeyNotFoundError):
        await bucket.get("alpha")
    await client.close()

    assert entry.value == b'{"id":"alpha","node":"n1","pid":7}'
    assert entry.revision == alpha


async def test_a_foreign_value_is_left_out_and_said_once(js, nats_leases, unique, caplog) -> None:
    """What is no owner, or no partition, written by somebody else, stops nobody from seeing the others."""
    for key in ("7", "seven"):
        await js.publish(f"$KV.owners-{unique}.{key}", b"me")
    await nats_leases.put_owner(8, Owner(session="alpha", epoch=1), revision=0)

    for _ in range(2):
        assert [seen.part for seen in await nats_leases.owners()] == [8]

    told = [record.error for record in caplog.records if record.message == "storage.unread"]
    assert len(told) == 2
    assert f"owners-{unique}.7 " in told[0]


async def test_a_poll_without_news_is_one_request(js, nats_leases) -> None:
    """Asking for what is new when nothing is costs one read."""
    alpha = await nats_leases.put_session(ALPHA, revision=0)
    await nats_leases.sessions()  # the first poll of all asks for the stream
    before = js._client.stats["out_msgs"]

    assert await nats_leases.sessions(after=alpha) == []

    assert js._client.stats["out_msgs"] - before == 1
