"""Machine: where and with what a run was made, so that a number can be read later."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ("__init__.py", "actors", "bus", "runtime", "sandbox", "storage")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in every record. `load` is the average of 1, 5 and 15 minutes.

    Attributes:
        changed: The package was not as in the commit.
    """

    python: str
    packages: dict[str, str]
    nats_server: str
    kernel: str
    cpu: str
    cores: int
    memory_gb: float
    load: tuple[float, float, float]
    commit: str
    changed: bool

    @property
    def slug(self) -> str:
        """A short name for a file."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.cpu}-{self.cores}c".lower()).strip("-")


def machine() -> Machine:
    """This one, now."""
    names = ("nats-py", "uvloop", "msgspec", "click")
    return Machine(
        python=f"{platform.python_implementation()} {sys.version.split()[0]}",
        packages={name: importlib.metadata.version(name) for name in names},
        nats_server=_said(os.environ.get("ACTORIUM_NATS_SERVER", "nats-server"), "--version").split("v")[-1],
        kernel=platform.release(),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        load=os.getloadavg(),
        commit=_said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"),
        changed=bool(_said("git", "-C", str(ROOT), "status", "--porcelain", "--", *PACKAGE)),
    )


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except OSError:
        return ""


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()
