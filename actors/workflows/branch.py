"""Branch and StepState: how far one delegation, and the step it belongs to, has come.

A step has one branch, a fan-out one for each item. Owned by `WorkflowState` and changed by nobody else.
Invariant: what is settled stays as it is.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ...bus.task import Result, Status, Task
from ...bus.value import Json
from ..runs.approval import Decision, Question


class Stage(StrEnum):
    """How far a step, a branch or an undo has come."""

    WAITING = "waiting"
    ASKED = "asked"
    CLEARED = "cleared"  # a person allowed it
    LISTENING = "listening"
    SLEEPING = "sleeping"  # a timer is set: a sleep, or the pause before the next attempt
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


SETTLED: Final = frozenset({Stage.DONE, Stage.FAILED, Stage.SKIPPED, Stage.CANCELLED})


class Place(NamedTuple):
    """Names a branch, or its undo."""

    step: str
    item: int = 0
    undo: bool = False


class Undoing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far taking one branch back has come."""

    stage: Stage
    attempt: int = 0
    task: Task | None = None
    due_ms: int = 0
    error: str = ""


class Branch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One delegation and its attempts.

    Attributes:
        task: What the agent was given, until it is settled.
        due_ms: When the next attempt may begin.
        result: How the latest attempt ended.
    """

    stage: Stage
    attempt: int = 0
    task: Task | None = None
    due_ms: int = 0
    began_ms: int = 0
    ended_ms: int = 0
    result: Result | None = None
    undo: Undoing | None = None

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.stage not in SETTLED


class StepState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a step.

    Attributes:
        why: Why it was skipped.
        items: What a fan-out goes over; None: it is none, or not known yet.
        branches: Begun ones, in the order of the items.
        failed: How many of them failed.
        left: How many items are not settled.
        due_ms: When its timer fires.
        question: What is asked before it runs.
        result: How it ended, as others see it.
    """

    stage: Stage = Stage.WAITING
    why: str = ""
    items: list[Json] | None = None
    branches: list[Branch] = []
    failed: int = 0
    left: int = 1
    due_ms: int = 0
    began_ms: int = 0
    ended_ms: int = 0
    question: Question | None = None
    decision: Decision | None = None
    result: Result | None = None

    @property
    def settled(self) -> bool:
        """Whether it is over."""
        return self.stage in SETTLED

    @property
    def begun(self) -> int:
        """Branches that began: the item that is next."""
        return len(self.branches)

    @property
    def total(self) -> int:
        """Branches there will be."""
        return 1 if self.items is None else len(self.items)

    @property
    def attempts(self) -> int:
        """Attempts of all branches."""
        return sum(branch.attempt for branch in self.branches)

    @property
    def partial(self) -> bool:
        """Whether it is done in part."""
        return self.result is not None and self.result.status is Status.PARTIAL
