"""Strings that name models, and what a process pays before it uses one."""

import subprocess
import sys

import pytest

from actorium.actors.models.errors import AuthFailed
from actorium.actors.models.port import ModelRequest, user
from actorium.actors.models.profile import GEMINI, PROFILES, Limit
from actorium.actors.models.resolve import Models, resolve
from actorium.actors.models.scripted import say
from actorium.actors.models.settings import ModelSettings, ProviderSettings, Wire
from actorium.bus.errors import ConfigError

ASK = ModelRequest(turns=(user("hi"),))


def script(request: ModelRequest):
    return say("from a module")


@pytest.mark.parametrize("provider", ["anthropic", *(profile.name for profile in PROFILES)])
def test_every_provider_is_there_and_a_model_may_hold_colons(provider):
    assert resolve(f"{provider}:llama3.2:3b", environment={}).name == f"{provider}:llama3.2:3b"


@pytest.mark.parametrize("spec", ["", "gpt-5", "openai:", ":gpt-5"])
def test_a_string_without_provider_and_model_is_refused(spec):
    with pytest.raises(ConfigError, match="provider:model"):
        resolve(spec)


def test_an_unknown_provider_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean anthropic"):
        resolve("antropic:claude")


@pytest.mark.parametrize(
    ("spec", "variable"),
    [
        ("anthropic:m", "ANTHROPIC_API_KEY"),
        ("openai:m", "OPENAI_API_KEY"),
        ("gemini:m", "GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("openrouter:m", "OPENROUTER_API_KEY"),
        ("groq:m", "GROQ_API_KEY"),
        ("mylab:m", "MYLAB_KEY"),
    ],
)
async def test_the_missing_key_is_named(spec, variable):
    lab = ModelSettings(providers={"mylab": ProviderSettings(base_url="http://lab", key_env="MYLAB_KEY")})
    with pytest.raises(AuthFailed, match=f"set {variable}$"):
        await resolve(spec, lab, environment={}).check()


def test_addresses_come_from_settings_then_environment_then_the_provider():
    settings = ModelSettings(
        providers={"openai": ProviderSettings(base_url="http://own/v1", limit=Limit.MAX_TOKENS)}
    )
    environment = {"OPENAI_BASE_URL": "http://env/v1", "OPENAI_API_KEY": "k"}
    assert resolve("openai:m", settings, environment=environment)._url == "http://own/v1"
    assert resolve("openai:m", environment=environment)._url == "http://env/v1"
    assert resolve("gemini:m", environment=environment)._url == GEMINI.base_url
    assert resolve("anthropic:m", environment={"ANTHROPIC_BASE_URL": "http://a"})._url == "http://a"


@pytest.mark.parametrize("wire", list(Wire))
def test_a_provider_of_the_users_own_needs_an_address_that_is_one(wire):
    good = ModelSettings(providers={"mylab": ProviderSettings(base_url="http://lab/v1", wire=wire)})
    assert resolve("mylab:m", good, environment={}).name == "mylab:m"
    for url in ("", "lab:8000"):
        bad = ModelSettings(providers={"mylab": ProviderSettings(base_url=url, wire=wire)})
        with pytest.raises(ConfigError, match="base_url"):
            resolve("mylab:m", bad, environment={})


def test_a_key_in_the_settings_is_not_shown():
    assert "sk-1" not in repr(ModelSettings(providers={"x": ProviderSettings(key="sk-1")}))


async def test_a_script_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_scripts", sys.modules[__name__])
    assert (await resolve("scripted:my_scripts:script").complete(ASK)).text == "from a module"
    for wrong in ("scripted:no.such.module:f", "scripted:my_scripts:nothing"):
        with pytest.raises(ConfigError, match="module:function"):
            resolve(wrong)


async def test_a_process_has_one_model_per_string():
    async with Models(environment={"OPENAI_API_KEY": "k"}) as models:
        assert models.get("openai:m") is models.get("openai:m")
        assert models.chain(["anthropic:a", "openai:m"]).name == "anthropic:a"


def test_naming_a_model_loads_no_library():
    program = """
import sys, actorium
from actorium.actors.models.resolve import Models
from actorium.actors.models.prices import Prices
models = Models(environment={"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
models.chain(["anthropic:a", "openai:m"]), Prices()
print(sorted({"httpx2", "anthropic", "genai_prices", "pydantic"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
