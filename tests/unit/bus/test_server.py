import pytest

from actorium.bus.connection import Credentials, parse_version, redacted
from actorium.bus.errors import ConfigError, UnsupportedServer
from actorium.bus.server import check_version, features, nats_mappings
from actorium.bus.streams import StreamSettings, definitions, differences


@pytest.mark.parametrize("version", [(2, 9, 9), (2, 8, 4), (1, 0, 0), (2, 10, 20), (2, 10, 22)])
def test_servers_that_lose_data_are_refused(version):
    """A server below the floor or with the data loss of #6888 is refused, with what to install."""
    with pytest.raises(UnsupportedServer, match="install"):
        check_version(version)


@pytest.mark.parametrize("version", [(2, 9, 10), (2, 10, 19), (2, 10, 23), (2, 15, 0)])
def test_good_servers_are_accepted(version):
    """The floor and the releases around the bad ones are accepted."""
    check_version(version)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.10.27", (2, 10, 27)),
        ("2.12.0-RC.1", (2, 12, 0)),
        ("2.11", (2, 11, 0)),
        ("", (0, 0, 0)),
        ("x.y.z", (0, 0, 0)),
    ],
)
def test_versions_are_read(text, version):
    """Releases, candidates and nonsense become three numbers."""
    assert parse_version(text) == version


def test_each_missing_feature_says_what_it_costs():
    """An old server's description has a line with the price of everything it lacks."""
    lines = features((2, 9, 10)).describe()
    assert len(lines) == 7
    assert all(": no, " in line for line in lines)
    assert all(line.endswith(": yes") for line in features((2, 15, 0)).describe())


def test_mappings_name_the_partitions():
    """The nats.conf lines carry the number of partitions and both grammars."""
    text = nats_mappings(16)
    assert '"agents.*.inbox": "inp.{{partition(16,1)}}.default.{{wildcard(1)}}"' in text
    assert '"tenants.*.agents.*.inbox": "inp.{{partition(16,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"' in text


def test_urls_are_shown_without_secrets():
    """User, password and token of every server of a URL are hidden."""
    assert redacted("nats://u:p@a:4222,tls://token@b") == "nats://***@a:4222,tls://***@b"


def test_credentials_do_not_show_themselves():
    """The repr of credentials names what is set, never its value."""
    assert repr(Credentials(user="bob", password="hunter2")) == "Credentials(user, password)"


def test_missing_tls_files_are_a_config_error(tmp_path):
    """A certificate that is not there is found before anything starts."""
    with pytest.raises(ConfigError, match="TLS"):
        Credentials(ca=str(tmp_path / "none.pem")).options()


def test_differences_ignore_what_the_server_adds():
    """Metadata is compared as a subset, subjects in any order, and fields that are off may be left out."""
    asked = {"metadata": {"a": "1"}, "subjects": ["x", "y"], "deny_delete": False, "max_age": 5}
    echo = {"metadata": {"a": "1", "_nats.level": "0"}, "subjects": ["y", "x"], "max_age": 5, "more": 1}
    assert differences(asked, echo) == []
    assert differences(asked, {**echo, "max_age": 6}) == [("max_age", 5, 6)]
    assert differences({"metadata": {"a": "1"}}, {}) == [("metadata", {"a": "1"}, {})]


def test_the_mailbox_bound_is_a_setting():
    """The bound of the mailbox reaches the definitions of INBOX and INGRESS."""
    asked = definitions(StreamSettings(mailbox=5))
    assert asked["INBOX"]["max_msgs_per_subject"] == asked["INGRESS"]["max_msgs_per_subject"] == 5
