"""What the doctor says of models: which providers can be called, and what is missing."""

import pytest

from actorium.actors.models.prices import Price
from actorium.actors.models.settings import ModelSettings, ProviderSettings
from actorium.runtime.config import Settings
from actorium.runtime.doctor import Level
from actorium.runtime.doctor_models import look_at_models

NONE = Settings()


def looked(settings: Settings = NONE, **environment: str) -> dict[str, tuple[Level, str, str]]:
    return {one.what: (one.level, one.says, one.do) for one in look_at_models(settings, environment)}


@pytest.fixture
def bare(monkeypatch) -> None:
    monkeypatch.setattr("actorium.runtime.doctor_models.find_spec", lambda name: None)


def test_without_any_key_it_says_what_can_be_done_all_the_same() -> None:
    """It is a note: agents can think with scripts."""
    level, says, do = looked()["models"]
    assert (level, "scripted" in says, "ANTHROPIC_API_KEY" in do) == (Level.NOTE, True, True)


def test_a_provider_with_a_key_is_there_and_the_key_is_not_said() -> None:
    """Only where it is found; providers that nobody set up are not spoken of."""
    found = looked(OPENAI_API_KEY="sk-secret")
    assert found["model openai"] == (Level.OK, "has a key: OPENAI_API_KEY", "")
    assert "sk-secret" not in repr(found)
    assert "model groq" not in found


def test_providers_of_the_settings_are_looked_at() -> None:
    """With a key there, without one, and without the need of one."""
    own = {
        "written": ProviderSettings(base_url="http://a", key="sk-secret"),
        "keyed": ProviderSettings(base_url="http://b", key_env="KEYED"),
        "open": ProviderSettings(base_url="http://c"),
    }
    found = looked(Settings(models=ModelSettings(providers=own)))
    assert found["model written"] == (Level.OK, "has a key: the settings", "")
    assert found["model keyed"] == (Level.NOTE, "has no key", "set KEYED")
    assert found["model open"] == (Level.OK, "needs no key", "")


def test_a_library_that_is_missing_is_named_with_its_extra(bare) -> None:
    """Of a provider, and of prices."""
    found = looked(ANTHROPIC_API_KEY="k")
    assert found["model anthropic"][2] == "pip install 'actorium[anthropic]'"
    assert found["prices"] == (
        Level.NOTE,
        "none are known, so no budget in usd can be kept",
        "pip install 'actorium[prices]'",
    )


def test_prices_of_the_users_own_count() -> None:
    """They come before the list."""
    own = Settings(prices={"a:b": Price(input=1.0, output=1.0)})
    assert looked(own)["prices"][:2] == (Level.OK, "1 of your own, then the list")
