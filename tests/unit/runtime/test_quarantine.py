"""Suspects run one at a time, for as long as they are suspected."""

import asyncio

import pytest

from actorium.runtime.quarantine import Quarantine
from eventually import eventually


class Ward:
    """Suspects in one quarantine, each of which stays until it is let out."""

    def __init__(self, quarantine: Quarantine) -> None:
        self.quarantine = quarantine
        self.inside: list[str] = []
        self.out = asyncio.Event()

    async def suspect(self, task_id: str, attempts: int = 1) -> None:
        async with self.quarantine.alone(task_id, attempts):
            self.inside.append(task_id)
            await self.out.wait()

    async def waits(self, task_id: str) -> None:
        """One that waits for another agent, which it does outside."""
        async with self.quarantine.alone(task_id):
            self.inside.append(task_id)
            async with self.quarantine.outside(task_id):
                await self.out.wait()


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_suspect_waits_until_the_one_before_it_is_done():
    ward = Ward(Quarantine(suspicion=60.0))
    async with asyncio.TaskGroup() as group:
        for name in "ab":
            group.create_task(ward.suspect(name))
        await turns()
        assert ward.inside == ["a"]
        ward.out.set()
    assert ward.inside == ["a", "b"]


async def test_one_that_runs_for_long_is_suspected_no_more():
    ward = Ward(Quarantine(suspicion=0.01))
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(ward.suspect(name))
        await eventually(lambda: ward.inside == ["a", "b", "c"])
        ward.out.set()


async def test_one_that_was_tried_more_often_is_suspected_for_longer():
    ward = Ward(Quarantine(suspicion=0.01))
    async with asyncio.TaskGroup() as group:
        group.create_task(ward.suspect("a", attempts=8))
        await turns()
        group.create_task(ward.suspect("b"))
        await asyncio.sleep(0.05)
        assert ward.inside == ["a"]
        ward.out.set()


async def test_one_that_waits_for_others_steps_outside():
    ward = Ward(Quarantine(suspicion=60.0))
    async with asyncio.TaskGroup() as group:
        group.create_task(ward.waits("a"))
        group.create_task(ward.suspect("b"))
        await eventually(lambda: ward.inside == ["a", "b"])
        ward.out.set()


@pytest.mark.parametrize("stays", [True, False], ids=["inside", "outside"])
async def test_one_that_was_cut_short_leaves_its_place(stays):
    ward = Ward(Quarantine(suspicion=60.0))
    first = asyncio.create_task(ward.suspect("a") if stays else ward.waits("a"))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(ward.suspect("b"))
    await eventually(lambda: ward.inside == ["a", "b"])
    ward.out.set()
    await second


async def test_one_that_is_acquitted_while_it_waits_to_come_back_keeps_nobody_out():
    """Its next call may lead to another suspect, which waits for its turn."""
    quarantine, done = Quarantine(suspicion=0.05), asyncio.Event()

    async def other() -> None:
        async with quarantine.alone("o", attempts=4):
            await done.wait()

    async with asyncio.TaskGroup() as group, quarantine.alone("a"):
        async with quarantine.outside("a"):
            group.create_task(other())
            await turns()
            asyncio.get_running_loop().call_later(0.2, done.set)
        # `o` was inside: it came back when that was done, and its own time was over by then
        async with asyncio.timeout(5), quarantine.outside("a"), quarantine.alone("c"):
            pass
