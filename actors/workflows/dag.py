"""Dag: the steps of a workflow, what each waits for, and what waits for each.

Not responsible for whether it is one: see `validate.py`. Invariant: a fixed value of the definition alone.
"""

from collections.abc import Iterator

from .definition import Workflow
from .order import needs_of
from .step import Step


class Dag:
    """Steps by id, with their neighbours.

    Attributes:
        steps: In the order of the definition.
        kinds: What each does.
        needs: What a step waits for: what it refers to, and `depends_on`.
        needed_by: What waits for a step.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.steps: dict[str, Step] = {step.id: step for step in workflow.steps}
        self.kinds = {step.id: step.kind for step in workflow.steps}
        self.needs = needs_of(workflow)
        self.needed_by: dict[str, list[str]] = {step.id: [] for step in workflow.steps}
        for step_id, needs in self.needs.items():
            for need in needs:
                self.needed_by[need].append(step_id)
        ranks = sorted(workflow.steps, key=lambda step: -step.priority)
        self._ranks = {step.id: rank for rank, step in enumerate(ranks)}
        self._ranked = [step.id for step in ranks]

    def rank(self, step_id: str) -> int:
        """Its place where there is room for one only: by priority, then as the definition has them."""
        return self._ranks[step_id]

    def ranked(self, rank: int) -> str:
        """The step of that rank."""
        return self._ranked[rank]

    @property
    def sinks(self) -> Iterator[str]:
        """Steps on which no other depends."""
        return (step_id for step_id, waiting in self.needed_by.items() if not waiting)

    def downstream(self, step_id: str) -> set[str]:
        """A step, and all that depends on it."""
        found, open_ = {step_id}, [step_id]
        while open_:
            for waiting in self.needed_by[open_.pop()]:
                if waiting not in found:
                    found.add(waiting)
                    open_.append(waiting)
        return found
