"""What a status and a provider's words mean."""

import datetime as dt
from email.utils import format_datetime

import pytest

from actorium.actors.models.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    Refused,
)
from actorium.actors.models.port import Effort
from actorium.actors.models.profile import GROQ, OPENAI, VLLM
from actorium.actors.models.status import failed, kind_of, retry_after


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "This model's maximum context length is 8192 tokens.", ContextOverflow),
        (400, "the request exceeds the available context size", ContextOverflow),
        (400, "The input token count (9) exceeds the maximum number of tokens allowed (5).", ContextOverflow),
        (400, "max_tokens: 9 > 5, which is the maximum allowed number of output tokens", BadRequest),
        (400, "input length and `max_tokens` exceed context limit", ContextOverflow),
        (400, "content_filter", Refused),
        (404, "no such model", BadRequest),
        (418, "", BadRequest),
        (429, "slow down", ModelRateLimited),
        (429, "enforced_spend_limit_reached", AuthFailed),
        (500, "", ModelUnavailable),
        (599, "", ModelUnavailable),
        (503, "", ModelOverloaded),
    ],
)
def test_kinds(status, words, kind):
    assert kind_of(status, words) is kind


def test_retry_after_is_seconds_or_a_date():
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": "9", "retry-after-ms": "250"}) == 0.25
    assert 25 < retry_after({"retry-after": format_datetime(soon)}) <= 30
    assert retry_after({"retry-after": "-3"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_a_long_message_is_cut_and_the_key_taken_out():
    error = failed("p:m", 400, "sk-1 " * 10_000, secret="sk-1")
    assert len(str(error)) < 1500
    assert "sk-1" not in str(error)


def test_the_nearest_effort():
    assert OPENAI.effort(Effort.MAX) is Effort.XHIGH
    assert GROQ.effort(Effort.XHIGH) is Effort.HIGH
    assert VLLM.effort(Effort.NONE) is Effort.LOW
