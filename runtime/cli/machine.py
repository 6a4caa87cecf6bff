"""Machine: what this machine has of what agents need; needs no server."""

import os
import platform
import shutil
import sys
from importlib.util import find_spec

from ..config import Settings
from ..doctor import Finding, Level
from ..server.fetch import VARIABLE, ServerNotFound, data_home, probe, resolve

TIGHT = 1_000_000_000  # bytes
FULL = 100_000_000


def look_at_machine(settings: Settings) -> list[Finding]:
    """Python, the kernel, the disk, and where a nats-server comes from."""
    embeds = not settings.nats.url
    return [_python(), _uvloop(), _kernel(), _binary(embeds=embeds), *([_disk(settings)] if embeds else [])]


def _python() -> Finding:
    return Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def _uvloop() -> Finding:
    if find_spec("uvloop"):
        return Finding("uvloop", Level.OK, "installed")
    return Finding("uvloop", Level.MISSING, "not installed: workers run on it", "pip install uvloop")


def _kernel() -> Finding:
    """Deaths of workers are seen through pidfds."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return Finding("kernel", Level.MISSING, f"no pidfd: {error}", "Linux 5.3 or newer")
    return Finding("kernel", Level.OK, f"{platform.system()} {platform.release()}")


def _binary(*, embeds: bool) -> Finding:
    """The nats-server of `actorium dev`, which is not needed where NATS_URL names one."""
    try:
        found = resolve(download=False)
    except ServerNotFound as error:
        named = VARIABLE in os.environ
        says = " ".join(error.message.partition("\nInstall")[0].split()) if named else "none on this machine"
        level = Level.MISSING if named and embeds else Level.NOTE
        return Finding("nats-server", level, says, "" if named else "the first actorium dev fetches one")
    where = VARIABLE if os.environ.get(VARIABLE) else "PATH"
    if found.parent == data_home() / "bin":
        where = "the cache"
    return Finding("nats-server", Level.OK, f"{'.'.join(map(str, probe(found)))} at {found}, from {where}")


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir / "nats"
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        says = f"{place} cannot be made or written"
        return Finding("disk", Level.MISSING, says, "name another directory with ACTORIUM_DATA")
    free = shutil.disk_usage(there).free
    says = f"{free / 1e9:.1f} GB free for {place}"
    if free < FULL:
        return Finding(
            "disk", Level.MISSING, f"{says}: nothing can be stored", "free some, or set ACTORIUM_DATA"
        )
    if free < TIGHT:
        return Finding(
            "disk", Level.NOTE, f"{says}: soon nothing can be stored", "free some, or set ACTORIUM_DATA"
        )
    return Finding("disk", Level.OK, says)
