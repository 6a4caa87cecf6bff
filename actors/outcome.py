"""What became of a message, as values: a failed result, a crash, an interruption, and the tally."""

import msgspec

from ..bus.errors import ActoriumError
from ..bus.task import Metrics, Result, Status

MAX_TEXT = 2000  # characters of an error that travel


class Tally(msgspec.Struct):
    """What an actor did since it came alive. Milliseconds of handler time."""

    total_tasks: int = 0
    successful_tasks: int = 0
    failed_tasks: int = 0
    restarts: int = 0
    busy_ms: int = 0
    tokens_used: int = 0
    usd: float = 0.0

    @property
    def average_ms(self) -> int:
        """Milliseconds of handler time per task."""
        return self.busy_ms // self.total_tasks if self.total_tasks else 0

    def count(self, result: Result) -> None:
        """Add one finished task."""
        self.total_tasks += 1
        self.busy_ms += result.metrics.execution_time_ms
        self.tokens_used += result.metrics.tokens_used or 0
        self.usd += result.metrics.usd or 0.0
        if result.status is Status.FAILURE:
            self.failed_tasks += 1
        else:
            self.successful_tasks += 1


class Interrupt(Exception):  # a signal: the attempt was cut short by a stop
    """Raised inside an activation that is held while an attempt runs on."""


class Crash(msgspec.Struct, frozen=True):
    """The actor's code raised what it should not have."""

    error: BaseException

    def __str__(self) -> str:
        try:
            text = str(self.error)
        except Exception:  # noqa: BLE001  # an error of the actor's own making
            text = "(its text cannot be read)"
        return plain(f"{type(self.error).__name__}: {text}")


class Unmade(Crash, frozen=True):
    """It raised before there was an instance to try anything with."""


def plain(text: object) -> str:
    """A text as every reader of JSON can take it, and not longer than anybody reads."""
    return str(text)[:MAX_TEXT].encode(errors="replace").decode()


def failure(error: ActoriumError, milliseconds: int = 0) -> Result:
    """The result of a task that ended by an error."""
    told = error.failure()
    fields = {name: plain(value) for name, value in told.fields.items()}
    told = msgspec.structs.replace(told, message=plain(told.message), fields=fields)
    return Result(
        status=Status.FAILURE,
        error=told.message,
        failure=told,
        metrics=Metrics(execution_time_ms=milliseconds),
    )
