"""What an agent, or its absence, can answer instead of a result.

ActorError
├── UnknownAgent      nobody defined an agent of that name
├── UnknownKind       it is defined, but this program does not have its class
├── ActorStopped      stopped by somebody, or given up after too many restarts
├── BadTask           the task does not fit what the actor understands; it did not run
├── Reject            raised by a handler: the answer is no, and trying again is pointless
├── HandlerFailed     the handler raised; its effects up to there may stand
├── Cancelled         somebody cancelled the task
├── Paused            the task waits for people; whoever gave it may rest
└── Undeliverable     given up after so many attempts; it is in the dead letters
"""

from ..bus.errors import ActoriumError, Effect


class ActorError(ActoriumError):
    """The agent, or its absence, answered no."""

    code = "actor_error"


class UnknownAgent(ActorError):
    """Raised when no agent of that name is defined: it did not run."""

    code = "unknown_agent"


class UnknownKind(ActorError):
    """Raised when an agent's class is not part of the running program: it did not run."""

    code = "unknown_kind"


class ActorStopped(ActorError):
    """Raised when the agent is stopped: it did not run. A restart makes it work again."""

    code = "actor_stopped"
    retryable = True


class BadTask(ActorError):
    """Raised when a task does not fit what the actor understands: it did not run."""

    code = "bad_task"


class Reject(ActorError):
    """Raise it in a handler to answer no: the task ends as a failure at once, without retry or restart."""

    code = "rejected"
    effect = Effect.YES


class HandlerFailed(ActorError):
    """Raised when a handler raised: what it did up to there may stand."""

    code = "handler_failed"
    effect = Effect.UNKNOWN


class Cancelled(ActorError):
    """Raised when the task was cancelled: what it did up to there may stand."""

    code = "cancelled"
    effect = Effect.UNKNOWN


class Paused(ActorError):
    """Raised to a run whose delegate waits for people: let it pass, and the run rests until there is news."""

    code = "paused"
    retryable = True


class Undeliverable(ActorError):
    """Raised when a task was given up after its last attempt; it waits in the dead letters."""

    code = "undeliverable"
    effect = Effect.UNKNOWN


class Unread(Undeliverable):
    """Raised when a task was given up because it could not be read: it did not run."""

    effect = Effect.NO


def cancelled(reason: str) -> str:
    """What is told of a run that was cancelled for a reason; empty: nobody gave one."""
    return f"cancelled: {reason}" if reason not in ("", "cancelled") else "cancelled"
