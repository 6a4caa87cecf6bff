"""What a server says about a stream is compared with what it was asked for."""

import pytest

from actorium.bus.errors import ConfigError, UnsupportedServer
from actorium.bus.streams import check_echo
from actorium.storage.nats_stream import bucket_config

ASKED = bucket_config("KV_owners", ["$KV.owners.>"], replicas=3)
NEW = {"compression": "none", "sealed": False}


def test_an_echo_with_more_settings_is_fine() -> None:
    """Settings that a newer server adds, and falsy ones that any server leaves out, are no difference."""
    echo = {key: value for key, value in ASKED.items() if value} | NEW

    check_echo(ASKED, echo, existed=False)
    check_echo(ASKED, echo, existed=True)


@pytest.mark.parametrize(("existed", "error"), [(True, ConfigError), (False, UnsupportedServer)])
def test_a_difference_is_named(existed: bool, error: type[Exception]) -> None:
    """A stream that is not as asked is refused with the setting; whose fault it is depends on who made it."""
    echo = ASKED | NEW | {"allow_direct": True}

    with pytest.raises(error, match="allow_direct = True, and False is asked for"):
        check_echo(ASKED, echo, existed=existed)


@pytest.mark.parametrize("existed", [True, False])
def test_an_old_server_may_not_keep_replicas(existed: bool) -> None:
    """A server that does not fence on replicated streams is refused for them, and taken for one replica."""
    with pytest.raises(UnsupportedServer, match=r"before 2\.10"):
        check_echo(ASKED, ASKED, existed=existed)

    single = ASKED | {"num_replicas": 1}
    check_echo(single, single, existed=existed)
