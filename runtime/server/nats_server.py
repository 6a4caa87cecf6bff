"""The embedded nats-server: one per data directory, however many processes ask for it.

Not responsible for where the binary comes from (`fetch.py`), nor for a server that the user runs himself
(NATS_URL). The server process holds the lock of its data directory from its first instruction to its last,
because it inherits the locked file: the kernel gives the lock back at any kind of death. Invariant: whoever
holds the lock may start a server, nobody else; the state file only tells where the holder listens.
"""

import asyncio
import contextlib
import fcntl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import msgspec

from ...bus.errors import ConfigError
from ...bus.subjects import PARTITIONS
from .fetch import parse_version, probe, resolve
from .process import POLL, Launch, Running, ServerNotStarted, answers, died, launch


class DataUnusable(ConfigError):
    """Raised when a data directory cannot be made or written."""

    code = "data_unusable"


def check_data_dir(data_dir: Path) -> None:
    """Make a data directory, where it is missing. Raises DataUnusable."""
    _lock_file(data_dir).close()


def too_old(binary: str, wrote: str) -> bool:
    """Whether a server must not open a store that a later minor version wrote: it would miss data in it."""
    mine, theirs = parse_version(binary), parse_version(wrote)
    return mine is not None and theirs is not None and mine[:2] < theirs[:2]


async def running(data_dir: Path) -> Running | None:
    """The server that serves a data directory now, if its answer proves that it does."""
    at = _recorded(data_dir)
    return at if at and await answers(at) else None


class NatsServer:
    """A nats-server on a data directory: started by us (`owned`), or found running and left alone."""

    def __init__(self, at: Running, process: subprocess.Popen[bytes] | None) -> None:
        self.at = at
        self._process = process

    @property
    def url(self) -> str:
        """Where clients connect. It stays the same over restarts, unless another process took the port."""
        return self.at.url

    @property
    def owned(self) -> bool:
        """Whether this object started the server, and so ends it."""
        return self._process is not None

    @classmethod
    async def start(
        cls,
        data_dir: Path,
        *,
        binary: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        detach: bool = False,
        timeout: float = 30.0,
        partitions: int = PARTITIONS,
    ) -> "NatsServer":
        """The server of a data directory: the running one, else a new one over the data that is there.

        Cancellation: a server that was being started is ended.

        Args:
            data_dir: An absolute path on a local disk; created where missing.
            binary: The nats-server to run; found, or fetched, where it is not told.
            host: The address to listen on.
            port: 0 takes the port of the last start, or one that the kernel chooses.
            detach: Whether it outlives this process. Otherwise the kernel ends it with the thread that
                called, however that dies, so call from a thread that stays.
            timeout: Seconds for everything but a download. A large store takes a while to be read.
            partitions: Of the namespace, for the mappings of a server that is started here.

        Raises:
            DataUnusable: The directory cannot be made or written.
            ServerNotStarted: Nobody answered in time, or the server refused; the data is untouched.
            ServerNotFound: There is no nats-server to run.
        """
        if binary is None:
            binary = await asyncio.to_thread(resolve)
        async with _within(timeout, data_dir):
            with _lock_file(data_dir) as lock, _in_use(data_dir):
                while not _locked(lock):
                    if at := await running(data_dir):
                        return cls(at, None)
                    await asyncio.sleep(POLL)  # another process is starting it, or it is ending
                return cls(
                    *await _start(Launch(binary, data_dir, host, detach, lock.fileno(), partitions), port)
                )

    async def wait(self) -> None:
        """Return when the server has died. Start again then: whoever is first owns the next one."""
        if self._process is None:
            await died(self.at.pid)
        elif self._process.poll() is None:
            await died(self._process.pid)
            self._process.wait()

    async def stop(self, *, timeout: float = 10.0) -> None:
        """End the server if we own it; its data stays. A server that was found running is left alone."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(timeout):
                await died(self._process.pid)
        except TimeoutError:
            self._process.kill()
        finally:
            self._process.wait()


async def _start(what: Launch, port: int) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a server under the lock that we hold, on the port of the last time where nobody took it."""
    last = _recorded(what.data_dir)
    version = ".".join(map(str, probe(what.binary)))
    if last and too_old(version, last.version):
        raise ServerNotStarted(
            f"nats-server {last.version} wrote {what.data_dir}; {version} would miss data in it, "
            f"so run {last.version} or newer, or choose another data directory"
        )
    started = None
    if last and last.host == what.host and not port:
        with contextlib.suppress(ServerNotStarted):
            started = await launch(what, last.port)
    started = started or await launch(what, port or -1)
    _record(what.data_dir, started[0])
    return started


@contextlib.asynccontextmanager
async def _within(timeout: float, data_dir: Path) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise ServerNotStarted(f"no nats-server answered for {data_dir} within {timeout:g} s") from error


def _lock_file(data_dir: Path) -> IO[bytes]:
    with _in_use(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (data_dir / "lock").open("ab")


@contextlib.contextmanager
def _in_use(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataUnusable(
            f"cannot keep data in {data_dir}: {error.strerror}: "
            "name another directory with --data or ACTORIUM_DATA"
        ) from error


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _recorded(data_dir: Path) -> Running | None:
    try:
        return msgspec.json.decode((data_dir / "server.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


def _record(data_dir: Path, at: Running) -> None:
    temporary = data_dir / "server.json.new"
    temporary.write_bytes(msgspec.json.encode(at))
    temporary.replace(data_dir / "server.json")
