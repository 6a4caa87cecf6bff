"""One node for all tests of the command line: `actorium dev` with a server and data of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Terminal, environment_of
from cli.warm import Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """What runs commands without starting a Python for each."""
    warm = Warm()
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def node(nats_binary: Path, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a node that runs `counter` and `echo`."""
    terminal = Terminal(tmp_path_factory.mktemp("node"), warm, **environment_of(nats_binary))
    with terminal.node("app.py"):
        yield terminal


@pytest.fixture
def terminal(tmp_path: Path, warm: Warm) -> Terminal:
    """A terminal on a machine where nothing runs."""
    return Terminal(tmp_path / "home", warm)
