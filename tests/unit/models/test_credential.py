"""What is said of a provider's key is what the provider's adapter does."""

import pytest

from actorium.actors.models.credential import credential
from actorium.actors.models.errors import AuthFailed, ModelUnreachable
from actorium.actors.models.profile import PROFILES
from actorium.actors.models.resolve import resolve
from actorium.actors.models.settings import ModelSettings, ProviderSettings, Wire

AWAY = "http://127.0.0.1:1"
OWN = {
    "lab": ProviderSettings(base_url=AWAY),
    "keyed": ProviderSettings(base_url=AWAY, key_env="KEYED"),
    "written": ProviderSettings(base_url=AWAY, key="k"),
    "claudish": ProviderSettings(base_url=AWAY, wire=Wire.ANTHROPIC),
    "claudish-keyed": ProviderSettings(base_url=AWAY, wire=Wire.ANTHROPIC, key_env="KEYED"),
}
NAMES = ["anthropic", *(profile.name for profile in PROFILES), *OWN]
SETTINGS = ModelSettings(
    providers={name: ProviderSettings(base_url=AWAY) for name in NAMES if name not in OWN} | OWN
)


async def refused(name: str, environment: dict[str, str]) -> bool:
    """Whether the adapter itself says that there is no key. Nothing listens at the address."""
    model = resolve(f"{name}:m", SETTINGS, environment=environment)
    try:
        await model.check()
    except AuthFailed:
        return True
    except ModelUnreachable:
        return False
    finally:
        await model.close()
    return False


@pytest.mark.parametrize("name", NAMES)
async def test_a_key_is_missing_where_the_adapter_says_so(name):
    needs = credential(name, SETTINGS)
    assert bool(needs.missing({})) is await refused(name, {})
    for variable in needs.variables:
        assert needs.found({variable: "k"}) == (variable if name != "written" else "the settings")
        assert not await refused(name, {variable: "k"})


def test_an_empty_variable_holds_no_key():
    assert credential("openai").missing({"OPENAI_API_KEY": " \n"}) == "OPENAI_API_KEY"
    assert credential("gemini").missing({}) == "GEMINI_API_KEY or GOOGLE_API_KEY"
