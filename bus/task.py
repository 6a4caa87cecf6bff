"""What people and agents say to each other: Task, Result, Event. Public JSON, frozen, grown by defaults.

Unknown fields are ignored and fields are never renamed, so that old and new programs talk during an upgrade.
The shapes and the status words come from the project's seed documents.
"""

from enum import StrEnum

import msgspec

from .errors import Failure, from_failure
from .value import Json, JsonObject


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A unit of work for one agent.

    Attributes:
        action: What to do, in a word; empty where the spec says it all.
        spec: The order itself: any JSON value. A plain-text message is a task whose spec is that text.
        inputs: Material to work on: any JSON value.
        constraints: Sentences the result must respect.
    """

    action: str = ""
    spec: Json = None
    inputs: Json = None
    constraints: tuple[str, ...] = ()


class Status(StrEnum):
    """How a task ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"


class ArtifactType(StrEnum):
    """What an artifact is."""

    CODE = "code"
    FILE = "file"
    DATA = "data"
    LOG = "log"


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something a task made: by path, or by content."""

    type: ArtifactType
    path: str | None = None
    content: str | None = None


class Metrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task cost, its delegates included.

    Attributes:
        execution_time_ms: Wall time from its start on an agent to its end.
        steps: Model calls.
    """

    execution_time_ms: int
    tokens_used: int | None = None
    usd: float | None = None
    steps: int | None = None
    tool_calls: int | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a task ended, exactly one per acknowledged task.

    Attributes:
        data: What the agent returned: any JSON value.
        error: One sentence, where the status is not success.
        failure: The same error with its code and fields, for programs.
    """

    status: Status
    data: Json = None
    artifacts: tuple[Artifact, ...] = ()
    metrics: Metrics = Metrics(execution_time_ms=0)
    error: str | None = None
    failure: Failure | None = None

    def unwrap(self) -> Json:
        """The data of a task that did not fail; partial data counts.

        Raises:
            ActoriumError: It failed: the error it failed with, of its own class where that is known.
        """
        if self.status is not Status.FAILURE:
            return self.data
        raise from_failure(self.failure or Failure(code="error", message=self.error or "the task failed"))


class AgentStatus(StrEnum):
    """What an agent is doing."""

    IDLE = "idle"
    BUSY = "busy"
    ERROR = "error"
    STOPPED = "stopped"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of progress, published on `agents.<id>.events`.

    Attributes:
        kind: accepted, started, completed, failed, retried, delegated, progress, dead_letter, restarted ...
        agent: The agent's id.
        task: The task's id, where the event belongs to one.
        at_ms: Wall clock in milliseconds since 1970, for people; no decision is made from it.
        data: Fields of that kind of event.
    """

    kind: str
    agent: str
    task: str = ""
    at_ms: int = 0
    data: JsonObject = {}
