"""Settings: from a file, the environment and flags; what is wrong is found before anything starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from actorium.actors.models.prices import Price
from actorium.actors.models.settings import ModelSettings, ProviderSettings
from actorium.bus.errors import ConfigError
from actorium.runtime.config import NatsSettings, Settings, load_settings


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "node.toml"
        path.write_text(text)
        return path

    return write


def test_without_anything_the_defaults_hold() -> None:
    """An empty environment is a complete configuration."""
    assert load_settings(environment={}) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(file) -> None:
    """Each later source replaces single values, not tables."""
    path = file(
        "[actorium]\nworkers = 1\nlease = 7\ndrain = 1\nintensity = 5\n"
        '[actorium.nats]\nurl = "nats://file"\ntoken = "t"\n'
    )
    environment = {"ACTORIUM_LEASE": "8", "ACTORIUM_DRAIN": "2", "NATS_URL": "nats://env"}

    settings = load_settings(path, environment, {"drain": 3.0, "workers": None, "intensity": 6})

    assert (settings.workers, settings.lease, settings.drain, settings.intensity) == (1, 8.0, 3.0, 6)
    assert settings.nats == NatsSettings(url="nats://env", token="t")


def test_a_file_without_the_table_is_the_table(file) -> None:
    """A file of settings alone needs no `[actorium]`; beside `[[agent]]` it does."""
    assert load_settings(file("workers = 3\n"), {}).workers == 3
    assert load_settings(file('[[agent]]\nname = "a"\nkind = "m:A"\n'), {}) == Settings()


def test_the_environment_reaches_into_tables() -> None:
    """Two underscores are a dot; words for booleans and numbers are read."""
    settings = load_settings(environment={"ACTORIUM_NATS__REPLICAS": "3", "ACTORIUM_LOG_JSON": "true"})

    assert settings.nats.replicas == 3
    assert settings.log_json is True


def test_variables_of_others_do_not_count() -> None:
    """What only tests and the server's path use is no setting."""
    environment = {"ACTORIUM_TEST_NATS": "/x", "ACTORIUM_NATS_SERVER": "/y", "PATH": "/bin", "NATS_URL": ""}

    assert load_settings(environment=environment) == Settings()


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ("[actorium]\nworker = 1\n", {}, r"unknown key 'worker', did you mean 'workers'\?"),
        ("[actorium.nats]\nulr = 'x'\n", {}, r"unknown key 'nats\.ulr', did you mean 'url'\?"),
        ("[actorium]\nxyz = 1\n", {}, "unknown key 'xyz'; known are block_limit"),
        ("worker = 1\n", {}, r"unknown key 'worker', did you mean 'workers'\?"),
        ("", {"ACTORIUM_LEASES": "7"}, r"unknown key 'leases', did you mean 'lease'\?"),
        ("", {"ACTORIUM_WORKERS": "many"}, r"\$\.workers"),
        ("", {"ACTORIUM_WORKERS": "-1"}, "workers must be 0 or more"),
        ("", {"ACTORIUM_LEASE": "0.5"}, "lease must be 1 to 300 seconds"),
        ("", {"ACTORIUM_BLOCK_LIMIT": "0"}, "block_limit must be above 0"),
        ("block_limit = nan\n", {}, "block_limit must be a finite number"),
        ("", {"ACTORIUM_BLOCK_LIMIT": "inf"}, "block_limit must be a finite number"),
        ("", {"ACTORIUM_DRAIN": "nan"}, "drain must be a finite number"),
        ("lease = -inf\n", {}, "lease must be a finite number"),
        ("[prices.'a:b']\ninput = 1\noutput = nan\n", {}, r"prices\.a:b\.output must be a finite number"),
        ("[prices.'a:b']\ninput = 1\noutput = 1\ncache_read = inf\n", {}, r"prices\.a:b\.cache_read must be"),
        ("", {"ACTORIUM_INTENSITY": "-1"}, "intensity must be 0 or more"),
        ("intensity = 1.5\n", {}, r"\$\.intensity"),
        ("intensities = 1\n", {}, r"unknown key 'intensities', did you mean 'intensity'\?"),
        ("[nats]\nreplicas = 2\n", {}, "nats.replicas must be 1, 3 or 5, no 2"),
        ("", {"ACTORIUM_NATS__REPLICAS": "0"}, "nats.replicas must be 1, 3 or 5, no 0"),
        ("", {"ACTORIUM_LOG_LEVEL": "loud"}, "log_level must be"),
        ("[actorium]\nnats = 5\n", {}, "nats"),
        ("[actorium]\nnats = 5\n", {"NATS_URL": "nats://x"}, "nats"),
        ("[actorium]\nnode = 'a'\n", {"ACTORIUM_NODE__X": "b"}, "node"),
        ("", {"ACTORIUM_NODE__X": "b"}, "node"),
        ("", {"ACTORIUM_": "b"}, "unknown key ''"),
        ("", {"ACTORIUM_NATS__": "b"}, "unknown key 'nats.'"),
        ("actorium = 5\n", {}, "actorium"),
        (
            "[actorium.models]\nprovider = 5\n",
            {},
            r"unknown key 'models\.provider', did you mean 'providers'\?",
        ),
        (
            "[actorium.models.providers.lab]\nbase_ulr = 'x'\n",
            {},
            r"models\.providers\.lab: unknown key 'base_ulr', did you mean 'base_url'\?",
        ),
        ("[actorium.models.providers.lab]\nwire = 'smoke'\n", {}, r"models\.providers\.lab: .*\$\.wire"),
        ("[actorium.prices.'a:b']\ninput = 1\n", {}, r"prices\.a:b: .*`output`"),
        (
            "[actorium.prices.'gpt-5']\ninput = 1\noutput = 1\n",
            {},
            "'gpt-5' is no model: write provider:model",
        ),
        ("[actorium.prices.'a:b']\ninput = -1\noutput = 1\n", {}, "'a:b' must cost 0 or more"),
        ("", {"ACTORIUM_PRICES": "{'a:b'"}, "ACTORIUM_PRICES is no JSON object"),
        ("", {"ACTORIUM_MODELS__PROVIDERS__LAB": "sk-1"}, r"models\.providers\.lab must be a table, no str"),
        ("[actorium\n", {}, "is no TOML"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_it(file, text, environment, told) -> None:
    """The key, its path and the nearest known name; or the value and what it must be."""
    with pytest.raises(ConfigError, match=told) as refused:
        load_settings(file(text), environment)

    assert "\n" not in refused.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path and the reason of the system."""
    with pytest.raises(ConfigError, match=r"cannot read .*gone\.toml: No such file"):
        load_settings(tmp_path / "gone.toml", {})


def test_bytes_that_are_no_text_are_no_settings(tmp_path: Path) -> None:
    """A binary file is refused like bad TOML."""
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_settings(tmp_path / "x.toml", {})


def test_secrets_are_not_shown() -> None:
    """A settings value in a log shows the url and nothing else of the connection."""
    shown = repr(Settings(nats=NatsSettings(url="nats://x", token="s3cret", password="s3cret")))

    assert "s3cret" not in shown
    assert "nats://x" in shown


def test_models_and_prices_stand_beside_the_rest(file) -> None:
    """Providers by name, prices by `provider:model`, whatever dots stand in it."""
    text = """
[actorium.models.providers.lab]
base_url = "http://lab/v1"
key_env = "LAB_KEY"
[actorium.prices."openai:gpt-5.1"]
input = 1.25
output = 10
"""
    settings = load_settings(file(text), {})

    lab = ProviderSettings(base_url="http://lab/v1", key_env="LAB_KEY")
    assert settings.models == ModelSettings(providers={"lab": lab})
    assert settings.prices == {"openai:gpt-5.1": Price(input=1.25, output=10.0)}


def test_the_environment_changes_single_values_of_models_and_prices(file) -> None:
    """By name, or as a JSON object for names that no variable can have; what is beside them stays."""
    path = file(
        '[actorium.models.providers.lab]\nbase_url = "http://file"\nkey_env = "LAB_KEY"\n'
        '[actorium.prices."lab:m-1.5"]\ninput = 1\noutput = 2\n'
    )
    environment = {
        "ACTORIUM_MODELS__PROVIDERS__LAB__BASE_URL": "http://env",
        "ACTORIUM_PRICES": '{"lab:m-1.5": {"output": 3}, "*": {"input": 0, "output": 0}}',
    }

    settings = load_settings(path, environment)

    assert settings.models.providers["lab"] == ProviderSettings(base_url="http://env", key_env="LAB_KEY")
    assert settings.prices["lab:m-1.5"] == Price(input=1.0, output=3.0)
    assert list(settings.prices) == ["lab:m-1.5", "*"]


def test_one_variable_of_a_table_wins_over_the_variable_of_the_whole() -> None:
    """In whatever order the environment has them."""
    single = {"ACTORIUM_NATS__TOKEN": "single"}
    whole = {"ACTORIUM_NATS": '{"token": "whole", "user": "bob"}'}

    assert load_settings(environment=single | whole).nats == NatsSettings(token="single", user="bob")
    assert load_settings(environment=whole | single).nats == NatsSettings(token="single", user="bob")


def test_keys_of_models_are_not_shown() -> None:
    """Neither in a settings value, nor in the error of a table that is none."""
    own = ModelSettings(providers={"openai": ProviderSettings(key="sk-secret")})
    assert "sk-secret" not in repr(Settings(models=own))

    with pytest.raises(ConfigError) as refused:
        load_settings(environment={"ACTORIUM_MODELS__PROVIDERS__OPENAI": "sk-secret"})
    assert "sk-secret" not in refused.value.message


def test_a_password_in_the_url_is_not_shown() -> None:
    """The rest of the url is."""
    shown = repr(NatsSettings(url="nats://bob:s3cret@host:4222"))

    assert "s3cret" not in shown
    assert "host:4222" in shown


def test_settings_load_no_library_of_a_provider() -> None:
    """A command that never asks a model does not pay for one."""
    program = "import sys, actorium.runtime.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert not {"httpx2", "anthropic", "genai_prices"} & set(done.stdout.split())


def test_a_node_has_a_name_that_can_stand_in_a_subject() -> None:
    """Whatever the machine is called."""
    assert Settings(node="My Laptop.local").node_name == "my-laptop-local"
    assert Settings(node="Ä" * 80).node_name.isascii()
