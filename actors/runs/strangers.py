"""Strangers: agents that thinking agents of a program give tasks to, and that the program does not have.

Pure. Not responsible for who else is there. Invariant: a stranger is told with the name that was probably
meant.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ...bus.errors import ConfigError
from ..definition import Definition
from ..fields import nearest
from ..problem import Problem
from .agent_tool import agents_in
from .config import KIND, AgentConfig, read_config


class Stranger(msgspec.Struct, frozen=True):
    """An agent that is called, and is not there; `agent` calls it."""

    agent: str
    name: str


def strangers(definitions: Sequence[Definition]) -> list[Stranger]:
    """Agents that a program calls and does not have; of a config that does not read, others tell."""
    names = {definition.name for definition in definitions}
    return [
        Stranger(definition.name, name)
        for definition in definitions
        if definition.kind == KIND
        for name in _called(definition)
        if name not in names
    ]


def called_by(config: AgentConfig) -> list[str]:
    """Whom an agent gives tasks to, each once."""
    return list(dict.fromkeys((*config.delegates, *agents_in(config.tools))))


def unknown(found: Iterable[Stranger], known: Iterable[str], *, fatal: bool) -> list[Problem]:
    """What is said of strangers that are nowhere else either.

    Args:
        known: Every agent there is, the program's among them.
        fatal: They can be nowhere: it is a mistake, and no matter of time.
    """
    names = set(known)
    nobody = "and there is no such agent" if fatal else "and there is no such agent yet"
    return [
        Problem(
            agent=one.agent,
            says=f"it gives tasks to {one.name!r}, {nobody}{nearest(one.name, names)}",
            fatal=fatal,
        )
        for one in found
        if one.name not in names
    ]


def _called(definition: Definition) -> list[str]:
    try:
        return called_by(read_config(definition.name, definition.config))
    except ConfigError:
        return []
