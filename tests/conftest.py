"""Fixtures of the whole suite: real nats-servers on ports that the kernel chose.

A test that asks for one of them is marked `server` by itself. A parametrised suite that reaches them through
`request.getfixturevalue` marks those parameters: `pytest.param("nats", marks=pytest.mark.server)`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from actorium.runtime.server.fetch import ServerNotFound, resolve
from servers import TestServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell starts behind itself ignores Ctrl-C,
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and so would the programs that tests interrupt

# a busy machine is no finding: what is slow is measured in benchmarks/, never judged by a test
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

SERVER_FIXTURES = {"nats_binary", "nats_url", "nats_server", "nats_server_factory"}


@pytest.hookimpl(tryfirst=True)  # before `-m` deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def nats_binary() -> Path:
    """The nats-server to test against: ACTORIUM_TEST_NATS, else the one that users get. Fetches nothing."""
    if named := os.environ.get("ACTORIUM_TEST_NATS"):
        return Path(named)
    try:
        return resolve(download=False)
    except ServerNotFound as error:
        if os.environ.get("CI"):  # a laptop may skip, CI may not
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def nats_url(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the whole session: tests keep apart by the names of their agents and tenants."""
    server = TestServer(nats_binary, tmp_path_factory.mktemp("nats"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def nats_server_factory(nats_binary: Path, tmp_path: Path) -> Iterator[Callable[..., TestServer]]:
    """Call for a fresh server, started: `factory(mappings=False, config="...")`. All end with the test."""
    servers: list[TestServer] = []

    def factory(*, mappings: bool = True, config: str = "") -> TestServer:
        server = TestServer(nats_binary, tmp_path / f"nats-{len(servers)}", mappings=mappings, config=config)
        servers.append(server)
        server.start()
        return server

    yield factory
    for server in servers:
        server.kill()


@pytest.fixture
def nats_server(nats_server_factory: Callable[..., TestServer]) -> TestServer:
    """A fresh server of this test's own, to be killed and started again."""
    return nats_server_factory()
