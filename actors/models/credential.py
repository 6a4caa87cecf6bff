"""Credential: what a provider needs before it can be called: a key, and a library.

Pure: it says where a key would be found, and never what it is. Invariant: it finds what `resolve.py` finds.
"""

import os
from collections.abc import Mapping

import msgspec

from . import anthropic
from .profile import Profile
from .resolve import KNOWN
from .settings import DEFAULTS, ModelSettings, ProviderSettings, Wire

SETTINGS = "the settings"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider needs.

    Attributes:
        variables: Those of the environment that may hold its key, best first.
        written: Its key stands in the settings.
        needed: It refuses calls without a key.
        library: What has to be installed to call it.
        extra: The extra of this package that installs that.
    """

    variables: tuple[str, ...]
    written: bool
    needed: bool
    library: str
    extra: str

    def found(self, environment: Mapping[str, str] = os.environ) -> str:
        """Where its key is; empty: nowhere."""
        if self.written:
            return SETTINGS
        return next((name for name in self.variables if environment.get(name, "").strip()), "")

    def missing(self, environment: Mapping[str, str] = os.environ) -> str:
        """The variables of which one has to be set; empty: it can be called."""
        if not self.needed or self.found(environment):
            return ""
        return " or ".join(self.variables) or "its key_env"


def credential(provider: str, settings: ModelSettings = DEFAULTS) -> Credential:
    """What a provider over HTTP needs, as the user has it."""
    own = settings.providers.get(provider, ProviderSettings())
    variables = (own.key_env,) if own.key_env else ()
    if provider == anthropic.PROVIDER or own.wire is Wire.ANTHROPIC:
        return Credential(
            variables=variables or anthropic.KEY_VARIABLES,
            written=bool(own.key),
            needed=True,
            library="anthropic",
            extra="anthropic",
        )
    profile = KNOWN.get(provider) or Profile(name=provider, needs_key=bool(own.key_env))
    return Credential(
        variables=variables or profile.key_variables,
        written=bool(own.key),
        needed=profile.needs_key,
        library="httpx2",
        extra="http",
    )
