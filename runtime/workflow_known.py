"""Known: the agents and workflows that the names in a workflow are looked up among."""

from collections.abc import Iterable, Mapping

import msgspec

from ..actors.definition import Definition
from ..actors.workflows.definition import Workflow
from .workflow_parts import workflows_in


class Known(msgspec.Struct, frozen=True):
    """Names of agents, workflows among them, and the workflows by their names."""

    agents: frozenset[str]
    workflows: Mapping[str, Workflow]

    @classmethod
    def of(cls, definitions: Iterable[Definition]) -> "Known":
        """Those of a program, or of a namespace."""
        there = list(definitions)
        return cls(frozenset(one.name for one in there), workflows_in(there))

    def including(self, workflows: Mapping[str, Workflow]) -> "Known":
        """With these workflows too, instead of those that are called the same."""
        return Known(self.agents | workflows.keys(), {**self.workflows, **workflows})
