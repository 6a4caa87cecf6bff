"""Putting off: whether a page may be written a little later, together with what pure steps bring meanwhile.

Pure. Invariant: nothing that is put off would be missed after a crash: what it says is found again, or made
again without harm.
"""

from collections.abc import Sequence
from typing import Final

from ..runs.effect import EffectClass
from .fact import Done, FannedOut, Opened, Scheduled, Skipped
from .record import WorkflowFact
from .state import WorkflowState

MOST: Final = 256  # facts that are put off together
_QUIET: Final = (Done, FannedOut, Opened, Scheduled, Skipped)


def can_be_put_off(state: WorkflowState, said: Sequence[WorkflowFact]) -> bool:
    """Whether facts that do not stand yet are only of steps that go well, and pure ones among them begin."""
    return (
        0 < len(said) <= MOST
        and state.closing is None
        and state.ended is None
        and all(isinstance(fact, _QUIET) for fact in said)
        and _pure_ones_begin(state, said)
    )


def _pure_ones_begin(state: WorkflowState, said: Sequence[WorkflowFact]) -> bool:
    effects = {state.dag.steps[fact.step].effect for fact in said if isinstance(fact, Scheduled)}
    return effects == {EffectClass.PURE}
