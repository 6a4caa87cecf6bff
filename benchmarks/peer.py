"""Peer: another runtime that does the same work, in a process and an environment of its own.

`prepare` makes the environment in .cache/peers: every script under peers/ says what it needs, in the form of
PEP 723. One that does not install is told, and the others are measured. Invariant: nothing of theirs is ever
installed beside our own packages.
"""

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from interleave import Round, summary
from machine import ROOT

HERE = Path(__file__).resolve().parent / "peers"
HOME = ROOT / ".cache" / "peers"
PYTHON = HOME / "bin" / "python"
INSTALL = 600.0  # seconds for one of them
START = 60.0
LEAST = 3  # runs of one measurement


class NoPeer(Exception):
    """Raised when a peer cannot be measured here; says why."""


class Peer:
    """A peer that is running.

    Attributes:
        versions: Of its packages.
    """

    def __init__(self, process: asyncio.subprocess.Process, versions: dict[str, str]) -> None:
        self.versions = versions
        self._process = process

    async def run(self, what: str, *, count: int, seconds: float = 1.0, lanes: int = 1) -> Round:
        """Have it do something so often in each lane, or until the seconds are over. Raises NoPeer."""
        order = {"what": what, "count": count, "seconds": seconds, "lanes": lanes}
        reader, writer = self._process.stdout, self._process.stdin
        assert reader is not None
        assert writer is not None
        writer.write(msgspec.json.encode(order | {"least": LEAST if lanes == 1 else 1}) + b"\n")
        told = await reader.readline()
        if not told:
            raise NoPeer(f"it ended while it ran {what}")
        found = msgspec.json.decode(told)
        return summary(found["taken"], len(found["taken"]) / found["wall"])


@asynccontextmanager
async def peer(script: str, *arguments: str) -> AsyncIterator[Peer]:
    """A peer by the name of its script, ready. Raises NoPeer."""
    why = _state().get(script, {"why": "not installed: ./run bench --peers"})["why"]
    if why:
        raise NoPeer(why)
    process = await asyncio.create_subprocess_exec(
        str(PYTHON), str(HERE / f"{script}.py"), *arguments, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())  # or a talkative one would stand still
    try:
        async with asyncio.timeout(START):
            told = await process.stdout.readline()
        if not told:
            raise NoPeer(f"it did not start: {_last(await errors)}")
        yield Peer(process, msgspec.json.decode(told)["versions"])
    except TimeoutError as error:
        raise NoPeer(f"it did not start within {START:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await errors


def prepare() -> dict[str, str]:
    """Make the environment, or what is missing of it; says of each script why it cannot run, or nothing."""
    state = _state()
    for script in sorted(HERE.glob("peer_*.py")):
        needs = _needs(script)
        known = state.get(script.stem)
        if known is None or known["needs"] != needs or known["why"]:
            print(f"installing {', '.join(needs)} into {HOME.relative_to(ROOT)}", file=sys.stderr, flush=True)
            state[script.stem] = {"needs": needs, "why": _install(needs)}
            (HOME / "state.json").write_text(json.dumps(state, indent=1))
    return {name: found["why"] for name, found in state.items()}


def _install(needs: list[str]) -> str:
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    quiet = ("-qq", "--disable-pip-version-check", "--no-input")
    command = [str(PYTHON), "-m", "pip", "install", *quiet, *needs]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took longer than {INSTALL:.0f} s"
    return "" if done.returncode == 0 else f"pip could not install it: {_last(done.stderr.encode())}"


def _needs(script: Path) -> list[str]:
    """What a script says of its dependencies."""
    block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", script.read_text(), re.MULTILINE)
    text = "".join(line[2:] for line in block.group(1).splitlines(keepends=True)) if block else ""
    needs: list[str] = tomllib.loads(text)["dependencies"]
    return needs


def _state() -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads((HOME / "state.json").read_text())
    except FileNotFoundError:
        return {}
    return found if PYTHON.exists() else {}


def _last(said: bytes) -> str:
    """The last line that names an error, else the last that says something."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["it said nothing"])[-1][:300]
