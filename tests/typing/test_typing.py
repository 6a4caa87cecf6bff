"""The public API is typed: what is right passes `mypy --strict`, and what is wrong is found."""

import subprocess
import sys
from pathlib import Path

API = Path(__file__).parent / "api.py"


def test_what_users_write_is_checked() -> None:
    """No error in `api.py`, and none of its expected errors is missing."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--warn-unused-ignores",
        "--no-error-summary",
        str(API),
    ]
    checked = subprocess.run(command, cwd=API.parents[2], capture_output=True, text=True, check=False)

    assert checked.stdout == ""
    assert checked.returncode == 0


def test_enough_errors_are_expected() -> None:
    """The file does expect errors: an empty one would pass too."""
    assert API.read_text().count("# type: ignore[") >= 10
