"""A session that is certainly ours, and since when."""

import asyncio
from collections.abc import Awaitable, Callable

from actorium.runtime.lease import Lease, Tenure
from actorium.storage.memory import MemoryLeases
from actorium.storage.port import Leases, Session
from eventually import eventually

TTL = 10.0  # seconds


def test_a_session_is_held_from_when_its_renewal_was_sent() -> None:
    """Not from its answer: others count from the moment it stood in the store, which lies between."""
    tenure = Tenure(TTL)
    tenure.renewed(sent=100.0, now=103.0)

    assert tenure.held(107.9)
    assert not tenure.held(108.0)


def test_renewals_without_a_gap_change_nothing() -> None:
    """What was ours at the last look is ours."""
    tenure = Tenure(TTL)
    tenure.renewed(100.0, 100.1)
    tenure.renewed(107.0, 107.9)

    assert tenure.since == 100.1


def test_a_renewal_that_is_answered_after_the_term_is_a_gap() -> None:
    """Somebody may have judged the session dead: it is ours anew from the answer on."""
    tenure = Tenure(TTL)
    tenure.renewed(100.0, 100.1)
    tenure.renewed(107.0, 108.0)

    assert tenure.since == 108.0
    assert tenure.held(114.9)


async def test_a_worker_that_was_stopped_knows_it_by_its_clock() -> None:
    """No renewal is needed to know that the lease is over; the next one begins another tenure."""
    leases, now = MemoryLeases(), [1000.0]

    async def connect() -> tuple[Leases, Callable[[], Awaitable[None]]]:
        return leases, close

    async def close() -> None:
        pass

    lease = Lease(
        Session(id="s", node="n"),
        TTL / 100,  # renewed every 25 ms, by a clock that stands
        connect,
        watched=asyncio.get_running_loop(),
        lost=lambda: None,
        beat=lambda lag: None,
        clock=lambda: now[0],
    )
    await lease.open()
    try:
        assert lease.held()
        assert lease.since() == 1000.0

        now[0] = 2000.0
        await eventually(lease.held)
        assert lease.since() == 2000.0
    finally:
        await lease.close()
    assert not lease.held()
