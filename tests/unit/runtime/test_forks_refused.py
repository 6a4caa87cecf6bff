"""Orders that cannot be obeyed: who ordered is told, and the next one is obeyed. Reports that do not fit."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from actorium.actors.errors import HandlerFailed
from actorium.runtime.forks import ForkRefused, Forks
from actorium.runtime.reports import Beat, ForkAgent, Refused, Report, Reporter, Reports
from eventually import eventually

FULL = """
import os, errno
from actorium.runtime.app import App
real, left = os.fork, [1]
def fork():
    if left:
        left.pop()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real()
os.fork = fork
app = App()
"""


async def test_an_order_that_cannot_be_forked_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    """The zygote lives."""
    (tmp_path / "full.py").write_text(FULL)
    forks = Forks(str(tmp_path / "full.py"), drain=0.0)
    await forks.open()
    order = {"path": str(tmp_path / "nobody"), "settings": {}}

    with pytest.raises(ForkRefused, match="no process could be forked: Resource temporarily unavailable"):
        await forks.fork(order)

    assert forks.alive
    assert await forks.fork(order) > 0
    await forks.close()


async def test_who_asked_for_a_process_is_told_that_there_will_be_none(tmp_path: Path) -> None:
    """At once, instead of when the time to wait for it is over."""
    asked: list[Report] = []
    reports = Reports(tmp_path / "reports.sock", asked.append)
    await reports.open()
    reporter = Reporter(str(reports.path), "n-0-1")
    waiting: asyncio.Future[None] = asyncio.Future()
    other: asyncio.Future[None] = asyncio.Future()
    reporter.fork("default.a", "/one", other)
    reporter.fork("default.a", "/two", waiting)
    await eventually(lambda: len(asked) == 2)

    reports.answer("n-0-1", Refused("/two", "no room"))

    with pytest.raises(HandlerFailed, match="no room"):
        await waiting
    assert not other.done()
    other.cancel()
    await reports.close()


async def test_a_refusal_for_a_worker_that_is_gone_is_nobodys(tmp_path: Path) -> None:
    """It ended while its order was under way."""
    reports = Reports(tmp_path / "reports.sock", lambda _: None)

    reports.answer("n-0-1", Refused("/one", "no room"))


def test_reports_into_a_full_socket_are_dropped_as_a_whole(tmp_path: Path) -> None:
    """The rest of one would spoil the next."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    reporter = Reporter(str(tmp_path / "s"), "n" * 63)
    theirs, _ = listening.accept()
    for n in range(2000):
        reporter.beat(float(n))
        reporter.fork("default." + "a" * 128, "/" + "p" * 100)
    theirs.setblocking(False)
    read = b""
    with pytest.raises(BlockingIOError):
        while True:
            read += theirs.recv(65536)

    *lines, rest = read.split(b"\n")

    assert rest == b""
    assert 0 < len(lines) < 4000
    assert {type(msgspec.json.decode(line, type=Report)) for line in lines} == {Beat, ForkAgent}
