"""Zygote: a single-threaded process that has everything imported, and forks workers and agents' processes.

It imports the program, collects and freezes the heap, and waits for orders on a socket it inherits; what is
forked opens its own connections. Invariant: it never starts a thread or an event loop, so a fork is safe.
When the supervisor goes away, so do it and its children.
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
import traceback
from collections.abc import Callable

import msgspec

from ..bus.value import JsonObject

PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal this process gets when its parent dies


def main(fd: int, source: str) -> None:
    """Preload, then serve orders from the supervisor until its end of the socket closes."""
    supervisor = socket.socket(fileno=fd)
    _preload(source)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _send(supervisor, {"ready": os.getpid()})
    children: set[int] = set()
    orders = Lines(supervisor)
    with selectors.DefaultSelector() as selector:
        selector.register(supervisor, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == wake:
                    os.read(wake, 4096)
                    _reap(supervisor, children)
                elif not _obey(orders, children, (wake, waker)):
                    _end(children)
                    return


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


class Lines:
    """Whole lines from a socket; a buffered file would hide the second of two orders from the selector."""

    def __init__(self, source: socket.socket) -> None:
        self.source = source
        self._rest = b""

    def read(self) -> list[bytes] | None:
        """The lines that came with one read; None where the other side is gone."""
        try:
            data = self.source.recv(65536)
        except OSError:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines if data else None


def _obey(orders: Lines, children: set[int], pipe: tuple[int, int]) -> bool:
    """Fork what the orders ask for; False where the supervisor is gone."""
    lines = orders.read()
    for line in lines or ():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order, orders.source, pipe)
        children.add(pid)
        _send(orders.source, {"forked": order["id"], "pid": pid})
    return lines is not None


def _become(order: JsonObject, supervisor: socket.socket, pipe: tuple[int, int]) -> None:
    """Turn a fresh fork into what was ordered; does not return."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        supervisor.close()
        for end in pipe:
            os.close(end)
        _die_with_parent(signal.SIGTERM)
        status = _run(order)
    except BaseException:  # noqa: BLE001  # nobody stands above this process: what ended it is told here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


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


def _reap(supervisor: socket.socket, children: set[int]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)
        _send(supervisor, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _end(children: set[int]) -> None:
    """The supervisor is gone: drain the children and wait for them."""
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in list(children):
        os.waitpid(pid, 0)


def _send(supervisor: socket.socket, answer: JsonObject) -> None:
    with contextlib.suppress(OSError):  # it is gone: the next read says so
        supervisor.sendall(json.dumps(answer).encode() + b"\n")


def _die_with_parent(number: int) -> None:
    prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
