"""What a workflow run writes down: pages, each of one or more facts that stand together.

A fact stands before what it says takes effect; what it says happened is never made again. Whatever was
evaluated (inputs, items, moments, chance) is in the fact, so that reading back evaluates nothing. Not
responsible for the chain the pages stand in: see `book.py`. Fields are added with defaults, never renamed.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from ...bus.errors import Failure
from ...bus.task import Result, Task
from ...bus.value import Json, JsonObject
from ..runs.approval import Decision, Question
from ..runs.budget import Budget
from ..runs.effect import Risk
from .branch import StepState
from .definition import Workflow


class Why(StrEnum):
    """How a workflow run can end."""

    COMPLETED = "completed"
    FAILED = "failed"  # a step did
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    BUDGET = "budget"
    ACCOUNT = "account"  # the shared budget
    EXPIRED = "expired"  # nobody answered


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is common to all facts: nothing, but how they are written."""


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
    inputs: JsonObject = {}
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


class Skipped(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="skipped"):
    """A step is not done.

    Attributes:
        why: `when`: its condition was false; `skipped`: so was all it depends on; `failed`: so did something
            it depends on.
    """

    step: str
    why: str


class Opened(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """A step may begin, as soon as there is room."""

    step: str


class FannedOut(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="fanned_out"):
    """A step is done once for each of these."""

    step: str
    items: list[Json]


class Asked(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="asked"):
    """A step waits for approval; nothing runs, and no process waits.

    Attributes:
        items: What a fan-out will go over, if it is allowed.
    """

    step: str
    question: Question
    items: list[Json] | None = None


class Decided(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="decided"):
    """A question was answered, by a person or by its expiry."""

    step: str
    decision: Decision


class Slept(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="slept"):
    """A step sleeps until a moment: milliseconds since 1970."""

    step: str
    due_ms: int


class Listened(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="listened"):
    """A step waits for a signal; `due_ms` 0: for as long as it takes."""

    step: str
    signal: str
    due_ms: int = 0


class Heard(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="heard"):
    """A step took the oldest signal of that name: its data is the step's."""

    step: str
    signal: str


class Scheduled(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="scheduled"):
    """An attempt is about to be delegated.

    Attributes:
        key: `run/step/attempt`, in a fan-out with the item: what is delegated under it happens once.
        task: What the agent is given; None: what it was given in the attempt before.
    """

    step: str
    item: int = 0
    attempt: int = 1
    key: str
    task: Task | None = None


class Done(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A branch, or a step that needs no agent, is done: wholly or partially."""

    step: str
    item: int = 0
    result: Result


class Retried(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="retried"):
    """An attempt failed, and there will be another one, not before a moment."""

    step: str
    item: int = 0
    result: Result
    due_ms: int


class Failed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="failed"):
    """A branch, or a step before it had any, failed for good."""

    step: str
    item: int = 0
    result: Result


class Stopped(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="stopped"):
    """A branch that was running is cancelled: whether it happened is not known."""

    step: str
    item: int = 0


class UndoScheduled(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="undo_scheduled"):
    """What a branch did is about to be taken back."""

    step: str
    item: int = 0
    attempt: int = 1
    key: str
    task: Task | None = None


class Undone(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="undone"):
    """What a branch did is taken back."""

    step: str
    item: int = 0
    result: Result


class UndoRetried(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="undo_retried"):
    """Taking it back failed, and is tried again, not before a moment."""

    step: str
    item: int = 0
    result: Result
    due_ms: int


class UndoFailed(Fact, frozen=True, kw_only=True, omit_defaults=True, tag="undo_failed"):
    """What a branch did could not be taken back."""

    step: str
    item: int = 0
    result: Result


RunFact: TypeAlias = (
    Started | Adopted | Migrated | Continued | Restored | Paused | Resumed | Signalled | Closing | Ended
)
StepFact: TypeAlias = Skipped | Opened | FannedOut | Asked | Decided | Slept | Listened | Heard
BranchFact: TypeAlias = Scheduled | Done | Retried | Failed | Stopped
UndoFact: TypeAlias = UndoScheduled | Undone | UndoRetried | UndoFailed
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
