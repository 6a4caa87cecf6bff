"""A session that is certainly ours, and since when."""

import asyncio
from collections.abc import Awaitable, Callable

from actorium.runtime.lease import Lease, Tenure
from actorium.storage.errors import StorageError
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


class Full(MemoryLeases):
    """A store that has no room for one more write, for a while."""

    left = 3

    async def put_session(self, session: Session, *, revision: int) -> int:
        if revision and self.left:
            self.left -= 1
            raise StorageError("insufficient resources")
        return await super().put_session(session, revision=revision)


def leased(leases: Leases, lost: Callable[[], None], clock: Callable[[], float]) -> Lease:
    """A lease that is renewed every 25 ms."""

    async def connect() -> tuple[Leases, Callable[[], Awaitable[None]]]:
        return leases, close

    async def close() -> None:
        pass

    return Lease(
        Session(id="s", node="n"),
        TTL / 100,
        connect,
        watched=asyncio.get_running_loop(),
        lost=lost,
        beat=lambda lag: None,
        clock=clock,
    )


async def test_a_server_that_is_full_ends_no_worker() -> None:
    """Nobody else can write either; when there is room again it goes on."""
    leases, lost, now = Full(), [], [1000.0]
    lease = leased(leases, lambda: lost.append(True), lambda: now[0])
    await lease.open()
    try:
        await eventually(lambda: not leases.left)
        now[0] = 2000.0
        await eventually(lease.held)
        assert not lost
    finally:
        await lease.close()


async def test_a_worker_that_was_stopped_knows_it_by_its_clock() -> None:
    """No renewal is needed to know that the lease is over; the next one begins another tenure."""
    now = [1000.0]
    lease = leased(MemoryLeases(), lambda: None, lambda: now[0])  # by a clock that stands
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
