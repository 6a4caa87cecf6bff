"""Zygote: a single-threaded process that has everything imported, and forks workers and agents' processes.

It imports the program, collects and freezes the heap, and waits for orders on a socket it inherits; what is
forked opens its own connections. Invariant: it never starts a thread or an event loop, so a fork is safe.
When the supervisor goes away, so do it and its children: they drain, and what is left after that is killed.
"""

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable

import msgspec

from ..bus.value import JsonObject
from .lines import Lines

PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal this process gets when its parent dies


def main(fd: int, source: str, grace: float) -> None:
    """Preload, then serve orders from the supervisor until its end of the socket closes."""
    supervisor = socket.socket(fileno=fd)
    _preload(source)
    Zygote(supervisor, grace).serve()


def _preload(source: str) -> None:
    """Import what every child needs, then take it out of the collector's sight: it stays shared memory."""
    import uvloop  # noqa: F401

    from ..actors.runs.preload import preload
    from . import worker  # noqa: F401
    from .app import load_app
    from .config import Settings
    from .isolation import process as agent_process  # noqa: F401

    if source:
        preload(load_app(source).definitions)
    msgspec.convert({}, Settings)  # what it has to find out about a type is found out once
    gc.collect()
    gc.freeze()


class Zygote:
    """Forks what the supervisor orders, and tells it what became of that.

    Args:
        supervisor: Orders come in here and answers go out, one JSON object a line.
        grace: Seconds that the children have to end by themselves when the supervisor is gone.
    """

    def __init__(self, supervisor: socket.socket, grace: float) -> None:
        self._supervisor = supervisor
        self._orders = Lines(supervisor)
        self._grace = grace
        self._children: set[int] = set()
        self._wake, self._waker = os.pipe()

    def serve(self) -> None:
        """Obey until the supervisor is gone, then end what was forked."""
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake_only)
        signal.signal(
            signal.SIGTERM, _wake_only
        )  # whoever stops everything at once: it ends with its supervisor
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._tell({"ready": os.getpid()})
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ, self._reap)
            selector.register(self._supervisor, selectors.EVENT_READ, self._obey)
            while all(key.data() for key, _ in selector.select()):
                pass
            selector.unregister(self._supervisor)
            self._end(selector)

    def _obey(self) -> bool:
        """Fork what the orders ask for; False where the supervisor is gone."""
        lines = self._orders.read()
        for line in lines or ():
            self._fork(json.loads(line))
        return lines is not None

    def _fork(self, order: JsonObject) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # no room for one more process: those that are there serve on
            self._tell({"refused": order["id"], "reason": error.strerror or str(error)})
            return
        if pid == 0:
            self._become(order)
        self._children.add(pid)
        self._tell({"forked": order["id"], "pid": pid})

    def _become(self, order: JsonObject) -> None:
        """Turn a fresh fork into what was ordered; does not return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if "worker" in order:  # an agent's process outlives a SIGTERM: it ends with its owner, who drains
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._supervisor.close()
            os.close(self._wake)
            os.close(self._waker)
            _die_with_parent(signal.SIGTERM)
            status = _run(order)
        except BaseException:  # noqa: BLE001  # nobody stands above this process: what ended it is told here
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> bool:
        """Take note of children that ended; there may always be more."""
        os.read(self._wake, 4096)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._children.discard(pid)
            self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})
        return True

    def _end(self, selector: selectors.BaseSelector) -> None:
        """Have the children drain, now that nobody watches them; what is left after that is killed."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + self._grace
        while self._children and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._children:  # not reaped yet, so nobody else has these pids
            os.kill(pid, number)

    def _tell(self, answer: JsonObject) -> None:
        with contextlib.suppress(OSError):  # it is gone: the next read says so
            self._supervisor.sendall(json.dumps(answer).encode() + b"\n")


def _run(order: JsonObject) -> int:
    from . import worker
    from .config import Settings
    from .isolation import process as agent_process
    from .spec import WorkerSpec
    from .telemetry import set_up_logs

    if "worker" in order:
        spec = msgspec.convert(order["worker"], WorkerSpec)
        set_up_logs(spec.settings)
        return worker.main(spec)
    import uvloop

    settings = msgspec.convert(order["settings"], Settings)
    set_up_logs(settings)
    uvloop.run(agent_process.serve(order["path"], settings))
    return 0


def _wake_only(*_: object) -> None:
    """A signal that does no more than wake the selector: a handler, since what is ignored is inherited."""


def _die_with_parent(number: int) -> None:
    prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
