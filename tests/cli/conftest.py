"""One node for all tests of the command line: `actorium dev` with a server and data of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Terminal, environment_of, interrupt


@pytest.fixture(scope="session")
def node(nats_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a node that runs `counter` and `echo`."""
    terminal = Terminal(tmp_path_factory.mktemp("node"), **environment_of(nats_binary))
    process = terminal.start("dev", "app.py", "--workers", "1", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["embedded"]
    yield terminal
    assert interrupt(process) == 0


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal on a machine where nothing runs."""
    return Terminal(tmp_path / "home")
