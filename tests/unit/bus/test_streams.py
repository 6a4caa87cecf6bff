"""Making a stream, or finding it made, on a server that may lose its leader meanwhile."""

import json

import pytest
from nats.aio.msg import Msg

from actorium.bus.errors import BusLost, ConfigError
from actorium.bus.jetstream import NO_MESSAGE, NO_STREAM, JetStream
from actorium.bus.patience import Patience
from actorium.bus.streams import ensure_stream

ASKED = {"name": "S", "num_replicas": 1, "subjects": ["s.>"], "max_age": 0}
ABSENT = {"error": {"code": 404, "err_code": NO_STREAM, "description": "stream not found"}}
LATER = {"error": {"code": 503, "err_code": 10008, "description": "temporarily unavailable"}}
REFUSED = {"error": {"code": 400, "err_code": 10052, "description": "max age can not be negative"}}
MADE = {"config": ASKED, "created": "2026-01-01T00:00:00Z"}
BEGUN = {"config": ASKED, "created": "0001-01-01T00:00:00Z"}
EMPTY = {"error": {"code": 404, "err_code": NO_MESSAGE, "description": "no message found"}}


class Connection:
    """A connection to a server that answers requests in order; keeps what was asked."""

    is_connected, is_closed = True, False

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def request(self, subject, payload, timeout, headers=None):
        self.asked.append(subject.removeprefix("$JS.API.STREAM."))
        return Msg(self, subject, data=json.dumps(self.answers.pop(0)).encode())


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([MADE], ["INFO"]),
        ([ABSENT, MADE], ["INFO", "CREATE"]),
        ([LATER, ABSENT, LATER, MADE], ["INFO", "INFO", "CREATE", "CREATE"]),
    ],
)
async def test_a_stream_is_made_where_there_is_none(answers, asked):
    """A server without a leader is asked again, whichever request it is that finds it so."""
    connection = Connection(*answers)
    await ensure_stream(JetStream(connection), ASKED, Patience(5.0))
    assert connection.asked == [f"{verb}.S" for verb in asked]


async def test_a_stream_that_the_server_refuses_is_a_mistake_of_ours():
    """It says which, and why."""
    with pytest.raises(ConfigError, match=r"stream S cannot be made: max age"):
        await ensure_stream(JetStream(Connection(ABSENT, REFUSED)), ASKED, Patience(5.0))


async def test_a_stream_that_is_just_being_made_is_not_read():
    """Some servers would die of it; what is whole is asked for once."""
    connection = Connection(BEGUN, MADE, EMPTY, EMPTY)
    js = JetStream(connection)
    with pytest.raises(BusLost, match="stream S is being made"):
        await js.get("S", last_by="s.>")
    assert [await js.get("S", last_by="s.>"), await js.get("S", seq=1)] == [None, None]
    assert connection.asked == ["INFO.S", "INFO.S", "MSG.GET.S", "MSG.GET.S"]
