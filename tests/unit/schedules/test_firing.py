"""Firing one schedule: claim, publish, settle; and what crashes, rivals and refusals make of it."""

import asyncio
import secrets
import time

import nats
import pytest

from actorium.actors.schedules import firing
from actorium.actors.schedules.firing import fire
from actorium.actors.schedules.progress import paused
from actorium.actors.schedules.schedule import At, Cron, Misfire, Schedule
from actorium.actors.schedules.schedules import Schedules, Seen
from actorium.bus.errors import BadMessage, ConfigError, MailboxFull
from actorium.bus.jetstream import JetStream
from actorium.storage.errors import Corrupt, StoreUnavailable
from actorium.storage.nats import NatsState
from actorium.storage.port import StateStore
from unit.schedules.stage import CREATED, Inbox, Wall, hourly, ids


async def carry(schedules: Schedules, inbox: Inbox, wall: Wall) -> Seen | None:
    return await fire(schedules, inbox, "default", "report", now=wall, clock=time.monotonic)


async def test_a_due_time_is_told_once_under_its_id(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """Nothing before it is due; then its task, whose id is schedule and nominal time; then nothing."""
    await schedules.add(hourly())
    await carry(schedules, inbox, wall)
    assert inbox.told == []
    wall.passes(hours=1, seconds=5)
    await carry(schedules, inbox, wall)
    await carry(schedules, inbox, wall)
    assert inbox.told == ids(1)
    assert inbox.tasks[ids(1)[0]] == hourly().what.task


async def test_what_was_missed_is_told_in_order(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """After three hours without anybody all three come, oldest first."""
    await schedules.add(hourly(misfire=Misfire.ALL))
    wall.passes(hours=3)
    seen = await carry(schedules, inbox, wall)
    assert inbox.told == ids(1, 2, 3)
    assert seen is not None
    assert seen.schedule.open == ()


async def test_two_owners_at_once_tell_the_same_ids(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """Both believe to own it: no id but those of the nominal times, and it is decided once."""
    await schedules.add(hourly(misfire=Misfire.ALL))
    wall.passes(hours=2)
    await asyncio.gather(*(carry(schedules, inbox, wall) for _ in range(4)))
    assert set(inbox.told) == set(ids(1, 2))
    told = len(inbox.told)
    await carry(schedules, inbox, wall)
    assert len(inbox.told) == told


async def test_a_full_mailbox_keeps_the_promise_open(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """What cannot be stored now is stored later, under the same id, and newer times wait behind it."""
    await schedules.add(hourly())
    wall.passes(hours=1)
    inbox.errors = [MailboxFull("full")]
    with pytest.raises(MailboxFull):
        await carry(schedules, inbox, wall)
    wall.passes(hours=2)
    await carry(schedules, inbox, wall)
    assert inbox.told == ids(1, 3)


async def test_what_can_never_be_stored_is_written_down(
    schedules: Schedules, inbox: Inbox, wall: Wall
) -> None:
    """A refusal that no retry cures blocks nothing: the schedule says why, until one succeeds."""
    await schedules.add(hourly())
    inbox.errors = [BadMessage("too large")]
    wall.passes(hours=1)
    seen = await carry(schedules, inbox, wall)
    assert seen is not None
    assert (seen.schedule.error, seen.schedule.open) == ("too large", ())
    wall.passes(hours=1)
    seen = await carry(schedules, inbox, wall)
    assert seen is not None
    assert seen.schedule.error == ""
    assert inbox.told == ids(2)


async def test_a_pause_in_the_middle_is_kept(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """Somebody pauses while a task is being stored: it is settled, and the pause stands."""
    seen = await schedules.add(hourly())
    wall.passes(hours=1)

    async def pausing(*_: object) -> None:
        await schedules.change(seen, paused)

    await fire(schedules, pausing, "default", "report", now=wall, clock=time.monotonic)
    after = await schedules.find("default", "report")
    assert after is not None
    assert (after.schedule.enabled, after.schedule.open) == (False, ())


async def test_one_that_is_removed_in_the_middle_does_not_come_back(
    schedules: Schedules, inbox: Inbox, wall: Wall
) -> None:
    """Somebody removes it while its task is being stored."""
    await schedules.add(hourly(misfire=Misfire.ALL))
    wall.passes(hours=3)

    async def removing(schedule: Schedule, task: object, task_id: str) -> None:
        inbox.told.append(task_id)
        await schedules.remove("default", "report")

    assert await fire(schedules, removing, "default", "report", now=wall, clock=time.monotonic) is None
    assert await schedules.find("default", "report") is None
    assert inbox.told == ids(1)


async def test_who_slept_reads_again_before_he_publishes(
    schedules: Schedules, inbox: Inbox, wall: Wall
) -> None:
    """An owner claims and then stands still for long; what another settled meanwhile he does not publish."""
    await schedules.add(hourly())
    wall.passes(hours=1)
    moments = iter([0.0, firing.FRESH + 1, 100.0, 100.0, 100.0])

    class Slept(Schedules):
        async def change(self, seen: Seen, how: object) -> Seen | None:
            after = await schedules.change(seen, how)
            if not inbox.told:
                await carry(schedules, inbox, wall)  # the other owner
            return after

    slept = Slept(None)
    slept.find = schedules.find
    await fire(slept, inbox, "default", "report", now=wall, clock=lambda: next(moments))
    assert inbox.told == ids(1)


async def test_a_schedule_is_stored_once_and_checked(schedules: Schedules) -> None:
    """A second one of the same name is refused, and one that could not be read again is too."""
    await schedules.add(hourly())
    with pytest.raises(ConfigError, match="already"):
        await schedules.add(hourly())
    with pytest.raises(ConfigError, match="bad hour"):
        await schedules.add(hourly(name="cron", when=Cron(expression="0 99 * * *")))
    with pytest.raises(ConfigError, match="limit"):
        await schedules.add(hourly(name="none", limit=0))
    with pytest.raises(ConfigError, match="schedule 'a b'"):
        await schedules.add(hourly(name="a b"))


async def test_schedules_are_listed_by_tenant(schedules: Schedules, store: StateStore) -> None:
    """All of a tenant, by name; bytes that are no schedule are left out, and said when asked for."""
    for tenant, name in (("default", "b"), ("default", "a"), ("acme", "c")):
        await schedules.add(hourly(tenant=tenant, name=name))
    await store.put("schedules.default.broken", b"{")
    assert [seen.schedule.name for seen in await schedules.all("default")] == ["a", "b"]
    assert len(await schedules.all()) == 3
    with pytest.raises(Corrupt, match="'broken' does not read"):
        await schedules.find("default", "broken")


async def test_one_that_is_retired_leaves_nothing(schedules: Schedules, store: StateStore) -> None:
    """Removed if it stands as it was seen; a newer one of the same name stays."""
    seen = await schedules.add(hourly(when=At(moment=CREATED)))
    await schedules.remove("default", "report")
    newer = await schedules.add(hourly())
    await schedules.retire(seen)
    assert await schedules.find("default", "report") == newer
    await schedules.retire(newer)
    assert await store.keys() == []
    await schedules.add(hourly())


async def test_a_retired_one_frees_its_space(nats_url: str, wall: Wall) -> None:
    """On a server that ends no lives by itself nothing is left in the bucket."""
    client = await nats.connect(nats_url)
    js, bucket = JetStream(client), f"state-{secrets.token_hex(4)}"
    state = NatsState(js, bucket, now=wall.seconds)
    await state.ensure()
    await Schedules(state).retire(await Schedules(state).add(hourly()))
    assert (await js.api(f"STREAM.INFO.KV_{bucket}"))["state"]["messages"] == 0
    await client.close()


async def test_a_thousand_firings_leave_one_value(
    schedules: Schedules, store: StateStore, inbox: Inbox, wall: Wall
) -> None:
    """What the store holds does not grow with what was fired."""
    await schedules.add(hourly(misfire=Misfire.ALL, limit=100))
    for _ in range(10):
        wall.passes(hours=10)
        await carry(schedules, inbox, wall)
    assert inbox.told == ids(*range(1, 101))
    assert await store.keys() == ["schedules.default.report"]
    (entry,) = [entry for _, entry in await store.entries()]
    assert len(entry.value) < 300


async def test_an_outage_of_the_store_is_told(schedules: Schedules, inbox: Inbox, wall: Wall) -> None:
    """Whether a claim was written is unknown: nothing is published by it, and the next call finds out."""
    await schedules.add(hourly())
    wall.passes(hours=1)
    whole, lost = schedules.change, [True]

    async def change(seen: Seen, how: object) -> Seen | None:
        after = await whole(seen, how)
        if lost.pop():
            raise StoreUnavailable("no answer")
        return after

    schedules.change = change
    with pytest.raises(StoreUnavailable):
        await carry(schedules, inbox, wall)
    assert inbox.told == []
    schedules.change = whole
    await carry(schedules, inbox, wall)
    assert inbox.told == ids(1)
