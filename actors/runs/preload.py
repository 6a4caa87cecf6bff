"""Preload: import what thinking agents will need, once, before processes are forked from this one.

An SDK that is first imported by a request costs that request most of a second, and each process its own copy.
"""

from collections.abc import Iterable

from ...bus.errors import ConfigError
from ..definition import Definition
from ..models import anthropic, openai, prices
from .config import KIND, read_config

LOCAL = frozenset({"scripted", "recorded"})  # models without an SDK


def preload(definitions: Iterable[Definition]) -> None:
    """Import the adapters and the price list that these agents use; nothing where none of them thinks."""
    thinking = [definition for definition in definitions if definition.kind == KIND]
    if not thinking:
        return
    from . import thinker  # noqa: F401  # it pulls in the whole loop, which plain actors do not need

    providers = {spec.partition(":")[0] for definition in thinking for spec in _models(definition)}
    if "anthropic" in providers:
        anthropic.preload()
    if providers - LOCAL - {"anthropic"}:
        openai.preload()
    if providers - LOCAL:
        prices.preload()


def _models(definition: Definition) -> tuple[str, ...]:
    try:
        config = read_config(definition.name, definition.config)
    except ConfigError:
        return ()  # whoever runs it says so
    return (config.model, *config.fallback)
