"""One nats-server process: its configuration, its start, the proof that it answers, its death.

Not responsible for whether it may be started (`nats_server.py`). Invariant: an address is believed only when
the INFO line from it carries the name that we made up for this start.
"""

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...bus.errors import ActoriumError
from ...bus.server import features, nats_mappings
from ...bus.subjects import PARTITIONS
from .fetch import Version, probe

PR_SET_PDEATHSIG = 1  # prctl(2)
LOG = "nats-server.log"
LOG_LIMIT = 16 * 1024 * 1024  # bytes, then the server begins another file
SYNC = "1s"  # between two flushes to the disk: what a power loss can cost; measured in docs/guarantees.md
POLL = 0.005  # seconds between two looks at a server that is starting, which takes about 0.01


class ServerNotStarted(ActoriumError):
    """Raised when no server answered on a data directory; the message ends with what the server logged."""

    code = "nats_server_not_started"
    retryable = True


class Running(msgspec.Struct, frozen=True):
    """A server that answered. `name` is a nonce: who answers with it is that server."""

    host: str
    port: int
    pid: int
    name: str
    version: str

    @property
    def url(self) -> str:
        """Where a client on this machine connects."""
        return f"nats://{_authority(_local(self.host), self.port)}"


class Launch(NamedTuple):
    """What to start, and what of ours it inherits."""

    binary: Path
    data_dir: Path
    host: str
    detach: bool
    inherit: int
    partitions: int = PARTITIONS


class _Info(msgspec.Struct):
    server_name: str = ""
    version: str = ""
    jetstream: bool = False


def config(name: str, what: Launch, port: int, version: Version) -> str:
    """The nats.conf of an embedded server of that version: an older one does not start with newer fields."""
    sync = f"\n  sync_interval: {_quoted(SYNC)}" if features(version).sync_always else ""
    home = _quoted(str(what.data_dir))
    return (
        "# Written by actorium at each start.\n"
        f"server_name: {_quoted(name)}\nlisten: {_quoted(_authority(what.host, port))}\n"
        f"ports_file_dir: {home}\n"
        f"log_file: {_quoted(str(what.data_dir / LOG))}\nlogfile_size_limit: {LOG_LIMIT}\n"
        f"jetstream {{\n  store_dir: {home}{sync}\n}}\n{nats_mappings(what.partitions)}"
    )


async def launch(what: Launch, port: int) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a server and wait until it answers; -1 lets the kernel choose the port.

    Cancellation: the process is ended.

    Raises:
        ServerNotStarted: The process ended by itself.
    """
    name = f"actorium-{secrets.token_hex(8)}"
    for stale in what.data_dir.glob("*.ports"):
        stale.unlink()
    (what.data_dir / "nats.conf").write_text(config(name, what, port, probe(what.binary)))
    process = _spawn(what)
    answered = False
    try:
        at = await _ready(process, what, name)
        answered = True
    finally:
        if not answered:
            process.kill()
            process.wait()
    return at, process


async def answers(at: Running) -> bool:
    """Whether that very server answers now."""
    info = await _ask(at.host, at.port)
    return info is not None and info.server_name == at.name


async def died(pid: int) -> None:
    """Return when a process is dead; seen by the kernel's own notice, not by polling."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    dead = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, dead.set)
    try:
        await dead.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _spawn(what: Launch) -> subprocess.Popen[bytes]:
    """The process, in a session of its own: Ctrl-C is for us, who drain before we stop it."""
    with (what.data_dir / LOG).open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # a binary that was probed
            [what.binary, "-c", what.data_dir / "nats.conf"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,  # what it says before it opens the log itself: mistakes in nats.conf
            pass_fds=[what.inherit],
            start_new_session=True,
            preexec_fn=None if what.detach else _end_with(os.getpid()),  # noqa: PLW1509  # system calls only
        )


def _end_with(parent: int) -> Callable[[], None]:
    """What the child calls before exec: the kernel sends it SIGTERM when the thread that forked it dies."""
    libc = ctypes.CDLL(None)

    def ask_the_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask_the_kernel


async def _ready(process: subprocess.Popen[bytes], what: Launch, name: str) -> Running:
    while process.poll() is None:
        for file in what.data_dir.glob(f"*_{process.pid}.ports"):
            with contextlib.suppress(msgspec.DecodeError):  # it is being written
                ports = msgspec.json.decode(file.read_bytes(), type=dict[str, list[str]])
                port = int(ports["nats"][0].rpartition(":")[2])
                info = await _ask(what.host, port)
                if info and info.server_name == name and info.jetstream:
                    return Running(what.host, port, process.pid, name, info.version)
        await asyncio.sleep(POLL)
    log = (what.data_dir / LOG).read_text(errors="replace").strip().splitlines()
    raise ServerNotStarted(f"nats-server ended with {process.returncode}:\n" + "\n".join(log[-3:]))


async def _ask(host: str, port: int) -> _Info | None:
    """What the server on a port says of itself first; None if nobody, or no nats-server, answers."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(_local(host), port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        return msgspec.json.decode(line.removeprefix(b"INFO "), type=_Info)
    except (OSError, ValueError):  # TimeoutError and DecodeError are among them
        return None


def _local(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # asked for, not chosen


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
