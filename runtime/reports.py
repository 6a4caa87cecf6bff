"""Reporter and Reports: what workers tell their supervisor, over a Unix socket, one JSON object a line.

A beat carries the lag of a worker's event loop; once it says that it works; a fork asks for the process of
an isolated agent, which calls back on a socket of the one who asked. Only where there will be none is a word
said in return.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..actors.errors import HandlerFailed
from ..bus.errors import ConfigError
from .lines import Lines


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A worker lives; its event loop has not turned for `lag` seconds."""

    session: str
    lag: float


class Working(msgspec.Struct, frozen=True, tag="working"):
    """A worker hosts what it claimed when it first looked."""

    session: str


class ForkAgent(msgspec.Struct, frozen=True, tag="fork"):
    """A worker wants a process that serves one agent and calls back on this socket path."""

    session: str
    agent: str
    path: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """There will be no process that calls back on this socket path."""

    path: str
    reason: str


Report = Beat | Working | ForkAgent
_reports: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class Reporter:
    """The worker's side; its methods may be called from any thread and never wait.

    Args:
        path: The supervisor's socket; empty: nobody listens.
        session: Whose reports these are.
    """

    def __init__(self, path: str, session: str) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        if path:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(path)
            self._socket.setblocking(False)
            self._answers = Lines(self._socket)

    def beat(self, lag: float) -> None:
        """Say that the worker lives. A full socket drops it: the next one says the same."""
        self._send(Beat(self._session, round(lag, 3)))

    def working(self) -> None:
        """Say that agents can be reached here."""
        self._send(Working(self._session))

    def fork(self, agent: str, path: str, waiting: "asyncio.Future[Any] | None" = None) -> None:
        """Ask for a process for an isolated agent.

        Args:
            agent: Its key.
            path: Where the process shall call back.
            waiting: Raises HandlerFailed where there will be none. From the event loop only.

        Raises:
            ConfigError: There is no supervisor that could fork one.
        """
        if self._socket is None:
            raise ConfigError(
                f"agent {agent!r} wants a process of its own, which needs a supervisor: actorium up"
            )
        if waiting is not None:
            self._waiting[path] = waiting
            waiting.add_done_callback(lambda _: self._waiting.pop(path))
            asyncio.get_running_loop().add_reader(self._socket, self._hear)
        self._send(ForkAgent(self._session, agent, path))

    def _hear(self) -> None:
        lines = self._answers.read()
        for line in lines or ():
            refused = msgspec.json.decode(line, type=Refused)
            waiting = self._waiting.get(refused.path)
            if waiting is not None and not waiting.done():
                waiting.set_exception(HandlerFailed(refused.reason))
        if lines is None and self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)

    def _send(self, report: Report) -> None:
        if self._socket is None:
            return
        with self._lock, contextlib.suppress(OSError):  # a report is small: it goes as a whole or not at all
            self._socket.sendall(msgspec.json.encode(report) + b"\n")


class Reports:
    """The supervisor's side.

    Args:
        path: Where to listen.
        receive: Called with each report, on the event loop.
    """

    def __init__(self, path: Path, receive: Callable[[Report], None]) -> None:
        self.path = path
        self._receive = receive
        self._server: asyncio.Server | None = None
        self._writers: dict[str, asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        self.path.chmod(0o600)

    def answer(self, session: str, refused: Refused) -> None:
        """Tell a worker, if it is still there."""
        if session in self._writers:
            self._writers[session].write(msgspec.json.encode(refused) + b"\n")

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                with contextlib.suppress(msgspec.MsgspecError):
                    report = _reports.decode(line)
                    session = report.session
                    self._writers[session] = writer
                    self._receive(report)
        self._writers.pop(session, None)
        writer.close()
