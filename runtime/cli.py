"""The command line as a process: `actorium`.

Not responsible for its commands (`cli_commands.py`). Invariant: whenever Ctrl-C comes, from here on, it is
answered in one line; so nothing is imported before it can be.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

INTERRUPTED = 130  # exit status, as shells have it


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with the status of the command."""
    try:
        from .cli_commands import run

        status = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is the interpreter's own end
    if status == INTERRUPTED:
        _end_now()
    sys.exit(status)


def _end_now() -> None:
    """End by a status: where Ctrl-C met an `exec`, Python itself would end by the signal, though handled."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
