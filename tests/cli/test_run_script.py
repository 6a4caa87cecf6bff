"""`./run`, the one command of a developer, where next to nothing is set or installed."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = ("sh", "cat", "cksum", "cut", "dirname", "grep", "head", "mkdir", "readlink")


def test_without_a_home_and_a_python_it_says_what_is_missing(tmp_path: Path) -> None:
    """In a fresh clone, in an environment that holds nothing but a PATH."""
    tools, clone = tmp_path / "tools", tmp_path / "clone"
    for place in (tools, clone):
        place.mkdir()
    for name in NEEDED:
        (tools / name).symlink_to(shutil.which(name) or os.devnull)
    for name in ("run", "pyproject.toml"):
        shutil.copy(ROOT / name, clone)
    done = subprocess.run(
        [clone / "run", "demo"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
