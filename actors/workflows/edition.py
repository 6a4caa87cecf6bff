"""Edition: a definition that was checked, with what follows from it; and Dags, so that it follows once.

Invariant: an edition can be run: cycles and unknown names were found before.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from .dag import Dag
from .definition import Workflow
from .problem import invalid
from .validation.validate import validate

KEPT: Final = 256  # definitions of which a process remembers what follows


class Edition(msgspec.Struct, frozen=True):
    """One definition, ready to be begun any number of times."""

    workflow: Workflow
    hash: str


def edition(workflow: Workflow) -> Edition:
    """Check a definition.

    Raises:
        InvalidWorkflow: It cannot work; it tells all that is wrong.
    """
    problems = validate(workflow)
    if problems:
        raise invalid(workflow.name, problems)
    return Edition(workflow, workflow.hash)


class Dags:
    """What follows from the definitions of the runs of one process, by their hash."""

    def __init__(self) -> None:
        self._dags: OrderedDict[str, Dag] = OrderedDict()

    def of(self, definition: str, workflow: Workflow) -> Dag:
        """The steps of a definition with that hash, and their neighbours."""
        dag = self._dags.get(definition)
        if dag is None:
            dag = self._dags[definition] = Dag(workflow)
            if len(self._dags) > KEPT:
                self._dags.popitem(last=False)
        return dag
