import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.bus import subjects
from actorium.bus.errors import ConfigError

TOKENS = st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True)


def test_partition_is_the_servers():
    """The partition of an agent is what `partition()` of three nats-servers computed for it."""
    assert subjects.partition("default", "zed") == 52
    assert subjects.partition("acme", "zed") == 14


@given(TOKENS, TOKENS, TOKENS)
def test_public_subjects_are_read_back(tenant, agent, leaf):
    """What `public` builds, `parse_public` takes apart, for every tenant and agent."""
    if tenant != subjects.DEFAULT_TENANT:
        assert subjects.parse_public(subjects.public(tenant, agent, leaf)) == (tenant, agent, leaf)
    assert subjects.parse_public(subjects.public("default", agent, leaf)) == ("default", agent, leaf)


@given(st.text())
def test_no_text_breaks_the_parser(text):
    """Any subject is a public one or None, and a token of it never holds what could break a frame."""
    named = subjects.parse_public(text)
    assert named is None or all(subjects.token(part) == part for part in named)


@pytest.mark.parametrize("name", ["", "a.b", "A", "a*", "a b", "a\n", "ä", "x" * 64])
def test_bad_tokens_are_refused(name):
    """A name that could be a wildcard, a dot or a line break is a ConfigError."""
    with pytest.raises(ConfigError, match="must be"):
        subjects.token(name)


@pytest.mark.parametrize("name", ["prompt", "status", "hb", "run-17"])
def test_protocol_words_are_no_agents(name):
    """An agent cannot be called like a verb of the agent protocol or like a run."""
    with pytest.raises(ConfigError, match="reserved"):
        subjects.agent_id(name)


@pytest.mark.parametrize(
    ("subject", "stream"),
    [
        (subjects.inbox(7, "default", "a"), subjects.INBOX),
        (subjects.public("acme", "a", "inbox"), subjects.INGRESS),
        (subjects.public("default", "a", "outbox"), subjects.OUTBOX),
        (subjects.public("default", "a", "events"), subjects.EVENTS),
        (subjects.ledger(7, "default", "a"), subjects.LEDGER),
        (subjects.dead_letter(7, "default", "a"), subjects.DEAD_LETTERS),
        (subjects.ORCHESTRATOR, subjects.INGRESS),
        ("agents.a.ask", ""),
        ("what.ever", ""),
    ],
)
def test_every_durable_subject_has_its_stream(subject, stream):
    """The stream of a subject is known, for errors that name it."""
    assert subjects.stream_of(subject) == stream
