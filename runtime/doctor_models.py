"""Doctor for models: which providers can be called from here, and what is missing for the others.

Nothing is called. Not responsible for the agents of a program: see `actors/runs/health.py`. Invariant: it
says where a key is, never what it is.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec

from ..actors.models import anthropic
from ..actors.models.credential import Credential, credential
from ..actors.models.resolve import KNOWN
from .config import Settings
from .doctor import Finding, Level

PRICES = "genai_prices"  # the library of prices


def look_at_models(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """A finding for each provider that is set up, and one for prices."""
    own = settings.models.providers
    needs = {name: credential(name, settings.models) for name in (anthropic.PROVIDER, *KNOWN, *own)}
    found = [
        _provider(name, need, environment)
        for name, need in needs.items()
        if name in own or need.found(environment)
    ]
    return [*(found or [_nothing()]), _prices(settings)]


def _provider(name: str, needs: Credential, environment: Mapping[str, str]) -> Finding:
    missing, where = needs.missing(environment), needs.found(environment)
    if missing:
        return Finding(f"model {name}", Level.NOTE, "has no key", f"set {missing}")
    says = f"has a key: {where}" if where else "needs no key"
    if find_spec(needs.library) is None:
        do = f"pip install 'actorium[{needs.extra}]'"
        return Finding(f"model {name}", Level.NOTE, f"{says}, but {needs.library} is not installed", do)
    return Finding(f"model {name}", Level.OK, says)


def _nothing() -> Finding:
    says = "no provider has a key: agents can think with scripted, ollama and vllm models"
    return Finding("models", Level.NOTE, says, "set ANTHROPIC_API_KEY or OPENAI_API_KEY, for instance")


def _prices(settings: Settings) -> Finding:
    """Whether money can be counted."""
    own = len(settings.prices)
    listed = find_spec(PRICES) is not None
    says = f"{own} of your own" if own else ""
    if listed:
        return Finding("prices", Level.OK, f"{says}, then the list" if says else "by the list")
    told = f"{says}, and no list" if says else "none are known, so no budget in usd can be kept"
    return Finding("prices", Level.NOTE, told, "pip install 'actorium[prices]'")
