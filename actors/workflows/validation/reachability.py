"""Reachability: whether every step can run: no cycle, no condition that is never true, no late undo."""

from collections.abc import Iterator
from itertools import chain

from ..definition import Workflow
from ..expressions.error import ExpressionError
from ..expressions.evaluation import evaluate
from ..expressions.names import paths
from ..expressions.template import Place, read_condition
from ..order import Needs, cycles, layers, needs_of
from ..problem import Problem
from ..references import Reference, references, templates_of
from ..step import Step
from .place import where


def order_problems(workflow: Workflow) -> Iterator[Problem]:
    """Cycles; where there is none, steps that never run, and undos that refer to what may not have run."""
    found = list(cycle_problems(workflow))
    yield from found
    if not found:
        needs = needs_of(workflow)
        yield from _never(workflow, needs)
        yield from _undos(workflow, needs)


def cycle_problems(workflow: Workflow) -> Iterator[Problem]:
    """Steps that wait for themselves by way of others."""
    numbers = {step.id: number for number, step in enumerate(workflow.steps)}
    for path in cycles(needs_of(workflow)):
        place: Place = ("steps", numbers[path[1]])
        told = f"it is part of a cycle: {' -> '.join(path)}, each runs before the next; take one out"
        yield _problem(workflow, place, told)


def _never(workflow: Workflow, needs: Needs) -> Iterator[Problem]:
    """Steps whose condition is never true, and those that wait for nothing but such steps."""
    numbers = {step.id: number for number, step in enumerate(workflow.steps)}
    false = [step.id for step in workflow.steps if _never_true(step)]
    for one in false:
        yield _problem(workflow, ("steps", numbers[one], "when"), "it is never true: the step never runs")
    for one in _starved(needs, set(false)):
        told = f"it never runs, for nothing that it waits for does ({', '.join(needs[one])})"
        yield _problem(workflow, ("steps", numbers[one]), told)


def _starved(needs: Needs, never: set[str]) -> Iterator[str]:
    """Steps all of whose dependencies never run."""
    for one in chain.from_iterable(layers(needs)):
        if needs[one] and one not in never and never.issuperset(needs[one]):
            never.add(one)
            yield one


def _never_true(step: Step) -> bool:
    """Whether a condition is false whatever happens; one that cannot be read is told elsewhere."""
    if not step.when:
        return False
    try:
        condition = read_condition(step.when)
        return next(paths(condition), None) is None and not evaluate(condition, {})
    except ExpressionError:
        return False


def _undos(workflow: Workflow, needs: Needs) -> Iterator[Problem]:
    for number, step in enumerate(workflow.steps):
        late = [template for template in templates_of(step, number) if template.late]
        before = _upstream(step.id, needs) if late else set()
        for one in chain.from_iterable(map(references, late)):
            if isinstance(one, Reference) and one.step in needs.keys() - before:
                told = f"{one.step} may not have run by then: add it to the step's depends_on"
                yield _problem(workflow, one.place, told)


def _upstream(step: str, needs: Needs) -> set[str]:
    """The step, and all that surely ran or was skipped before it."""
    found, open_ = {step}, [step]
    while open_:
        for before in needs[open_.pop()]:
            if before not in found:
                found.add(before)
                open_.append(before)
    return found


def _problem(workflow: Workflow, place: Place, message: str) -> Problem:
    return Problem(where=where(workflow, place), message=message, place=place)
