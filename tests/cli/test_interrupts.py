"""Ctrl-C at every moment of a program: an exit status, no traceback, and no process that is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.terminal import Screen, Terminal, environment_of

SLOW = """
import pathlib, time
with pathlib.Path("loads").open("a") as loads:
    loads.write("x")
if pathlib.Path("loads").read_text() == {turn!r}:
    pathlib.Path("reached").touch()
    time.sleep(100)
"""
DURING_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs behind a shell ignores it
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from actorium.runtime.cli import main
main(["--help"])
"""
SILENT = '#!/bin/sh\n[ "$1" = "{passed}" ] && exec {binary} "$@"\ntouch reached\nexec sleep 100\n'


def eventually(holds: Callable[[], object], seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.01)


def left(terminal: Terminal) -> dict[int, str]:
    """Processes that live in a terminal's environment: their ids and commands."""
    mark = f"XDG_DATA_HOME={terminal.environment['XDG_DATA_HOME']}\0".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_text()
        except OSError:  # it ended, or is not ours to look at
            continue
    return found


@pytest.fixture
def home(tmp_path: Path, nats_binary: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path / "home", **environment_of(nats_binary))
    yield terminal
    for pid in left(terminal):  # of a test that failed
        os.kill(pid, signal.SIGKILL)


def ended(terminal: Terminal, process: "subprocess.Popen[str]", number: int = signal.SIGINT) -> int:
    """The exit status after a signal, of a program that says no traceback and leaves nobody behind."""
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=20)
    assert "Traceback" not in said, said
    eventually(lambda: left(terminal) == {}, 5.0)
    return process.returncode


def slow_import(home: Terminal, turn: int) -> None:
    """The program takes long when it is loaded for the n-th time: in the command line, then in the zygote."""
    program = home.home / "app.py"
    program.write_text(SLOW.format(turn="x" * turn) + program.read_text() + "app.run()\n")


def silent_server(home: Terminal, passed: str) -> None:
    """A nats-server that answers, where it is called with `passed`, and else says nothing."""
    script = home.home / "nats-server"
    script.write_text(SILENT.format(passed=passed, binary=home.environment["ACTORIUM_NATS_SERVER"]))
    script.chmod(0o755)
    home.environment["ACTORIUM_NATS_SERVER"] = str(script)


MOMENTS = {
    "the program is imported": lambda home: slow_import(home, 1),
    "a server is looked for": lambda home: silent_server(home, "nothing"),
    "the server starts": lambda home: silent_server(home, "--version"),
    "the zygote imports": lambda home: slow_import(home, 2),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_while_it_starts_ends_it(home: Terminal, moment: str) -> None:
    """At whatever it waits for; nothing that was begun is left, and nobody waits for it to be done."""
    MOMENTS[moment](home)
    process = home.start("dev", "app.py", "--workers", "1")
    eventually((home.home / "reached").exists)

    assert ended(home, process) == 130


def test_a_stop_while_it_starts_is_no_failure(home: Terminal) -> None:
    """SIGTERM comes from an init system, which would count another status as one."""
    slow_import(home, 2)
    process = home.start("dev", "app.py", "--workers", "1")
    eventually((home.home / "reached").exists)

    assert ended(home, process, signal.SIGTERM) == 0


def test_a_script_that_is_interrupted_while_it_starts_ends_130(home: Terminal) -> None:
    """`App.run` answers Ctrl-C as the command line does."""
    slow_import(home, 2)
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=home.home,
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    eventually((home.home / "reached").exists)

    assert ended(home, process) == 130


def test_ctrl_c_before_the_command_line_is_imported_is_answered_too() -> None:
    """The heavy imports come after the point from which Ctrl-C is one line."""
    done = subprocess.run(
        [sys.executable, "-c", DURING_IMPORT], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_nothing_is_imported_before_ctrl_c_is_one_line() -> None:
    """Not even from Python's own library: half of the time of `--help` would be without an answer."""
    code = (
        "import sys; before = set(sys.modules); from actorium.runtime.cli import main\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["actorium", "actorium.runtime", "actorium.runtime.cli"]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_the_middle_of_the_demo_ends_it(home: Terminal, times: int) -> None:
    """Once or twice, while agents work: 130; no agent and no run of it meets the user's next program."""
    temporary = home.home / "temporary"
    temporary.mkdir()
    process = home.start("demo", TMPDIR=str(temporary))
    assert process.stderr is not None
    while "started" not in process.stderr.readline():
        pass
    assert list(temporary.iterdir())
    for _ in range(times - 1):
        os.killpg(process.pid, signal.SIGINT)

    assert ended(home, process) == 130
    assert list(temporary.iterdir()) == []
    assert not (home.home / "data" / "actorium" / "nats").exists()


def test_ctrl_c_ends_the_demo_at_its_question(home: Terminal) -> None:
    """Whoever is asked may leave without an answer, and at once."""
    screen = Screen(home, "demo")
    screen.until("accept? [Y/n]")
    os.killpg(screen.process.pid, signal.SIGINT)
    assert screen.end() == 130, screen.shown
    assert screen.shown.splitlines()[-1] == "interrupted"
    assert left(home) == {}


def test_a_second_ctrl_c_does_not_wait_for_what_is_in_hand(home: Terminal) -> None:
    """The first one drains, which a handler can make long; the second one ends all at once, with 130."""
    process = home.start("dev", "app.py", "--workers", "1", "--drain", "100")
    assert process.stdout is not None
    assert process.stderr is not None
    while "Ctrl-C" not in process.stdout.readline():
        pass
    tap = home.start("tap", "echo", "--count", "2")
    assert tap.stderr is not None
    tap.stderr.readline()  # it listens now
    assert home.run("task", "send", "echo", '{"action":"wait","spec":100}').returncode == 0
    tap.communicate(timeout=30)
    os.killpg(process.pid, signal.SIGINT)
    while "node.stopping" not in process.stderr.readline():
        pass

    assert ended(home, process) == 130
