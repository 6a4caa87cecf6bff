"""Suite: finds the questions, runs them one after the other, prints and records the answers.

A question that fails, or takes longer than its limit, is reported as such and the others go on. The record is
a file under results/ for a whole run; a quick or a partial run is no record and is written only where --json
says.
"""

import argparse
import asyncio
import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from machine import Machine, machine
from metric import Metric, Run, table
from peer import prepare

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LIMIT = 90.0  # seconds for one question, where it says no other


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the suite; `absent`: peers that could not be measured, and why."""

    at: str
    seconds: float
    quick: bool
    machine: Machine
    load_after: tuple[float, float, float]
    metrics: list[Metric]
    failed: dict[str, str]
    peers: bool = False
    absent: dict[str, str] = {}


def questions() -> dict[str, str]:
    """Every benchmark by name, and what it asks."""
    found = {}
    for file in sorted(HERE.glob("bench_*.py")):
        found[file.stem.removeprefix("bench_")] = file.read_text().split('"""')[1].strip().splitlines()[0]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line says. Returns 1 where one did not run; a missed goal is no failure."""
    known = questions()
    parser = argparse.ArgumentParser(prog="./run bench", description="Numbers, beside what they are held to.")
    parser.add_argument("name", nargs="*", help=f"what to measure: {', '.join(known)}; all where left out")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="the same")
    parser.add_argument("--list", action="store_true", help="show the questions")
    parser.add_argument("--quick", action="store_true", help="fewer calls, for a look; no record")
    parser.add_argument(
        "--peers", action="store_true", help="other runtimes too, installed into .cache/peers"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the record")
    told = parser.parse_args(argv)
    if told.list:
        print("\n".join(f"{name:18} {question}" for name, question in known.items()))
        return 0
    chosen = told.name + told.only or list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; known are {', '.join(known)}")
    if told.peers:
        prepare()
    record = run(chosen, quick=told.quick, peers=told.peers)
    print(f"\n{table(record.metrics)}\n")
    print(
        f"{record.seconds:.0f} s; load {record.machine.load[0]:.1f} before, {record.load_after[0]:.1f} after"
    )
    for name, why in record.absent.items():
        print(f"not measured: {name}: {why}")
    file = told.json or (None if told.quick or len(chosen) < len(known) else _place(record))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        print(f"written to {file}")
    return 1 if record.failed else 0


def run(chosen: Sequence[str], *, quick: bool, peers: bool = False) -> Record:
    """Measure, in a data directory of its own; nothing of the user's is read or written."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="actorium-bench-", ignore_cleanup_errors=True) as home:
        _own_environment(Path(home))
        at, where = datetime.now(UTC), machine()
        metrics: list[Metric] = []
        failed: dict[str, str] = {}
        how = Run(quick=quick, peers=peers)
        for name in chosen:
            try:
                metrics += _answer(name, how)
            except Exception as error:  # noqa: BLE001  # one question that fails must not cost the others
                traceback.print_exc()
                failed[name] = f"{type(error).__name__}: {error}"
    return Record(
        at=at.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begun, 1),
        quick=quick,
        machine=where,
        load_after=os.getloadavg(),
        metrics=metrics,
        failed=failed,
        peers=peers,
        absent=how.absent,
    )


def _answer(name: str, how: Run) -> list[Metric]:
    import uvloop

    bench = importlib.import_module(f"bench_{name}")

    async def limited() -> list[Metric]:
        async with asyncio.timeout(getattr(bench, "LIMIT", LIMIT)):
            answers: list[Metric] = await bench.measure(how)
            return answers

    begun = time.monotonic()
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    found = uvloop.run(limited())
    print(f"{time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
    return found


def _own_environment(home: Path) -> None:
    """Our own data directory and nothing of the user's settings; the server is looked for before that."""
    if "ACTORIUM_NATS_SERVER" not in os.environ:
        from actorium.runtime.server.fetch import resolve

        os.environ["ACTORIUM_NATS_SERVER"] = str(resolve())
    for name in list(os.environ):
        if name == "NATS_URL" or (name.startswith("ACTORIUM_") and name != "ACTORIUM_NATS_SERVER"):
            del os.environ[name]
    os.environ["XDG_DATA_HOME"] = str(home)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every import measured would compile our files anew


def _place(record: Record) -> Path:
    day, where = record.at[:10], record.machine
    return RESULTS / f"{day}-{where.commit or 'none'}-{where.slug}.json"
