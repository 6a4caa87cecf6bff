"""ModelSettings: the providers of models as the user has them.

Apart from `resolve.py`, so that reading settings loads no adapter. Invariant: no key is in any repr.
"""

from enum import StrEnum

import msgspec

from .port import JsonObject
from .profile import Limit


class Wire(StrEnum):
    """What an address of the user's own speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class ProviderSettings(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A provider as the user has it; what is empty is as the provider has it.

    Attributes:
        key: Better not here, but in the environment.
        key_env: The variable that holds the key.
        extra: Fields for the body of every call, such as `temperature`.
    """

    base_url: str = ""
    key: str = ""
    key_env: str = ""
    wire: Wire = Wire.OPENAI
    limit: Limit | None = None
    extra: JsonObject = {}

    def __repr__(self) -> str:
        key = "***" if self.key else ""
        return f"ProviderSettings(base_url={self.base_url!r}, key={key!r}, wire={self.wire.value!r})"


class ModelSettings(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Providers by name: changes to those we know, and new ones, which need a `base_url`."""

    providers: dict[str, ProviderSettings] = {}


DEFAULTS = ModelSettings()
