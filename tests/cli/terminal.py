"""A terminal for tests: the real command line in processes of its own, with an environment of its own."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.warm import Warm

COMMAND = [sys.executable, "-m", "actorium"]
PROGRAM = Path(__file__).with_name("program.py")


class Terminal:
    """Runs `actorium` in a directory that holds app.py, with its data in the same place.

    Args:
        warm: Runs the commands of `run` and `json`, where it does not matter how they start.
    """

    def __init__(self, home: Path, warm: Warm | None = None, **variables: str) -> None:
        self.home = home
        self._warm = warm
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROGRAM, home / "app.py")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ACTORIUM_") and k != "NATS_URL"}
        self.environment = kept | {"XDG_DATA_HOME": str(home / "data")} | variables

    def run(
        self, *words: str | bytes, body: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """One command, to its end."""
        environment = self.environment | variables
        if self._warm is not None:
            return self._warm.run([os.fsdecode(word) for word in words], self.home, environment, body)
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.home,
            env=environment,
            input=body,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *words: str, status: int = 0) -> Any:
        """What a command with --json says on stdout, which must be JSON and nothing else."""
        done = self.run(*words, "--json")
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        """A command that stays; in a session of its own, as a shell's job."""
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.home,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def node(self, source: str) -> Iterator[None]:
        """A node of one worker and a server of its own, from when its agents can be asked until Ctrl-C."""
        process = self.start("dev", source, "--workers", "1", "--json")
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            assert told["embedded"]
            self.json("agent", "status", told["agents"][0]["name"])  # waits until somebody owns it
            yield
        finally:
            status = interrupt(process)
        assert status == 0


class Screen:
    """A screen and a keyboard, at which one command runs; without a time limit of its own."""

    def __init__(self, terminal: Terminal, *words: str, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=terminal.home,
            env=terminal.environment | {"COLUMNS": "80", "LINES": "30"} | variables,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = b""

    @property
    def shown(self) -> str:
        """All that was shown, with what moves the cursor."""
        return self._seen.decode(errors="replace")

    def until(self, text: str) -> None:
        """Look until a text is there."""
        while text not in self.shown:
            assert self._look(), f"it never showed {text!r}:\n{self.shown}"

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{line}\n".encode())

    def end(self) -> int:
        """Look until the command has ended; its exit status."""
        while self._look():
            pass
        os.close(self._ours)
        return self.process.wait(30)

    def _look(self) -> bool:
        try:
            self._seen += os.read(self._ours, 65536)
        except OSError:  # nobody has the terminal any more
            return False
        return True


def interrupt(process: "subprocess.Popen[str]") -> int:
    """Ctrl-C: the signal goes to the whole job, as from a terminal; the exit status."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(30)


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on stderr that a failed command says."""
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def environment_of(binary: Path) -> Mapping[str, str]:
    """The nats-server that an embedded one is made from."""
    return {"ACTORIUM_NATS_SERVER": str(binary)}
