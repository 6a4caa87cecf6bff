"""Snapshot: a whole state as one value, where a run goes on without its earlier pages.

Not responsible for when: see `book.py`. Invariant: a state that was restored decides as the one it was
taken of.
"""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from ...bus.errors import ConfigError
from ..runs.budget import Cost
from .branch import Place, StepState
from .definition import Workflow
from .index import index
from .record import Closing, Ended, Signalled, Started
from .state import WorkflowState


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything of a state that follows from nothing else in it; the fields are those of `WorkflowState`."""

    started: Started
    steps: dict[str, StepState]
    signals: dict[str, list[Signalled]] = {}
    signal_ids: list[str] = []
    completed: list[Place] = []
    paused: bool = False
    closing: Closing | None = None
    ended: Ended | None = None
    spent: Cost = Cost()
    priced: bool = True
    began_ms: int = 0
    at_ms: int = 0


Migration: TypeAlias = Callable[[Snapshot, Workflow], Snapshot]
_snapshots: msgspec.json.Decoder[Snapshot] = msgspec.json.Decoder(Snapshot)


def encode_snapshot(state: WorkflowState) -> bytes:
    """A state as bytes: the same for the same state.

    Raises:
        ConfigError: The run has not begun.
    """
    return msgspec.json.encode(snapshot(state), order="sorted")


def snapshot(state: WorkflowState) -> Snapshot:
    """A state as a value; it shares what the state holds. Raises as `encode_snapshot`."""
    if state.started is None:
        raise ConfigError("there is no state of a run that has not begun")
    return Snapshot(
        started=state.started,
        steps=state.steps,
        signals=state.signals,
        signal_ids=list(state.signal_ids),
        completed=state.completed,
        paused=state.paused,
        closing=state.closing,
        ended=state.ended,
        spent=state.spent,
        priced=state.priced,
        began_ms=state.began_ms,
        at_ms=state.at_ms,
    )


def decode_snapshot(data: bytes) -> Snapshot:
    """Raises `msgspec.MsgspecError`: it is none."""
    return _snapshots.decode(data)


def restore(state: WorkflowState, taken: Snapshot) -> None:
    """Make a state what it was when the snapshot was taken."""
    state.started = taken.started
    state.steps = {step.id: taken.steps[step.id] for step in taken.started.workflow.steps}
    state.signals = taken.signals
    state.signal_ids = dict.fromkeys(taken.signal_ids)
    state.completed = taken.completed
    state.paused = taken.paused
    state.closing = taken.closing
    state.ended = taken.ended
    state.spent = taken.spent
    state.priced = taken.priced
    state.began_ms = taken.began_ms
    state.at_ms = taken.at_ms
    index(state)
