"""Path: how `actorium` is called from where the user stands, for commands that are shown to be copied."""

import sys
from pathlib import Path


def called(executable: str = sys.executable) -> str:
    """`actorium` where the shell finds it, else the path beside the Python that runs; in a checkout short."""
    import shutil

    beside, here = Path(executable).with_name("actorium"), Path.cwd()
    if shutil.which("actorium") or not beside.exists():
        return "actorium"
    below = beside.is_relative_to(here) and beside.parent != here
    return str(beside.relative_to(here) if below else beside)
