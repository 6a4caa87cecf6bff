"""What is cut short, and what is left of it behind the block: nothing."""

import asyncio

import pytest

from actorium.actors.cut import Cut
from actorium.actors.outcome import Interrupt


async def test_a_block_that_is_cut_ends_with_interrupt():
    """And its task goes on as if nobody had cancelled it."""
    cut = Cut()
    asyncio.get_running_loop().call_soon(cut.now)

    with pytest.raises(Interrupt), cut:
        await asyncio.Event().wait()

    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cut_that_was_ignored_does_not_stick():
    """Code that swallows its cancellation ends as it likes, and the next cancellation is told from it."""
    cut = Cut()
    asyncio.get_running_loop().call_soon(cut.now)
    asyncio.get_running_loop().call_soon(cut.now)

    with cut:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ignored = True

    assert ignored
    assert asyncio.current_task().cancelling() == 0


async def test_nothing_outside_of_a_block_is_cut():
    """A deadline that comes late finds nobody."""
    cut = Cut()
    with cut:
        pass

    cut.now()

    await asyncio.sleep(0)


async def test_a_cancellation_by_the_owner_passes():
    """Who ends the task ends it, also when the block is cut in the same moment."""
    cut, inside = Cut(), asyncio.Event()

    async def work():
        with cut:
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await inside.wait()
    cut.now()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_block_begins_once_the_grace_is_over():
    """What would have to be cut short at once does not start."""
    cut = Cut()
    cut.over = True

    with pytest.raises(Interrupt), cut:
        pytest.fail("it began")
