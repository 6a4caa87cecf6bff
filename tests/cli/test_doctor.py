"""doctor: what it says about servers with and without what agents need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorium.bus.server import features
from actorium.runtime.doctor import Level, power_loss
from actorium.runtime.server.fetch import probe
from cli.terminal import Terminal
from servers import TestServer

pytestmark = pytest.mark.server


def levels(told: dict[str, Any]) -> dict[str, str]:
    return {finding["what"]: finding["level"] for finding in told["findings"]}


def test_it_works_without_a_server_and_says_so(terminal: Terminal, nats_binary: Path) -> None:
    """Before anything runs it looks at the machine; that no server runs yet is no failure."""
    told = terminal.run("doctor", ACTORIUM_NATS_SERVER=str(nats_binary))
    assert told.returncode == 0
    assert "actorium dev starts one" in told.stdout
    assert str(nats_binary) in told.stdout


def test_a_named_binary_that_does_not_run_is_missing(terminal: Terminal) -> None:
    """A nats-server that the user named and that cannot be used is exit 1, with the reason."""
    done = terminal.run("doctor", ACTORIUM_NATS_SERVER="/nowhere/nats-server")
    assert done.returncode == 1
    assert "/nowhere/nats-server" in done.stdout


def test_a_data_directory_that_cannot_be_made_is_missing(terminal: Terminal) -> None:
    """However much room the disk below it has."""
    (terminal.home / "afile").write_text("")
    done = terminal.run("doctor", ACTORIUM_DATA=str(terminal.home / "afile"))
    assert done.returncode == 1
    assert "afile/nats cannot be made or written" in done.stdout


def test_a_running_node_is_healthy(node: Terminal) -> None:
    """On a node that runs, streams, mappings and clock are looked at, and nothing is missing."""
    told = node.json("doctor")
    found = levels(told)
    assert told["ok"]
    assert {found[what] for what in ("server", "jetstream", "streams", "mappings", "clock", "disk")} == {"ok"}
    assert "power loss" in found
    assert "msg_ttl" in found


def test_an_empty_server_only_lacks_what_up_makes(
    terminal: Terminal, nats_server_factory: Callable[..., TestServer]
) -> None:
    """A fresh server is fine: streams are made by the first node, and the doctor makes none."""
    url = nats_server_factory(mappings=False).url
    for _ in range(2):
        told = terminal.json("doctor", "--nats", url)
        assert told["ok"]
        assert levels(told)["streams"] == "note"


def test_a_server_without_jetstream_is_missing_something(
    terminal: Terminal, nats_server_factory: Callable[..., TestServer]
) -> None:
    """Without JetStream nothing can be stored: exit 1."""
    off = "accounts { plain: { users: [ { user: a, password: b } ] } }\nno_auth_user: a\n"
    url = nats_server_factory(mappings=False, config=off).url
    told = terminal.json("doctor", "--nats", url, status=1)
    assert levels(told)["jetstream"] == "missing"


def test_a_server_that_refuses_us_is_missing(
    terminal: Terminal, nats_server_factory: Callable[..., TestServer]
) -> None:
    """A server that is there and does not let us in is exit 1, with its reason."""
    url = nats_server_factory(config='authorization { token: "x" }\n').url.replace("//", "//wrong@")
    done = terminal.run("doctor", NATS_URL=url)
    assert done.returncode == 1
    assert "refuses these credentials" in done.stdout


@pytest.mark.parametrize(
    ("version", "sync", "level", "says"),
    [
        ((2, 9, 10), None, Level.NOTE, "may lose the last 120 s"),
        ((2, 9, 10), "always", Level.NOTE, "may lose the last 120 s"),
        ((2, 10, 27), "always", Level.OK, "loses 0 s"),
        ((2, 10, 27), "", Level.NOTE, "may lose the last 120 s"),
        ((2, 15, 0), "1s", Level.NOTE, "may lose the last 1 s"),
        ((2, 15, 0), "1m30s", Level.NOTE, "may lose the last 90 s"),
        ((2, 15, 0), "500ms", Level.NOTE, "may lose the last 0.5 s"),
        ((2, 15, 0), None, Level.NOTE, "sync_interval is unknown, for the server does not tell"),
        ((2, 15, 0), None, Level.NOTE, "may lose the last 120 s (its default)"),
    ],
)
def test_only_a_syncing_server_is_safe_from_power_loss(
    version: tuple[int, int, int], sync: str | None, level: Level, says: str
) -> None:
    """No server before 2.10, and none that does not say so, gets the promise; what it costs is told."""
    found = power_loss(version, sync=sync, replicas=1)
    assert found.level is level
    assert says in found.says


def test_the_embedded_server_flushes_every_second_where_it_can(node: Terminal, nats_binary: Path) -> None:
    """A power loss costs the last second and not the last two minutes, and the doctor says which."""
    (found,) = [finding for finding in node.json("doctor")["findings"] if finding["what"] == "power loss"]
    able = features(probe(nats_binary)).sync_always
    assert ("last 1 s" if able else "last 120 s") in found["says"]


def test_the_mappings_are_printed_for_a_nats_conf(terminal: Terminal) -> None:
    """doctor --mappings prints lines that a server takes as they are."""
    assert terminal.run("doctor", "--mappings").stdout.startswith("mappings = {")
