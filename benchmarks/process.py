"""Process: what /proc says of one: CPU time, memory that is its own, children.

CPU is read from /proc/<pid>/stat in ticks of 10 ms, so it is summed over whole rounds. Memory is USS (pages
nobody else maps: what ending the process would free) and PSS (shared pages divided by their sharers).
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

TICK = 1 / os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True):
    """Bytes."""

    uss: int
    pss: int
    rss: int


def memory(pid: int) -> Memory:
    """The memory of a process now."""
    found = {"Private_Clean": 0, "Private_Dirty": 0, "Pss": 0, "Rss": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return Memory(found["Private_Clean"] + found["Private_Dirty"], found["Pss"], found["Rss"])


def cpu(pid: int) -> float:
    """Seconds of CPU a process has used, in all its threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


class Meter:
    """CPU time of some processes, summed over the blocks it was running in.

    Args:
        pids: By role, such as `worker`.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._seconds = dict.fromkeys(pids, 0.0)
        self._messages = 0

    @contextmanager
    def running(self, messages: int) -> Iterator[None]:
        """Count what the processes use in the block, which handles so many messages."""
        before = {role: cpu(pid) for role, pid in self._pids.items()}
        yield
        for role, pid in self._pids.items():
            self._seconds[role] += cpu(pid) - before[role]
        self._messages += messages

    def take(self, prefix: str = "") -> dict[str, float]:
        """CPU microseconds for one message, by role; counting begins anew."""
        found = {
            f"{prefix}{role}_cpu_us": round(seconds * 1e6 / max(1, self._messages), 1)
            for role, seconds in self._seconds.items()
        }
        self._seconds, self._messages = dict.fromkeys(self._pids, 0.0), 0
        return found


def kill(pid: int) -> None:
    """SIGKILL, as the kernel does it when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def settled_memory(pid: int, limit: float = 5.0) -> Memory:
    """The memory once it has stopped changing for half a second, or after the limit."""
    until, last = time.monotonic() + limit, memory(pid)
    while time.monotonic() < until:
        time.sleep(0.5)
        now = memory(pid)
        if abs(now.uss - last.uss) < 65536:
            return now
        last = now
    return last
