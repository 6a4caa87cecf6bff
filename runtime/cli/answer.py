"""Answer: what a command says and how it ends: data on stdout, everything else on stderr, an exit status.

Not responsible for how data looks as text: each command knows its own. Invariant: with `--json` stdout holds
JSON and nothing else, one value a line, also when the command fails.
"""

import contextlib
import json
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import click

from ...bus.value import Json, JsonObject
from .streams import silence

if TYPE_CHECKING:
    from ...bus.errors import ActoriumError
    from ...bus.task import Result


class Exit(IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    TIMEOUT = 5
    INTERRUPTED = 130


_STATUS = {
    "usage": Exit.USAGE,
    "other_run": Exit.USAGE,
    "unknown_agent": Exit.NOT_FOUND,
    "unknown_kind": Exit.NOT_FOUND,
    "not_found": Exit.NOT_FOUND,
    "denied": Exit.DENIED,
    "run_budget": Exit.DENIED,
    "run_account": Exit.DENIED,
    "run_price": Exit.DENIED,
    "deadline_exceeded": Exit.TIMEOUT,
    "no_owner": Exit.TIMEOUT,
}


def exit_status(code: str) -> Exit:
    """The exit status for the code of an error."""
    return _STATUS.get(code, Exit.FAILED)


def result_status(result: "Result") -> Exit:
    """The exit status for how a task ended: 0 where all of it was done, and a part is not all."""
    if str(result.status) == "success":
        return Exit.OK
    return exit_status(result.failure.code) if result.failure else Exit.FAILED


class Answer:
    """Where one command writes, and what was told about it on the command line.

    Attributes:
        as_json: JSON instead of text.
        url: The NATS to use; empty: NATS_URL, else the embedded server.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.url = ""

    def data(self, value: Json, text: str) -> None:
        """The result, or one element of a stream of them.

        Args:
            value: As JSON: Structs, lists and plain values.
            text: The same for people.
        """
        if self.as_json:
            import msgspec

            text = msgspec.json.encode(value).decode()
        self.text(text)

    def text(self, text: str) -> None:
        """The result as it stands on stdout.

        Raises:
            Exit: Whoever read our output has enough, which is no failure.
            OSError: It could not be written, and nor will what comes after it.
        """
        try:
            sys.stdout.write(f"{text}\n" if text else "")
            sys.stdout.flush()
        except BrokenPipeError as error:
            silence(sys.stdout)
            raise click.exceptions.Exit(Exit.OK) from error
        except OSError as error:
            silence(sys.stdout)
            error.filename = "stdout"
            raise

    def note(self, text: str) -> None:
        """Progress, for people; nobody need read it."""
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except OSError:
            silence(sys.stderr)

    def failed(self, error: "ActoriumError") -> Exit:
        """Say what went wrong; the exit status for it."""
        import msgspec

        failure = error.failure()
        return self._failed(failure.message, msgspec.to_builtins(failure))

    def misused(self, message: str) -> Exit:
        """Say that the command line cannot be understood."""
        return self._failed(message, {"code": "usage", "message": message})

    def refused(self, error: OSError) -> Exit:
        """Say what this machine did not let us do."""
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        return self._failed(message, {"code": "machine", "message": message})

    def _failed(self, message: str, failure: JsonObject) -> Exit:
        self.note(f"error: {message}")
        if self.as_json:
            with contextlib.suppress(click.exceptions.Exit, OSError):  # the status tells it all the same
                self.text(json.dumps({"error": failure}, separators=(",", ":")))
        return exit_status(failure["code"])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def end(status: Exit) -> None:
    """End the command with a status; nothing where all is well."""
    if status is not Exit.OK:
        raise click.exceptions.Exit(status)
