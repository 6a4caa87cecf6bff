"""What docs/agents.md shows runs as it stands: its programs, its commands in their order, and its tests."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Terminal, environment_of, interrupt

PAGE = (Path(__file__).parent.parent / "docs/agents.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
NAMED = {found[1]: text for _, text in BLOCKS if (found := re.match(r"# (\w+\.(?:py|toml))", text))}
COMMANDS = [shlex.split(line) for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


def written(home: Path) -> None:
    for name, text in NAMED.items():
        (home / name).write_text(text)


@pytest.fixture
def terminal(tmp_path: Path, nats_binary: Path) -> Terminal:
    made = Terminal(tmp_path / "home", **environment_of(nats_binary))
    written(made.home)
    return made


def started(terminal: Terminal, source: str) -> Iterator[None]:
    process = terminal.start("dev", source, "--workers", "1", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["embedded"]
    yield
    assert interrupt(process) == 0


def asked(terminal: Terminal) -> str:
    """The id of the open question, once there is one."""
    limit = time.monotonic() + 20
    while not (questions := terminal.json("approvals", "ls")):
        assert time.monotonic() < limit, "nobody is asked anything"
    return str(questions[0]["id"])


@pytest.mark.cluster
def test_the_commands_do_what_the_page_says(terminal: Terminal) -> None:
    """In the order in which they stand; ID is the question that is open then."""
    for _ in started(terminal, "app.py"):
        said = {}
        for program, *words in COMMANDS:
            assert program == "actorium"
            question = asked(terminal) if words[:2] == ["approvals", "ls"] or "ID" in words else ""
            done = terminal.run(*(question if word == "ID" else word for word in words))
            assert done.returncode == 0, (words, done.stderr)
            said[" ".join(words[:2])] = done.stdout
    assert said["run Buy a lamp for at most 40 francs."] == "The lamp is paid.\n"
    assert said["task send"] == "The lamp is bought, and the customer knows.\n"
    assert "30 francs are within" in said["approvals show"]
    assert "edited by ann" in said["run show"]
    assert "total_tasks       2" in said["agent status"]
    assert (terminal.home / "bank.txt").read_text() == "17 30.0\n17 29.5\n"


@pytest.mark.cluster
def test_the_program_in_toml_does_the_same(terminal: Terminal) -> None:
    for _ in started(terminal, "agents.toml"):
        done = terminal.run("run", "Buy a lamp", "--agent", "buyer", "--yes")
        assert (done.returncode, done.stdout) == (0, "The lamp is paid.\n"), done.stderr
        few = terminal.run("run", "Buy", "--agent", "buyer", "--yes", "--tools", "price_of,reserve")
        assert "There is no tool 'pay'" in few.stderr


def test_its_tests_pass(tmp_path: Path) -> None:
    """They need no server and no key."""
    written(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    done = subprocess.run(
        [*command, "test_app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
