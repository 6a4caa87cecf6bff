import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.bus.frame import Next, after_status, parse_ack

PARSED = ("INBOX", "p7-e5", 2, 41, 12)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.INBOX.p7-e5.2.41.12.1795252355433647900.3",
        "$JS.ACK._.hash.INBOX.p7-e5.2.41.12.1795252355433647900.3",
        "$JS.ACK.domain.hash.INBOX.p7-e5.2.41.12.1795252355433647900.3.rnd",
    ],
)
def test_ack_subjects_are_read_from_the_right(reply):
    """The three forms of an ack subject give the same stream, consumer and numbers."""
    assert parse_ack(reply) == PARSED


@given(st.text())
def test_no_reply_subject_breaks_the_parser(reply):
    """What is no ack subject is None."""
    assert parse_ack(reply) is None


@pytest.mark.parametrize(
    ("status", "description", "then"),
    [
        ("100", "Idle Heartbeat", Next.WAIT),
        ("404", "No Messages", Next.AGAIN),
        ("408", "Request Timeout", Next.AGAIN),
        ("409", "Consumer Deleted", Next.GONE),
        ("409", "Leadership Change", Next.LATER),
        ("409", "Server Shutdown", Next.LATER),
        ("409", "Exceeded MaxWaiting", Next.LATER),
        ("503", "", Next.LATER),
        ("503", "\nNats-Subject: x", Next.LATER),
        ("400", "Bad Request", Next.LATER),
        ("", "", Next.LATER),
    ],
)
def test_each_status_has_its_answer(status, description, then):
    """A pull is issued again on every status but a heartbeat and `Consumer Deleted`."""
    assert after_status(status, description) is then
