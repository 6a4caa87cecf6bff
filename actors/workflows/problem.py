"""Problem: something in a workflow that cannot work, found before anything starts."""

from collections.abc import Sequence

import msgspec

from ...bus.errors import ConfigError
from .expressions.template import Place


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to mend.

    Attributes:
        where: Of what it is said: `steps.fetch.inputs.url`.
        message: What is wrong, and what to do.
        place: Keys and indices that lead there in the file.
        line: Line of the file, from 1; None: it comes from no file.
    """

    where: str
    message: str
    place: Place = ()
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        before = [f"{self.file}{line}"] if self.file else []
        return ": ".join([*before, *filter(None, [self.where]), self.message])


class InvalidWorkflow(ConfigError):
    """Raised for a workflow that cannot work; nothing of it ran.

    Attributes:
        problems: All that was found, not only the first.
    """

    code = "invalid_workflow"

    def __init__(self, message: str, **fields: str) -> None:
        super().__init__(message, **fields)
        self.problems: tuple[Problem, ...] = ()


def invalid(workflow: str, problems: Sequence[Problem]) -> InvalidWorkflow:
    """The error that tells all problems, one a line."""
    told = "\n".join(f"  {problem}" for problem in problems)
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    error = InvalidWorkflow(f"workflow {workflow} has {count}:\n{told}", workflow=workflow)
    error.problems = tuple(problems)
    return error
