"""Reporter and Reports: what workers tell their supervisor, over a Unix socket, one JSON object a line.

A beat carries the lag of the worker's event loop; a fork asks for the process of an isolated agent. Not
responsible for answers: a new process calls back on a socket of the one who asked.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..bus.errors import ConfigError


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A worker lives; its event loop has not turned for `lag` seconds."""

    session: str
    lag: float


class ForkAgent(msgspec.Struct, frozen=True, tag="fork"):
    """A worker wants a process that serves one agent and calls back on this socket path."""

    session: str
    agent: str
    path: str


Report = Beat | ForkAgent
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
        if path:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(path)
            self._socket.setblocking(False)

    def beat(self, lag: float) -> None:
        """Say that the worker lives. A full socket drops it: the next one says the same."""
        self._send(Beat(self._session, round(lag, 3)))

    def fork(self, agent: str, path: str) -> None:
        """Ask for a process for an isolated agent.

        Raises:
            ConfigError: There is no supervisor that could fork one.
        """
        if self._socket is None:
            raise ConfigError(
                f"agent {agent!r} wants a process of its own, which needs a supervisor: actorium up"
            )
        self._send(ForkAgent(self._session, agent, path))

    def _send(self, report: Report) -> None:
        if self._socket is None:
            return
        with self._lock, contextlib.suppress(OSError):
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

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                with contextlib.suppress(msgspec.MsgspecError):
                    self._receive(_reports.decode(line))
        writer.close()
