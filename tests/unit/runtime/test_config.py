"""Settings: from a file, the environment and flags; what is wrong is found before anything starts."""

from pathlib import Path

import pytest

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
        '[actorium]\nworkers = 1\nlease = 7\ndrain = 1\n[actorium.nats]\nurl = "nats://file"\ntoken = "t"\n'
    )
    environment = {"ACTORIUM_LEASE": "8", "ACTORIUM_DRAIN": "2", "NATS_URL": "nats://env"}

    settings = load_settings(path, environment, {"drain": 3.0, "workers": None})

    assert (settings.workers, settings.lease, settings.drain) == (1, 8.0, 3.0)
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
        ("", {"ACTORIUM_LOG_LEVEL": "loud"}, "log_level must be"),
        ("[actorium]\nnats = 5\n", {}, "nats"),
        ("[actorium]\nnats = 5\n", {"NATS_URL": "nats://x"}, "nats"),
        ("[actorium]\nnode = 'a'\n", {"ACTORIUM_NODE__X": "b"}, "node"),
        ("", {"ACTORIUM_NODE__X": "b"}, "node"),
        ("", {"ACTORIUM_": "b"}, "unknown key ''"),
        ("", {"ACTORIUM_NATS__": "b"}, "unknown key 'nats.'"),
        ("actorium = 5\n", {}, "actorium"),
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


def test_a_node_has_a_name_that_can_stand_in_a_subject() -> None:
    """Whatever the machine is called."""
    assert Settings(node="My Laptop.local").node_name == "my-laptop-local"
    assert Settings(node="Ä" * 80).node_name.isascii()
