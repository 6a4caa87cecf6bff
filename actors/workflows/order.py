"""Order: which steps of a workflow can run before which, and the cycles that make it impossible.

Pure, from what each step needs. Not responsible for what it needs: see `references.py`.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final, TypeAlias

from .definition import Workflow
from .references import dependencies

Needs: TypeAlias = Mapping[str, tuple[str, ...]]
_MOST: Final = 10  # cycles that are told


def needs_of(workflow: Workflow) -> Needs:
    """Of every step the other steps it waits for, as they are named."""
    known = {step.id for step in workflow.steps}
    return {
        step.id: tuple(one for one in dependencies(step) if one in known and one != step.id)
        for step in workflow.steps
    }


def cycles(needs: Needs) -> list[tuple[str, ...]]:
    """Cycles, each as its path: `a`, `b`, `a` where b waits for a and a for b. At most ten."""
    left = {step: list(before) for step, before in needs.items()}
    found: list[tuple[str, ...]] = []
    while len(found) < _MOST:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            path: list[str] = error.args[1]
            found.append(tuple(path))
            left[path[1]].remove(path[0])
        else:
            break
    return found


def layers(needs: Needs) -> list[tuple[str, ...]]:
    """Steps in the order they can run: each layer waits only for those before it.

    Raises:
        graphlib.CycleError: There is a cycle.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    place = {step: number for number, step in enumerate(needs)}
    found: list[tuple[str, ...]] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        found.append(tuple(ready))
        sorter.done(*ready)
    return found
