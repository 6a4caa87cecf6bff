"""WorkflowState: where a workflow run stands.

Owned by its book and changed in place, by `fold.py` alone: a frozen copy for each fact would make a fan-out
of a thousand items a million copies. Not responsible for what to do next: see `plan.py`. Invariant: all of it
follows from the run's pages, so two workers that read the same pages see the same.
"""

from ...bus.value import JsonObject
from ..runs.budget import NOTHING, Cost
from .agenda import Agenda
from .branch import Branch, Place, StepState
from .dag import Dag
from .definition import Workflow
from .edition import Dags
from .record import Closing, Ended, Signalled, Started

_NONE = Workflow(name="")


class WorkflowState:
    """Everything that is known of a run.

    Attributes:
        steps: By id, in the order of the definition.
        signals: That no step took yet, by name, the oldest first.
        signal_ids: Of all that came.
        completed: Branches that an undo would have to take back, in the order they ended.
        spent: By all steps together, as their results say it.
        priced: Whether all of it has a known price.
        began_ms: Wall clock of its first page.
        at_ms: Wall clock of its newest page.
        dags: Where what follows from definitions is kept.
        dag: Of its definition.
        agenda: What could go on.
        views: What templates see of the steps that are over.
    """

    def __init__(self, dags: Dags | None = None) -> None:
        self.started: Started | None = None
        self.steps: dict[str, StepState] = {}
        self.signals: dict[str, list[Signalled]] = {}
        self.signal_ids: dict[str, None] = {}
        self.completed: list[Place] = []
        self.paused = False
        self.closing: Closing | None = None
        self.ended: Ended | None = None
        self.spent: Cost = NOTHING
        self.priced = True
        self.began_ms = 0
        self.at_ms = 0
        self.dags = dags or Dags()
        self.dag = Dag(_NONE)
        self.agenda = Agenda({})
        self.views: dict[str, JsonObject] = {}

    @property
    def workflow(self) -> Workflow:
        """The definition that it is pinned to."""
        return self.started.workflow if self.started else _NONE

    @property
    def run(self) -> str:
        """Its id."""
        return self.started.run if self.started else ""

    def branch(self, place: Place) -> Branch:
        """The branch of that name."""
        return self.steps[place.step].branches[place.item]
