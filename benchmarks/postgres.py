"""Postgres: a PostgreSQL server for peers, in a directory that goes away with it, on loopback.

It refuses to run as root: then it runs as the user that Debian's package made for it. Not installed by us.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

START = 20.0  # seconds
NOT_HERE = "no PostgreSQL is installed here (Debian: apt install postgresql)"
INITDB = ("-U", "bench", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")


class NoPostgres(Exception):
    """Raised when there is no PostgreSQL, or it does not start."""


@asynccontextmanager
async def postgres(*, fsync: bool) -> AsyncIterator[str]:
    """The URL of a database that is empty.

    Args:
        fsync: False: a commit survives kill -9 of everything, but no loss of power, as with nats-server.
    """
    binaries, user, port = _binaries(), _user(), _free_port()
    with tempfile.TemporaryDirectory(prefix="actorium-bench-", ignore_cleanup_errors=True) as home:
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        data = Path(home) / "data"
        await asyncio.to_thread(_make, binaries, user, data)
        told = ("-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "")
        server = subprocess.Popen(  # noqa: ASYNC220  # that of uvloop knows no user
            [str(binaries / "postgres"), *told, "-c", f"fsync={'on' if fsync else 'off'}"],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await _ready(binaries, port, server)
            yield f"postgresql+psycopg://bench@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGQUIT)  # its word for at once
            await asyncio.to_thread(server.wait)


def _binaries() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    for place in places + sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if all((place / name).is_file() for name in ("initdb", "postgres", "pg_isready")):
            return place
    raise NoPostgres(NOT_HERE)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    found = next((name for name in ("postgres", "nobody") if name in known), None)
    if found is None:
        raise NoPostgres("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _make(binaries: Path, user: str | None, data: Path) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), *INITDB]
    made = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
    if made.returncode:
        raise NoPostgres(f"initdb: {made.stderr.strip()[-300:]}")


async def _ready(binaries: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    command = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    try:
        async with asyncio.timeout(START):
            while await asyncio.to_thread(subprocess.call, command):
                if server.poll() is not None:
                    raise NoPostgres(f"PostgreSQL ended with {server.returncode}")
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise NoPostgres(f"PostgreSQL did not answer within {START:.0f} s") from error
