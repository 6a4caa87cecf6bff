"""Facts about steps, their branches and their undos; those about the whole run: see `record.py`.

A fact stands before what it says takes effect; what it says happened is never made again. Whatever was
evaluated (inputs, items, moments, chance) is in the fact, so that reading back evaluates nothing. Fields are
added with defaults, never renamed.
"""

from typing import TypeAlias

import msgspec

from ...bus.task import Result, Task
from ...bus.value import Json
from ..runs.approval import Decision, Question


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is common to all facts: nothing, but how they are written."""


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


StepFact: TypeAlias = Skipped | Opened | FannedOut | Asked | Decided | Slept | Listened | Heard
BranchFact: TypeAlias = Scheduled | Done | Retried | Failed | Stopped
UndoFact: TypeAlias = UndoScheduled | Undone | UndoRetried | UndoFailed
