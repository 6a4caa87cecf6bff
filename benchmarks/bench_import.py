"""What do `import actorium`, `--help` and the core's files cost?

`import actorium` alone imports next to nothing, because names are imported when they are first used. What is
held against the goal is what a program pays that uses them.
"""

import importlib.metadata
import importlib.util
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from fresh import import_cpu
from machine import ROOT
from metric import Goal, Metric, Run

BARE = "import nats, uvloop, msgspec"
OURS = (
    "from actorium import *; import uvloop"  # names are imported when used: so all are, and the same uvloop
)
LAZY = "import actorium"
FOLDERS = ("actors", "bus", "runtime", "sandbox", "storage")


async def measure(run: Run) -> list[Metric]:
    rounds = run.count(15, 5)
    ours, bare, ratios = [], [], []
    for code in (OURS, BARE, LAZY):
        import_cpu(code)  # writes the bytecode
    for number in range(rounds):
        pair = {code: import_cpu(code) for code in ((OURS, BARE) if number % 2 else (BARE, OURS))}
        ours.append(pair[OURS])
        bare.append(pair[BARE])
        ratios.append(pair[OURS] / pair[BARE])
    size, parts = _installed("actorium")
    found = [
        Metric(
            name="import every name of actorium, and uvloop (CPU)", value=statistics.median(ours) * 1e3,
            unit="ms", beside=statistics.median(bare) * 1e3, other="nats + uvloop + msgspec",
            ratio=statistics.median(ratios), goal=Goal(limit=1.3, on="ratio"),
            detail={"import_actorium_alone_cpu_ms": statistics.median(map(import_cpu, [LAZY] * 5)) * 1e3},
        ),
        Metric(name="core install", value=size / 1e6, unit="MB", goal=Goal(limit=60.0), detail=parts),
    ]  # fmt: skip
    if importlib.util.find_spec("actorium.runtime.cli"):
        found.insert(1, _help(rounds))
    return found


def _help(rounds: int) -> Metric:
    shown, nothing = [], []
    for _ in range(rounds):
        shown.append(_wall("-m", "actorium", "--help"))
        nothing.append(_wall("-c", "pass"))
    return Metric(
        name="actorium --help", value=statistics.median(shown) * 1e3, unit="ms",
        beside=statistics.median(nothing) * 1e3, other="python -c pass",
        ratio=statistics.median(a / b for a, b in zip(shown, nothing, strict=True)),
    )  # fmt: skip


def _wall(*arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - begun


def _installed(root: str) -> tuple[int, dict[str, float]]:
    """Bytes of a distribution's files and of all it needs, as pip recorded them; ours from the checkout."""
    sizes = {root: sum(_size(file) for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))}
    waiting = [
        need for need in importlib.metadata.requires(root) or [] if _wanted(need.partition(";")[2], "")
    ]
    while waiting:
        told = re.match(r"([A-Za-z0-9._-]+)(?:\[([^]]*)\])?", waiting.pop())
        name, extras = (told.group(1).lower(), told.group(2) or "") if told else ("", "")
        if not name or name in sizes:
            continue
        try:
            held = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        sizes[name] = sum(_size(Path(str(file.locate()))) for file in held.files or [])
        waiting += [need for need in held.requires or [] if _wanted(need.partition(";")[2], extras)]
    return sum(sizes.values()), {f"{name}_mb": round(size / 1e6, 2) for name, size in sizes.items()}


def _wanted(marker: str, extras: str) -> bool:
    """Whether a requirement counts; other markers (platform, version) are decided by what is installed."""
    told = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
    return told is None or told.group(1) in extras.split(",")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
