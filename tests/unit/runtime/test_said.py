"""What a person's line means as an answer, and what of a text is still to be told."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.approval import Verdict
from actorium.runtime.said import Said, understood
from actorium.runtime.synadia.unsaid import unsaid


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("accept\n", Said(Verdict.ACCEPT)),
        ("Yes.", Said(Verdict.ACCEPT)),
        ("no", Said(Verdict.DENY)),
        ("deny  too much ", Said(Verdict.DENY, text="too much")),
        ("respond it is paid", Said(Verdict.RESPOND, text="it is paid")),
        ('edit {"amount": 1}', Said(Verdict.EDIT, arguments={"amount": 1})),
    ],
)
def test_a_plain_answer_is_understood(line: str, said: Said):
    assert understood(line) == said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "say one of"),
        ("yes but not now", "to accept, say just that"),
        ("accept all", "to accept, say just that"),
        ("sure, go ahead", "say one of"),
        ("respond", "with what"),
        ("edit", "JSON object"),
        ("edit [1]", "JSON object"),
        ("edit {amount}", "JSON object"),
    ],
)
def test_what_is_not_plain_is_no_answer(line: str, why: str):
    assert why in str(understood(line))
    assert not isinstance(understood(line), Said)


@given(st.text("ab\n", max_size=80), st.text("ab\n", max_size=120), st.integers(0, 120))
def test_what_was_told_and_what_was_not_make_the_whole(before: str, text: str, cut: int):
    """However much of it was told, and whatever stood before: at the end all of it was told last."""
    said = before + text[:cut]
    assert (said + unsaid(said, text)).endswith(text)


def test_what_was_told_is_not_told_again():
    text = "the answer is forty-two, as you may know by now"
    assert unsaid("", text) == text
    assert unsaid(f"I look.\n\n{text}", text) == ""
    assert unsaid(f"I look.\n\n{text[:3]}", text) == text[3:]
    assert unsaid(f"I look.\n\n{text[:40]}", text) == text[40:]
    assert unsaid("I look.", text) == f"\n\n{text}"
    assert unsaid("I look.", "") == ""


def test_a_long_text_is_compared_quickly():
    """A text that looks like itself everywhere costs no comparison at each of its characters."""
    assert unsaid("a" * 1_000_000, "a" * 1_000_000) == ""
    began = time.monotonic()
    assert unsaid("b" + "ab" * 500_000 + "c", "ab" * 500_000).endswith("ab")
    assert time.monotonic() - began < 1.0  # a copy at each place would take minutes
