"""The demo over an app in one process: whom it asks, and whose time counts."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorium import DeadlineExceeded, Status
from actorium.runtime.demo.agents import app
from actorium.runtime.demo.show import follow
from actorium.runtime.memory import in_memory
from actorium.runtime.person import Keyboard
from eventually import eventually

PATIENCE = 0.5  # seconds: ten times what the agents take


@pytest.fixture
def text(tmp_path: Path) -> Path:
    text = tmp_path / "text"
    text.write_text("Some words of a text that nobody would publish without a question. " * 50)
    return text


@pytest.fixture
def typed() -> Iterator[tuple[Keyboard, int]]:
    """A keyboard, and where what is typed comes from."""
    read, write = os.pipe()
    yield Keyboard(read), write
    os.close(read)


async def test_a_person_may_take_longer_than_the_agents(
    text: Path, typed: tuple[Keyboard, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo waits for the answer as long as it takes, and only then for the agents again."""
    person, keys = typed
    async with in_memory(app) as client:
        demo = asyncio.create_task(follow(client, text, text.with_name("report"), person, timeout=PATIENCE))
        await eventually(lambda: "accept? [Y/n]" in capsys.readouterr().err)
        done, _ = await asyncio.wait([demo], timeout=PATIENCE + 0.1)
        assert not done
        os.write(keys, b"\n")
        _, result = await demo
    os.close(keys)
    assert result.status is Status.SUCCESS
    assert text.with_name("report").exists()


@pytest.mark.parametrize("answer", [b"n\n", b""])
async def test_a_no_and_a_terminal_that_was_closed_let_nothing_run(
    text: Path, typed: tuple[Keyboard, int], answer: bytes
) -> None:
    """What cannot be taken back waits for a yes."""
    person, keys = typed
    os.write(keys, answer)
    os.close(keys)
    async with in_memory(app) as client:
        await follow(client, text, text.with_name("report"), person)
    assert not text.with_name("report").exists()


async def test_agents_that_take_too_long_are_told_as_such(text: Path) -> None:
    """With an error of our own, which the command line tells in a line."""
    async with in_memory(app) as client:
        await client.stop("librarian")
        with pytest.raises(DeadlineExceeded, match="not done within"):
            await follow(client, text, text.with_name("report"), None, timeout=0.1)
        await client.restart("librarian")
        await eventually(client.approvals)  # now nothing is in hand that the end would wait for
