"""The command line as a process: `actorium`.

Not responsible for its commands (`commands.py`). Invariant: whenever Ctrl-C comes, from here on, it is
answered in one line; so nothing is imported before it can be.
"""

import sys

TYPE_CHECKING = False  # `typing` is imported by nothing on the way here

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130  # exit status, as shells have it


def main(argv: "Sequence[str] | None" = None) -> None:
    """Run the command line and end the process with the status of the command."""
    try:
        import signal

        from .commands import run
        from .streams import complete

        complete()
        status = run(sys.argv[1:] if argv is None else argv)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is the interpreter's own end
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status = INTERRUPTED
    if status == INTERRUPTED:
        _end_now()
    sys.exit(status)


def _end_now() -> None:
    """End by a status: where Ctrl-C met an `exec`, Python itself would end by the signal, though handled."""
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more has nothing left to end
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever read it has gone
            continue
    os._exit(INTERRUPTED)
