"""Every error a user can meet, in one tree, with what is known afterwards.

    ActoriumError
    ├── BusError              the message did not travel
    │   ├── BusLost               the server went away; it may have arrived
    │   │   └── BusClosed         by ourselves
    │   ├── NoOwner               nobody serves that agent now
    │   ├── DeadlineExceeded      no answer in time; it may have been handled
    │   ├── MailboxFull           the agent has as much as it may hold
    │   ├── BadMessage            bytes that are no message
    │   ├── NotStored             the server refused to store it
    │   ├── NoSuchMessage         it is not there, or not any more
    │   ├── Superseded            a newer owner took the partition
    │   ├── Interrupted           a feed may have missed deliveries
    │   └── UnsupportedServer     a server without what we need
    ├── StorageError          state could not be read or kept   (storage/errors.py)
    ├── ActorError            the agent answered no              (actors/errors.py)
    └── ConfigError           found before anything starts

`retryable` says whether the same call may work later; `effect` whether the work may have happened. On the
wire an error is a `Failure`: code, message and fields, never a pickled exception.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec


class Effect(StrEnum):
    """Whether the work behind a failed call may have been done."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as it crosses the wire."""

    code: str
    message: str
    retryable: bool = False
    effect: Effect = Effect.NO
    fields: dict[str, str] = {}


class ActoriumError(Exception):
    """The root of every error of this library that a caller may answer."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    effect: ClassVar[Effect] = Effect.NO

    def __init__(self, message: str, **fields: str) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def failure(self) -> Failure:
        """The wire form of this error."""
        return Failure(
            code=self.code,
            message=self.message,
            retryable=self.retryable,
            effect=self.effect,
            fields=self.fields,
        )


class BusError(ActoriumError):
    """The message did not travel."""

    code = "bus_error"


class BusLost(BusError):
    """Raised when the connection went away in the middle: the message may have arrived. Retry."""

    code = "bus_lost"
    retryable = True
    effect = Effect.UNKNOWN


class BusClosed(BusLost):
    """Raised after this process closed the bus: what was on its way may have arrived, nothing more goes."""

    code = "bus_closed"
    retryable = False


class NoOwner(BusError):
    """Raised when nobody owns the agent's partition until the deadline: it did not run. Retry."""

    code = "no_owner"
    retryable = True


class DeadlineExceeded(BusError):
    """Raised when no answer came in time: whether the message was handled is unknown."""

    code = "deadline_exceeded"
    retryable = True
    effect = Effect.UNKNOWN


class MailboxFull(BusError):
    """Raised when the agent's mailbox holds its bound: the message was not stored. Retry later."""

    code = "mailbox_full"
    retryable = True


class BadMessage(BusError):
    """Raised for bytes that are no message of ours: not JSON, too deep, too large, unknown version."""

    code = "bad_message"


class NotStored(BusError):
    """Raised when the server refused to store a message for a reason that a retry does not cure."""

    code = "not_stored"


class NoSuchMessage(BusError):
    """Raised when a stored message is asked for that is not there, or not any more."""

    code = "not_found"


class Superseded(BusError):
    """Raised when a newer owner has taken the partition: stop, and write nothing more."""

    code = "superseded"


class Interrupted(BusError):
    """Raised by a feed that may have missed deliveries: open the next epoch, unacked ones come again."""

    code = "interrupted"
    retryable = True


class UnsupportedServer(BusError):
    """Raised at connect for a server that loses data or lacks what we cannot do without."""

    code = "unsupported_server"


class ConfigError(ActoriumError):
    """Raised before anything starts, for a setting, a file or a name that cannot work."""

    code = "config_error"


def first_error(error: BaseException) -> BaseException:
    """What a task group was ended by; any other error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class InternalError(Exception):
    """Our bug. No ActoriumError, so that nobody catches it by habit; please report it."""


def from_failure(failure: Failure) -> ActoriumError:
    """The exception of a wire failure: its own class where the code is known, else an ActoriumError."""
    kind = next((k for k in _tree(ActoriumError) if k.code == failure.code), ActoriumError)
    error = kind(failure.message, **failure.fields)
    if kind is ActoriumError:
        error.failure = lambda: failure  # type: ignore[method-assign]  # keeps the code of an unknown kind
    return error


def _tree(kind: type[ActoriumError]) -> list[type[ActoriumError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]
