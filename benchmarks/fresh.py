"""Fresh: what an import costs in a Python that has imported nothing yet."""

import subprocess
import sys

TIMED = "import time; begun = time.process_time(); {}; print(time.process_time() - begun)"


def import_cpu(code: str, python: str = sys.executable) -> float:
    """CPU seconds of an import, without Python's own start; wall time is the neighbours' too."""
    told = subprocess.run([python, "-c", TIMED.format(code)], capture_output=True, check=True)
    return float(told.stdout)
