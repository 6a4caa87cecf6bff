"""What a language model, or its absence, can answer instead of a turn.

ActorError
└── ModelError
    ├── ModelRateLimited      asked too often; `retry_after` seconds
    ├── ModelOverloaded       the provider is full
    ├── ModelUnavailable      silence, a cut or a fault of the server: it may have run, tokens may be billed
    │   └── ModelUnreachable      no connection: it did not run
    ├── ContextOverflow       the prompt is larger than the model's window
    ├── AuthFailed            the key is missing or wrong, or has no rights or no credit
    ├── Refused               the provider will not serve this content
    ├── BadRequest            the provider does not understand the request, or has no such model
    ├── Unsupported           this adapter, or what is installed, cannot do it
    └── ReplayMismatch        a recorded conversation was left

A model that refuses in words has answered: that is a response with the stop reason `refusal` and a usage.
"""

from ...bus.errors import Effect
from ..errors import ActorError
from .port import Attempt, Usage


class ModelError(ActorError):
    """The model gave no answer.

    Attributes:
        usage: Tokens that are known to be spent all the same.
        attempts: Calls that failed before this one, in order.
    """

    code = "model_error"
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the provider asks to wait; None: it does not say."""
        told = self.fields.get("retry_after")
        return float(told) if told else None


class ModelRateLimited(ModelError):
    """Raised when the provider was asked too often: it did not run. Retry after `retry_after`."""

    code = "model_rate_limited"
    retryable = True


class ModelOverloaded(ModelError):
    """Raised when the provider is full: it did not run. Retry later."""

    code = "model_overloaded"
    retryable = True


class ModelUnavailable(ModelError):
    """Raised for silence, a cut and faults of the server: it may have run and been billed. Retry."""

    code = "model_unavailable"
    retryable = True
    effect = Effect.UNKNOWN


class ModelUnreachable(ModelUnavailable):
    """Raised when there was no connection: it did not run. Retry."""

    code = "model_unreachable"
    effect = Effect.NO


class ContextOverflow(ModelError):
    """Raised when the prompt is larger than the model's window: it did not run. Compact the conversation."""

    code = "model_context_overflow"


class AuthFailed(ModelError):
    """Raised when the key is missing or wrong, or has no rights or no credit: it did not run."""

    code = "model_auth_failed"


class Refused(ModelError):
    """Raised when the provider will not serve this content: it did not run."""

    code = "model_refused"


class BadRequest(ModelError):
    """Raised when the provider does not understand the request, or has no such model: it did not run."""

    code = "model_bad_request"


class Unsupported(ModelError):
    """Raised when this adapter, or what is installed, cannot do it: it did not run."""

    code = "model_unsupported"


class ReplayMismatch(ModelError):
    """Raised when a request is not the one that was recorded; it names the first difference."""

    code = "model_replay_mismatch"
