"""Signals to a worker that may have ended in the same turn, on real processes."""

import os
import signal
import subprocess
import sys

from actorium.runtime.watched import Watched


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def test_a_signal_reaches_the_process() -> None:
    """Which ends of it."""
    process = sleeper()
    watched = Watched("n-0", "n-0-1", process.pid, 0.0)

    watched.send(signal.SIGKILL)

    assert process.wait() == -signal.SIGKILL
    watched.close()


def test_a_process_that_has_ended_and_is_not_noticed_yet_is_left_alone() -> None:
    """Nobody else gets the signal, and there is no error."""
    process = sleeper()
    watched = Watched("n-0", "n-0-1", process.pid, 0.0)
    process.kill()
    process.wait()

    watched.send(signal.SIGTERM)
    watched.close()


def test_a_process_that_was_noticed_to_have_ended_is_left_alone() -> None:
    """Its descriptor may be another's by now."""
    process = sleeper()
    watched = Watched("n-0", "n-0-1", process.pid, 0.0)
    process.kill()
    process.wait()
    watched.close()
    other = sleeper()
    reused = os.pidfd_open(other.pid)

    watched.send(signal.SIGKILL)

    assert other.poll() is None
    os.close(reused)
    other.kill()
    other.wait()
