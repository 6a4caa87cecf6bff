"""From `provider:model` to a model: `anthropic:claude-opus-5-5`, `ollama:llama3.2:3b`, `recorded:talk.json`.

Invariant: nothing is loaded or connected here, and a key that is missing is told by `check` and by calls.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Self

import msgspec

from ...bus.errors import ConfigError
from . import anthropic, recorded, scripted
from .anthropic import AnthropicModel
from .chain import Fallback, Retry
from .openai import OpenAIModel
from .port import Model
from .profile import PROFILES, Profile
from .recorded import RecordedModel
from .scripted import ScriptedModel
from .settings import DEFAULTS, ModelSettings, ProviderSettings, Wire

KNOWN: Mapping[str, Profile] = {profile.name: profile for profile in PROFILES}
OTHERS = (anthropic.PROVIDER, scripted.PROVIDER, recorded.PROVIDER)


def resolve(
    spec: str, settings: ModelSettings = DEFAULTS, *, environment: Mapping[str, str] = os.environ
) -> Model:
    """The model that a string names. Its owner closes it.

    Args:
        spec: `provider:model`; `scripted:module:function`; `recorded:file`.

    Raises:
        ConfigError: There is no such provider, or the string names no model.
    """
    provider, _, model = spec.partition(":")
    if not provider or not model:
        raise ConfigError(f"model {spec!r}: write provider:model, such as anthropic:claude-opus-5-5")
    if provider == scripted.PROVIDER:
        return _scripted(model)
    if provider == recorded.PROVIDER:
        return RecordedModel(Path(model))
    own = settings.providers.get(provider, ProviderSettings())
    if provider == anthropic.PROVIDER or own.wire is Wire.ANTHROPIC:
        return _anthropic(provider, model, own, environment)
    profile = _profile(provider, own, settings)
    url = own_address(provider, settings, environment) or profile.base_url
    _check_url(provider, url)
    key = own.key or _first(environment, profile.key_variables)
    return OpenAIModel(model, profile, base_url=url, key=key, extra=own.extra)


def own_address(provider: str, settings: ModelSettings, environment: Mapping[str, str]) -> str:
    """Where a provider is that the user put somewhere, or that runs here; empty: where all have it.

    Raises:
        ConfigError: There is no such provider.
    """
    own = settings.providers.get(provider, ProviderSettings())
    if provider in OTHERS:
        return (
            _set_address(own, anthropic.URL_VARIABLE, environment) if provider == anthropic.PROVIDER else ""
        )
    profile = _profile(provider, own, settings)
    return _set_address(own, profile.url_variable, environment) or (
        "" if profile.needs_key else profile.base_url
    )


def _set_address(own: ProviderSettings, variable: str, environment: Mapping[str, str]) -> str:
    return own.base_url or environment.get(variable, "")


def _anthropic(provider: str, model: str, own: ProviderSettings, environment: Mapping[str, str]) -> Model:
    variables = (own.key_env,) if own.key_env else anthropic.KEY_VARIABLES
    url = _set_address(own, anthropic.URL_VARIABLE if provider == anthropic.PROVIDER else "", environment)
    if provider == anthropic.PROVIDER:
        url = url or anthropic.BASE_URL
    _check_url(provider, url)
    key = own.key or _first(environment, variables)
    return AnthropicModel(
        model, key=key, base_url=url, extra=own.extra, provider=provider, key_variables=variables
    )


def _profile(provider: str, own: ProviderSettings, settings: ModelSettings) -> Profile:
    """The profile of a provider as the user has it."""
    known = KNOWN.get(provider)
    if known is None and provider not in settings.providers:
        names = [*KNOWN, *OTHERS, *settings.providers]
        near = get_close_matches(provider, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"no model provider {provider!r}: {hint} Others need a base_url in the settings.")
    profile = known or Profile(name=provider, needs_key=bool(own.key_env))
    if own.key_env:
        profile = msgspec.structs.replace(profile, key_variables=(own.key_env,))
    if own.limit is not None:
        profile = msgspec.structs.replace(profile, limit=own.limit)
    return profile


def _check_url(provider: str, url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"provider {provider}: base_url {url!r} must begin with http:// or https://")


def _first(environment: Mapping[str, str], variables: Sequence[str]) -> str:
    """The first of the variables that says something; a line end behind a key is a common slip."""
    return next((said for name in variables if (said := environment.get(name, "").strip())), "")


def _scripted(where: str) -> Model:
    module, _, function = where.partition(":")
    try:
        script = getattr(import_module(module), function or "script")
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model scripted:{where}: no function {where} (module:function): {error}"
        ) from error
    return ScriptedModel(script, model=where)


class Models:
    """The models of a process: one per string, so that all who use it share its connections.

    Use it as an async context manager, or close it.
    """

    def __init__(
        self, settings: ModelSettings = DEFAULTS, *, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._models: dict[str, Model] = {}

    def get(self, spec: str) -> Model:
        """The model that a string names; see `resolve`. It is closed with all others."""
        if spec not in self._models:
            self._models[spec] = resolve(spec, self._settings, environment=self._environment)
        return self._models[spec]

    def chain(self, specs: Sequence[str], *, retry: Retry | None = None) -> Fallback:
        """Models tried in turn."""
        return Fallback([self.get(spec) for spec in specs], retry=retry)

    async def close(self) -> None:
        """Close all."""
        async with AsyncExitStack() as stack:
            for model in self._models.values():
                stack.push_async_callback(model.close)
            self._models = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
