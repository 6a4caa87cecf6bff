"""Readiness: whether the thinking agents of a program can work here, said before anything starts.

What cannot work is refused; what only may not is a warning in the log. Not responsible for finding out
(`actors/runs/health.py`). Invariant: a program without thinking agents waits for nothing here.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from ..actors.definition import Definition
from ..actors.problem import Problem, refuse
from .config import Settings
from .namespace import connect_bus, over, written_partitions

log = logging.getLogger("actorium.agents")

DOUBTFUL = "agent.doubtful"  # the log event of a problem that one can live with


def check_models(definitions: Sequence[Definition], settings: Settings) -> None:
    """Refuse agents of whose models none can answer, or may be asked. Blocks; outside of any event loop.

    Raises:
        ConfigError: All of them, a line each, with the variable or the price that is missing.
    """
    if not _thinking(definitions):
        return
    from ..actors.models.prices import Prices
    from ..actors.runs import health

    found = asyncio.run(health.check_models(definitions, settings.models))
    _warn(refuse(_together([*found, *health.check_prices(definitions, Prices(settings.prices))])))


async def check_strangers(definitions: Sequence[Definition], settings: Settings, *, embedded: bool) -> None:
    """Refuse agents that give tasks to nobody.

    Args:
        settings: They name the server, which knows agents of other programs.
        embedded: The server is ours, so that nobody else brings agents later: then it is a mistake.

    Raises:
        ConfigError: They do, with the name that was probably meant.
    """
    if not _thinking(definitions):
        return
    from ..actors.runs.strangers import strangers, unknown

    if found := strangers(definitions):
        known = {definition.name for definition in definitions} | await _registered(settings)
        _warn(refuse(unknown(found, known, fatal=embedded)))


async def look_at_addresses(definitions: Sequence[Definition], settings: Settings) -> None:
    """Say which models nobody listens for; beside the start, which waits for no network."""
    if not _thinking(definitions):
        return
    from ..actors.runs.health import check_addresses

    _warn(_together(await check_addresses(definitions, settings.models)))


def _thinking(definitions: Sequence[Definition]) -> bool:
    """Whether an agent has a model: nothing of models is loaded where none has."""
    return any("model" in definition.config for definition in definitions)


async def _registered(settings: Settings) -> set[str]:
    """The names of the agents that the server knows."""
    bus = await connect_bus(settings.nats, "readiness")
    try:
        if await written_partitions(bus) is None:
            return set()
        return {definition.name for definition in await over(bus, settings.partitions).registry.all()}
    finally:
        await bus.close()


def _together(problems: Iterable[Problem]) -> list[Problem]:
    """What several agents have in common, such as a key that is missing, is one problem."""
    agents: dict[tuple[str, bool], list[str]] = {}
    for problem in problems:
        agents.setdefault((problem.says, problem.fatal), []).append(problem.agent)
    return [
        Problem(agent=", ".join(dict.fromkeys(names)), says=says, fatal=fatal)
        for (says, fatal), names in agents.items()
    ]


def _warn(problems: Iterable[Problem]) -> None:
    for problem in problems:
        log.warning(DOUBTFUL, extra={"fields": {"agent": problem.agent, "says": problem.says}})
