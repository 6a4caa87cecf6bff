"""What a workflow run writes down: pages, each of one or more facts that stand together.

Here are the facts about the whole run; those about steps: see `fact.py`. Not responsible for the chain the
pages stand in: see `book.py`. Fields are added with defaults, never renamed.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from ...bus.errors import Failure
from ...bus.task import Result
from ...bus.value import Json, JsonObject
from ..runs.budget import Budget
from ..runs.effect import Risk
from .branch import StepState
from .definition import Workflow
from .fact import BranchFact, Fact, StepFact, UndoFact


class Why(StrEnum):
    """How a workflow run can end."""

    COMPLETED = "completed"
    FAILED = "failed"  # a step did
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    BUDGET = "budget"
    ACCOUNT = "account"  # the shared budget
    EXPIRED = "expired"  # nobody answered
    FAULT = "fault"  # it could not be carried on


class Started(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="started"):
    """The run begins.

    Attributes:
        run: Its id.
        definition: Hash of the workflow: the run is pinned to it.
        inputs: With defaults filled in.
        trigger: What started it: manual, schedule, webhook, event or workflow.
        budget: What all steps together may spend: the workflow's own and the caller's slice.
        account: The shared budget that the steps pay from; empty: none.
        risk: The highest risk that needs no approval, for the agents of the steps.
    """

    run: str
    workflow: Workflow
    definition: str
    inputs: JsonObject = msgspec.field(default_factory=dict)
    task_id: str = ""
    trigger: str = "manual"
    budget: Budget = Budget(steps=None, tool_calls=None, seconds=None)
    account: str = ""
    risk: Risk = Risk.MEDIUM
    reply_to: str = ""
    correlation_id: str = ""


class Adopted(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="adopted"):
    """What another run had done stands here as done: a fork, or a retry from a step.

    Attributes:
        run: The other run.
        page: The last of its pages that counts.
    """

    run: str
    page: int
    steps: dict[str, StepState]


class Migrated(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="migrated"):
    """The run goes on under another definition.

    Attributes:
        state: Hash of the state after it: a blob.
    """

    workflow: Workflow
    definition: str
    state: str


class Continued(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="continued"):
    """The chain is full: the run goes on in the next one. Nothing stands behind this.

    Attributes:
        state: Hash of everything that is known: a blob.
    """

    state: str


class Restored(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="restored"):
    """The first fact of a chain that goes on where another was full."""

    state: str


class Paused(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="paused"):
    """Nothing more begins; what runs goes on."""

    by: str = ""


class Resumed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="resumed"):
    """Steps begin again."""

    by: str = ""


class Signalled(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="signalled"):
    """Somebody sent a signal; it is kept until a step takes it.

    Attributes:
        id: The same one again is the same signal.
    """

    name: str
    id: str
    data: Json = None
    by: str = ""


class Closing(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="closing"):
    """The run turns to its end: nothing more begins, what runs is cancelled, what must be undone is undone.

    Attributes:
        step: The step whose failure is the cause.
        limit: The limit that is.
        failure: The failure that is.
    """

    why: Why
    error: str
    step: str = ""
    limit: str = ""
    failure: Failure | None = None


class Took(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one step, and its time from its beginning to its end."""

    status: str
    ms: int = 0
    attempts: int = 0
    items: int | None = None
    error: str = ""


class Ended(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="ended"):
    """The run is over, with its result.

    Attributes:
        ms: From its start.
    """

    why: Why
    result: Result
    steps: dict[str, Took]
    ms: int = 0
    limit: str = ""


RunFact: TypeAlias = (
    Started | Adopted | Migrated | Continued | Restored | Paused | Resumed | Signalled | Closing | Ended
)
WorkflowFact: TypeAlias = RunFact | StepFact | BranchFact | UndoFact


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts that were written at once: all of them stand, or none.

    Attributes:
        at_ms: Wall clock of the writer, milliseconds since 1970; never falls along a run.
        seconds: Wall time since the page before, while the run was carried.
    """

    facts: tuple[WorkflowFact, ...]
    at_ms: int
    seconds: float = 0.0
