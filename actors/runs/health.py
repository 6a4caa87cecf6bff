"""Health: what keeps thinking agents from working, found before anything starts, in one line each.

Not responsible for showing it. Invariant: nothing is sent to a provider, unless a probe is asked for; no line
holds a key.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import Final

import msgspec

from ...bus.errors import ConfigError
from ..definition import Definition
from ..models import recorded, scripted
from ..models.credential import credential
from ..models.errors import ModelError
from ..models.port import Model, Usage
from ..models.prices import Prices, Unknown
from ..models.reach import out_of_reach
from ..models.resolve import KNOWN, OTHERS, Models
from ..models.settings import DEFAULTS, ModelSettings
from ..problem import Problem
from .agent_tool import PREFIX, agents_in
from .config import KIND, AgentConfig, read_config
from .delegation import DELEGATE
from .strangers import called_by
from .tool import find_tool

KEYLESS: Final = 'or use model = "scripted:module:function"'


class Grade(StrEnum):
    """How much is wrong with a model."""

    WRONG = "wrong"  # the string names nothing
    DEAD = "dead"  # it cannot answer
    DOUBTFUL = "doubtful"  # it did not answer now


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a model."""

    grade: Grade
    says: str


def check_agents(definitions: Sequence[Definition], models: ModelSettings | None = DEFAULTS) -> list[Problem]:
    """What is wrong with the thinking agents among these: configs, tools, models by name, and whom they call.

    Args:
        definitions: Those of a program; an agent elsewhere may be called, but is worth a word.
        models: None: the settings are not known, and a provider that is strange to us may stand in them.
    """
    names = {definition.name for definition in definitions}
    found: list[Problem] = []
    for definition in definitions:
        if definition.kind != KIND:
            continue
        agent = definition.name
        try:
            config = read_config(agent, definition.config)
        except ConfigError as error:
            found.append(Problem(agent=agent, says=error.message.removeprefix(f"agent {agent}: ")))
            continue
        said = [*_wrong_tools(config), *_wrong_models(config, models)]
        found += [Problem(agent=agent, says=says) for says in said]
        found += [
            Problem(
                agent=agent, says=f"it gives tasks to {name}, which this program does not have", fatal=False
            )
            for name in called_by(config)
            if name not in names
        ]
    return found


async def check_models(
    definitions: Sequence[Definition],
    models: ModelSettings = DEFAULTS,
    *,
    environment: Mapping[str, str] = os.environ,
    probe: bool = False,
) -> list[Problem]:
    """Whether the models of the thinking agents can answer: keys and libraries are there.

    An agent of whose models none can answer is a fatal problem; one that only lacks some is none.

    Args:
        probe: Ask the providers too. Costs no tokens.
    """
    chains = {d.name: _chain(d) for d in definitions if d.kind == KIND}
    specs = list(dict.fromkeys(spec for chain in chains.values() for spec in chain))
    async with Models(models, environment=environment) as opened:
        told = await asyncio.gather(*(_fault(spec, opened, models, environment, probe) for spec in specs))
    faults = {spec: fault for spec, fault in zip(specs, told, strict=True) if fault is not None}
    return [problem for agent, chain in chains.items() for problem in judge(agent, chain, faults)]


def check_prices(definitions: Sequence[Definition], prices: Prices) -> list[Problem]:
    """Agents whose limit in usd cannot be kept: a model of theirs has no price, so no call would be made."""
    one = Usage(input=1, output=1)
    return [
        Problem(agent=definition.name, says=f"its limit of {usd:g} usd cannot be kept: {cost.reason}")
        for definition in definitions
        if definition.kind == KIND and (usd := _usd(definition)) is not None
        for cost in (prices.cost(spec, one) for spec in _chain(definition))
        if isinstance(cost, Unknown)
    ]


async def check_addresses(
    definitions: Sequence[Definition],
    models: ModelSettings = DEFAULTS,
    *,
    environment: Mapping[str, str] = os.environ,
) -> list[Problem]:
    """Models of thinking agents at addresses of the user's own that nobody listens at now; none is fatal."""
    chains = {d.name: _chain(d) for d in definitions if d.kind == KIND}
    specs = list(dict.fromkeys(spec for chain in chains.values() for spec in chain))
    told = await asyncio.gather(*(out_of_reach(spec, models, environment) for spec in specs))
    faults = {spec: Fault(Grade.DOUBTFUL, says) for spec, says in zip(specs, told, strict=True) if says}
    return [problem for agent, chain in chains.items() for problem in judge(agent, chain, faults)]


