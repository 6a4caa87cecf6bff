"""What the tap shows of a message: never a secret, never a command to the terminal."""

import json

import pytest

from actorium.runtime.views.redaction import redact_text, shown

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        ("use sk-ant-api03-AbCdEfGhIjKlMnOpQr now", "AbCdEfGhIj"),
        ("use sk-proj-AbCdEfGhIjKlMnOpQr now", "AbCdEfGhIj"),
        ("ghp_AbCdEfGhIjKlMnOpQrStUv", "AbCdEfGhIj"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("xoxb-123456789012-abcdefghij", "123456789012"),
        ("Authorization: Bearer abcdef1234567890", "abcdef1234567890"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Cookie: a=bcdef; session=ghijkl", "ghijkl"),
        (f"token {JWT}", "dBjftJeZ4CVP"),
        (PEM, "kqhkiG9w0BAQEF"),
        (PEM[:60], "MIIEvQ"),
        ("postgres://bob:hunter2@db/x", "hunter2"),
        ("password=hunter2&x=1", "hunter2"),
        ("password = 'hunter2 and more'", "and more"),
        (json.dumps({"password": "hunter2 and more"}), "and more"),
        (json.dumps({"spec": {"api_key": ["hunter2"]}}), "hunter2"),
        (json.dumps({"spec": {"DB_PASSWORD": 123456}}), "123456"),
        (json.dumps({"spec": json.dumps({"client_secret": "hunter2 and more"})}), "and more"),
        (json.dumps({"spec": PEM}), "kqhkiG9w0BAQEF"),
        ('{"password": "hunter2", broken', "hunter2"),
        ("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "UAHUDXKFSN"),
    ],
)
def test_a_secret_is_masked(body: str, secret: str) -> None:
    """Everything that looks like a secret, or stands in a field that is named like one, is gone."""
    assert secret in body
    assert secret not in shown(body.encode(), 10_000)


@pytest.mark.parametrize(
    "body",
    [
        '{"metrics":{"execution_time_ms":3,"tokens_used":512}}',
        '{"spec":"task-force of secretaries, risk-free","token":""}',
        "please reset the password of the tokenizer",
    ],
)
def test_what_is_no_secret_is_shown(body: str) -> None:
    """A mask on everything would make the tap useless."""
    assert shown(body.encode(), 10_000) == body


def test_a_body_is_masked_before_it_is_cut() -> None:
    """No cut leaves the beginning of a key that is too short to be recognised."""
    line = shown(b"0123456789 sk-ant-api03-AbCdEfGhIjKlMnOpQr", 20)
    assert "sk-" not in line
    assert line == "0123456789 ***"
    assert shown(b"x" * 50, 20) == "x" * 20 + "... (50 bytes)"


def test_a_body_cannot_command_the_terminal() -> None:
    """Escape sequences of a stranger are shown as text."""
    assert "\x1b" not in shown(b"\x1b]0;owned\x07\x1b[2J", 100)
    assert "\x9b" not in shown('{"a":"\x9b2J"}'.encode(), 100)


def test_masking_twice_changes_nothing() -> None:
    """A masked text holds nothing more to mask."""
    once = redact_text(f"Authorization: Bearer {JWT} password=hunter2")
    assert redact_text(once) == once
