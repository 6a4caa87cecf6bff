"""A terminal for tests: the real command line in processes of its own, with an environment of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "actorium"]
PROGRAM = Path(__file__).with_name("program.py")


class Terminal:
    """Runs `actorium` in a directory that holds app.py, with its data in the same place."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROGRAM, home / "app.py")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ACTORIUM_") and k != "NATS_URL"}
        self.environment = kept | {"XDG_DATA_HOME": str(home / "data")} | variables

    def run(self, *words: str, body: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
        """One command, to its end."""
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.home,
            env=self.environment | variables,
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
