"""What an HTTP status, or a lost connection, says about a call: one error of our tree.

Not responsible for any wire: adapters bring the provider's code and message as text. Invariant: once a piece
of an answer has come, a failure that may be retried has an unknown effect.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    ModelUnreachable,
    Refused,
)

KINDS: Mapping[int, type[ModelError]] = {
    401: AuthFailed,
    402: AuthFailed,
    403: AuthFailed,
    408: ModelUnavailable,
    409: ModelUnavailable,
    413: ContextOverflow,
    425: ModelUnavailable,
    429: ModelRateLimited,
    499: ModelUnavailable,
    503: ModelOverloaded,
    529: ModelOverloaded,
}
# Providers tell these only by code or by words, and under several statuses.
WORDS: tuple[tuple[frozenset[int], re.Pattern[str], type[ModelError]], ...] = (
    (
        frozenset({400, 413, 422, 500}),
        re.compile(
            r"context_length_exceeded|exceed_context_size|prompt is too long|maximum context length"
            r"|exceeds? (the )?(available |model'?s? |maximum )?context|context window"
            r"|input token count.*exceeds",
            re.IGNORECASE,
        ),
        ContextOverflow,
    ),
    (
        frozenset({400, 403, 429}),
        re.compile(
            r"insufficient_quota|credit balance|billing|spend_limit|insufficient credits", re.IGNORECASE
        ),
        AuthFailed,
    ),
    (
        frozenset({400, 403, 422}),
        re.compile(r"content_filter|content_policy|moderation|flagged|safety system", re.IGNORECASE),
        Refused,
    ),
)
LONGEST_MESSAGE = 1000  # characters of a provider's message that we keep


def kind_of(status: int, words: str) -> type[ModelError]:
    """The error of a status and what the provider said with it."""
    for statuses, pattern, kind in WORDS:
        if status in statuses and pattern.search(words):
            return kind
    return KINDS.get(status, ModelUnavailable if status >= 500 else BadRequest)


def failed(
    model: str,
    status: int,
    words: str,
    *,
    code: str = "",
    retry_after: float | None = None,
    begun: bool = False,
    secret: str = "",
) -> ModelError:
    """The error of an answer that is none.

    Args:
        model: `provider:model`.
        words: What the provider said.
        code: Its code or type of error, where it has one.
        begun: Whether pieces of an answer came before.
        secret: The key, which some providers repeat; it is taken out.
    """
    kind = kind_of(status, f"{code} {words}")
    if begun and kind.retryable:
        kind = ModelUnavailable
    said = words.strip()[:LONGEST_MESSAGE] or "nothing"
    if secret:
        said = said.replace(secret, "***")
    fields = {"model": model, "status": str(status)}
    if code:
        fields["provider_code"] = code
    if retry_after is not None:
        fields["retry_after"] = f"{retry_after:g}"
    return kind(f"{model}: the provider answered {status}: {said}", **fields)


def silent(model: str, timeout: float) -> ModelUnavailable:
    """The error of a model that said nothing in time."""
    return ModelUnavailable(f"{model}: silent for {timeout:g} s", model=model)


def cut(model: str, why: str) -> ModelUnavailable:
    """The error of an answer that broke off."""
    return ModelUnavailable(f"{model}: the answer broke off: {why}", model=model)


def unreachable(model: str, where: str, why: str) -> ModelUnreachable:
    """The error of a connection that did not come about."""
    return ModelUnreachable(f"{model}: no connection to {where}: {why}", model=model)


def no_key(model: str, variables: tuple[str, ...]) -> AuthFailed:
    """The error of a key that is not there."""
    names = " or ".join(variables) or "its key_env"
    return AuthFailed(
        f"{model}: no key: set {names}", model=model, variable=variables[0] if variables else ""
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the response's headers, whose names are lower case; None: they do not say."""
    exact, told = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    try:
        if exact or told:
            return max(0.0, float(exact) / 1000 if exact else float(told))
    except ValueError:
        return _until(told)
    return None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
