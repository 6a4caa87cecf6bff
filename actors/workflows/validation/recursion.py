"""Recursion: workflows that run themselves again and again, by their own steps or by way of others.

Pure. A run may well end up in its own workflow where something on the way can keep a step from running: a
`when`, a `for_each` or a person. Invariant: what is refused would never have ended by itself.
"""

from collections.abc import Iterator, Mapping

from ..definition import Workflow
from ..order import needs_of
from ..problem import Problem
from .place import where


def recursion_problems(workflow: Workflow, workflows: Mapping[str, Workflow] | None) -> Iterator[Problem]:
    """Steps by which the workflow surely runs itself.

    Args:
        workflows: Others there are, by name; None: only its own steps are looked at.
    """
    there = {**(workflows or {}), workflow.name: workflow}
    for number, step in enumerate(workflow.steps):
        if step.workflow and step.id in _certain(workflow):
            way = _way(step.workflow, workflow.name, there)
            if way:
                place = ("steps", number, "workflow")
                told = f"it never ends: {' -> '.join((workflow.name, *way))}; give a step on the way a `when`"
                yield Problem(where=where(workflow, place), message=told, place=place)


def _way(start: str, goal: str, there: Mapping[str, Workflow]) -> tuple[str, ...]:
    """The shortest way from one workflow to another by steps that surely run; empty: there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:  # it grows meanwhile
        if way[-1] == goal:
            return way
        for other in _runs(there.get(way[-1])):
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()


def _runs(workflow: Workflow | None) -> list[str]:
    """Workflows that every run of one runs."""
    if workflow is None:
        return []
    certain = _certain(workflow)
    return [step.workflow for step in workflow.steps if step.workflow and step.id in certain]


def _certain(workflow: Workflow) -> set[str]:
    """Steps that run in every run that does not fail."""
    steps, needs = {step.id: step for step in workflow.steps}, needs_of(workflow)
    certain: set[str] = set()
    for step_id in steps:
        before, open_ = {step_id}, [step_id]
        while open_:
            fresh = set(needs[open_.pop()]) - before
            before |= fresh
            open_ += fresh
        if not any(steps[one].when or steps[one].for_each or steps[one].approve for one in before):
            certain.add(step_id)
    return certain