def judge(agent: str, chain: Sequence[str], faults: Mapping[str, Fault]) -> list[Problem]:
    """What an agent's faulty models mean for it.

    Args:
        chain: Its model and the fallbacks.
    """
    none_left = all(spec in faults and faults[spec].grade is not Grade.DOUBTFUL for spec in chain)
    return [
        Problem(agent=agent, says=fault.says, fatal=none_left or fault.grade is Grade.WRONG)
        for fault in (faults[spec] for spec in chain if spec in faults)
    ]


def _chain(definition: Definition) -> tuple[str, ...]:
    """The models of an agent; of one whose config does not read, `check_agents` says so."""
    try:
        return read_config(definition.name, definition.config).models
    except ConfigError:
        return ()


def _usd(definition: Definition) -> float | None:
    try:
        return read_config(definition.name, definition.config).budget.usd
    except ConfigError:
        return None


async def _fault(
    spec: str, opened: Models, models: ModelSettings, environment: Mapping[str, str], probe: bool
) -> Fault | None:
    """What is wrong with a model, if anything."""
    model = _open(spec, opened)
    if isinstance(model, str):
        return Fault(Grade.WRONG, model)
    says = _lacks(spec, models, environment)
    if says:
        return Fault(Grade.DEAD, says)
    try:
        if probe:
            await model.check()
    except ModelError as error:
        return Fault(Grade.DOUBTFUL if error.retryable else Grade.DEAD, error.message)
    return None


def _open(spec: str, opened: Models) -> Model | str:
    """The model that a string names, or what is wrong with the string."""
    try:
        return opened.get(spec)
    except ConfigError as error:
        return error.message
    except Exception as error:  # noqa: BLE001  # a scripted model is a program's module, which may raise anything
        return f"model {spec} cannot be loaded: {type(error).__name__}: {error}"


def _lacks(spec: str, models: ModelSettings, environment: Mapping[str, str]) -> str:
    """What a model needs that is not there; empty: all is there."""
    provider = spec.partition(":")[0]
    if provider in (scripted.PROVIDER, recorded.PROVIDER):
        return ""
    needs = credential(provider, models)
    variables = needs.missing(environment)
    if variables:
        return f"{spec} has no key: set {variables} ({KEYLESS})"
    if find_spec(needs.library) is None:
        return f"{spec} needs {needs.library}, which is not there: pip install 'actorium[{needs.extra}]'"
    return ""


def tools_of(definition: Definition) -> list[str]:
    """The names of the tools that a definition's model may call; of what cannot be loaded, none."""
    try:
        return _named_tools(read_config(definition.name, definition.config))[0]
    except ConfigError:
        return []


def _named_tools(config: AgentConfig) -> tuple[list[str], list[str]]:
    """The names of an agent's tools, and what is wrong with the others."""
    names, wrong = list(agents_in(config.tools)), []
    for path in config.tools:
        if path.startswith(PREFIX):
            continue
        try:
            names.append(find_tool(path).spec.name)
        except ConfigError as error:
            wrong.append(error.message)
        except Exception as error:  # noqa: BLE001  # a program's module may raise anything while it is imported
            wrong.append(f"tool {path} cannot be loaded: {type(error).__name__}: {error}")
    names += [DELEGATE] if config.delegates else []
    return names, wrong


def _wrong_tools(config: AgentConfig) -> list[str]:
    """What is wrong with an agent's tools."""
    names, wrong = _named_tools(config)
    twice = sorted({name for name in names if names.count(name) > 1})
    return [*wrong, *(f"two of its tools are called {name}: rename one, @tool(name=...)" for name in twice)]


def _wrong_models(config: AgentConfig, models: ModelSettings | None) -> list[str]:
    """What is wrong with the names of an agent's models."""
    opened = Models(models or DEFAULTS)
    told = [_open(spec, opened) for spec in config.models if models is not None or _is_ours(spec)]
    return [says for says in told if isinstance(says, str)]


def _is_ours(spec: str) -> bool:
    """Whether no settings are needed to know the provider, or that there is none."""
    provider, _, model = spec.partition(":")
    return not model or provider in (*KNOWN, *OTHERS)
