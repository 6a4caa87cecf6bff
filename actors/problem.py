"""Problem: something that is wrong with an agent, found before anything starts, and said in one line."""

from collections.abc import Iterable

import msgspec

from ..bus.errors import ConfigError


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with an agent.

    Attributes:
        fatal: It cannot work; else it can, but not in every case.
    """

    agent: str
    says: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"agent {self.agent}: {self.says}"


def refuse(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that can be lived with, each once.

    Raises:
        ConfigError: There are others: all of those, a line each.
    """
    found = list(dict.fromkeys(problems))
    fatal = [str(problem) for problem in found if problem.fatal]
    if fatal:
        raise ConfigError("\n".join(fatal))
    return found
