"""A real nats-server for tests: own port, own data directory, own name, ended by its own pid.

Synchronous on purpose: a test may kill and start it from any thread or loop. Invariant: `url` leads to the
server started here, because the name in its INFO line is a nonce that was checked.
"""

import json
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from actorium.bus.server import nats_mappings


class TestServer:
    """One nats-server. After `kill()` or `stop()`, `start()` brings it back: same port, same data."""

    __test__ = False

    def __init__(self, binary: Path, home: Path, *, mappings: bool = True, config: str = "") -> None:
        self._binary = binary
        self._home = home
        self._config = (nats_mappings() if mappings else "") + config
        self._process: subprocess.Popen[bytes] | None = None
        self.port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self, *, timeout: float = 15.0) -> None:
        """Start, on the port of the last time if there was one; returns when it answers."""
        assert self._process is None, "the server is running already"
        name = f"test-{secrets.token_hex(8)}"
        self._home.mkdir(parents=True, exist_ok=True)
        conf = self._home / "nats.conf"
        conf.write_text(
            f'server_name: {name}\nhost: "127.0.0.1"\nport: {self.port}\n'
            f'jetstream {{ store_dir: "{self._home}/store" }}\n{self._config}'
        )
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", conf, "--ports_file_dir", self._home], stdout=log, stderr=log
            )
        deadline = time.monotonic() + timeout
        while self._answer() != name:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(
                    f"nats-server did not start:\n{(self._home / 'log').read_text()[-2000:]}"
                )
            time.sleep(0.005)

    def _answer(self) -> str:
        """The name in the INFO line of whoever listens on our port; empty while nobody does."""
        try:
            if self.port <= 0:
                (ports,) = self._home.glob(f"*_{self.pid}.ports")
                self.port = int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=2) as sock,
                sock.makefile("rb") as stream,
            ):
                return str(json.loads(stream.readline().removeprefix(b"INFO "))["server_name"])
        except (OSError, ValueError, KeyError):
            return ""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait until it has written its state."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
