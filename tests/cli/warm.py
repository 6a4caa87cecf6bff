"""Warm: a process that has imported the command line, and forks for each command that it is given.

Such a command is a process of its own like any other, with its own words, directory, environment and streams,
and takes a fifth of the time of one that imports everything first. Not for tests of how a command starts.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODULES = (
    "cli.commands",
    "cli.streams",
    "approval_desk",
    "client",
    "lodging",
    "one_shot",
    "person",
    "runs",
    "telemetry",
    "views.live_tree",
    "views.run_watch",
    "workflow_repeat",
    "workflows",
)
LIMIT = 60  # seconds that a command gets
LONGEST = 1 << 20  # bytes of an order


class Warm:
    """The process, as tests see it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()])
        theirs.close()

    def close(self) -> None:
        """End it."""
        self._orders.close()
        self._process.wait(30)

    def run(
        self, words: Sequence[str], home: Path, environment: Mapping[str, str], body: str
    ) -> "subprocess.CompletedProcess[str]":
        """One command, to its end; several may run at once."""
        order = json.dumps({"words": words, "home": str(home), "environment": dict(environment)})
        stdin, typed = os.pipe()
        os.write(typed, body.encode())
        os.close(typed)
        ended, tell = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, os.fdopen(ended) as status:
            streams = [stdin, out.fileno(), err.fileno(), tell]
            socket.send_fds(self._orders, [order.encode()], streams)
            os.close(stdin)
            os.close(tell)
            code = int(status.read())
            said = [os.pread(stream, LONGEST, 0).decode() for stream in streams[1:3]]
        return subprocess.CompletedProcess(words, code, *said)


def serve(orders: socket.socket) -> None:
    """Carry out orders until nobody can give any more; who waits for a command is a process too."""
    for name in MODULES:
        importlib.import_module(f"actorium.runtime.{name}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        order, streams, _, _ = socket.recv_fds(orders, LONGEST, 4)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait(json.loads(order), *streams)
        for stream in streams:
            os.close(stream)


def _wait(order: dict[str, Any], stdin: int, stdout: int, stderr: int, tell: int) -> None:
    command = os.fork()
    if command == 0:
        os.close(tell)
        for number, stream in enumerate((stdin, stdout, stderr)):
            os.dup2(stream, number)
            os.close(stream)
        _become(order)
    _, status = os.waitpid(command, 0)
    os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(order: dict[str, Any]) -> None:
    """What `python -m actorium` is."""
    status: Any = 1
    try:
        signal.alarm(LIMIT)
        os.chdir(order["home"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.path[0] = order["home"]
        sys.argv[1:] = order["words"]
        runpy.run_module("actorium", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # noqa: BLE001  # nobody stands above this process
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
