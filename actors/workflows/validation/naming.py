"""Naming: whether what a workflow names is there: steps, inputs, agents, other workflows."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ....bus.errors import ConfigError
from ....bus.subjects import agent_id
from ....bus.task import Result
from ..definition import Workflow
from ..expressions.template import Place
from ..nearest import nearest
from ..problem import Problem
from ..references import Reference, Template, Unreadable, references, templates_around, templates_of
from ..step import Step
from .given import Told, given_problems
from .place import spelled, where

OF_A_STEP: Final = frozenset(Result.__struct_fields__)
OF_A_RUN: Final = frozenset({"id"})


def naming_problems(
    workflow: Workflow, agents: Collection[str] | None, workflows: Mapping[str, Workflow] | None
) -> Iterator[Problem]:
    """Names that mean nothing, each with the nearest one that does."""
    for place, message in _all(workflow, agents, workflows):
        yield Problem(where=where(workflow, place), message=message, place=place)


def _all(
    workflow: Workflow, agents: Collection[str] | None, workflows: Mapping[str, Workflow] | None
) -> Iterator[Told]:
    ids = frozenset(step.id for step in workflow.steps)
    for number, step in enumerate(workflow.steps):
        at: Place = ("steps", number)
        yield from _dependencies(step, at, ids)
        yield from _agents(step, at, agents)
        yield from _workflow(step, at, workflow, workflows)
        for template in templates_of(step, number):
            yield from _template(template, workflow, ids, step)
    for template in templates_around(workflow):
        yield from _template(template, workflow, ids)


def _dependencies(step: Step, at: Place, ids: frozenset[str]) -> Iterator[Told]:
    for place, one in enumerate(step.depends_on):
        if one == step.id:
            yield (*at, "depends_on", place), "a step cannot wait for itself: take it out"
        elif one not in ids:
            yield (*at, "depends_on", place), f"there is no step {one!r}{nearest(one, ids - {step.id})}"


def _agents(step: Step, at: Place, agents: Collection[str] | None) -> Iterator[Told]:
    named = [((*at, "agent"), step.agent)]
    if step.undo:
        named.append(((*at, "undo", "agent"), step.undo.agent))
    for place, name in named:
        if not name:
            continue
        try:
            agent_id(name)
        except ConfigError as error:
            yield place, error.message
        else:
            if agents is not None and name not in agents:
                yield place, f"there is no agent {name!r}{nearest(name, agents)}"


def _workflow(
    step: Step, at: Place, workflow: Workflow, workflows: Mapping[str, Workflow] | None
) -> Iterator[Told]:
    other = workflow if step.workflow == workflow.name else (workflows or {}).get(step.workflow)
    if not step.workflow or (other is None and workflows is None):
        return
    if other is None:
        hint = nearest(step.workflow, workflows or ())
        yield (*at, "workflow"), f"there is no workflow {step.workflow!r}{hint}"
    else:
        yield from given_problems(other, step.inputs, (*at, "inputs"), workflow)


def _template(
    template: Template, workflow: Workflow, ids: frozenset[str], step: Step | None = None
) -> Iterator[Told]:
    for one in references(template):
        match one:
            case Unreadable():
                yield one.place, one.error.message
            case Reference():
                told = _told(one, workflow, ids, step)
                if told:
                    yield one.place, f"in {one.source!r} at column {one.at + 1}: {told}"


def _told(one: Reference, workflow: Workflow, ids: frozenset[str], step: Step | None) -> str:
    """What is wrong with one name; empty: nothing."""
    match one.names:
        case (root, *_) if root not in one.template.may:
            return f"there is no {root!r} here{nearest(root, one.template.may)}"
        case ("inputs", name, *_):
            return _unless_known("input", name, workflow.inputs)
        case ("steps", own, *_) if step and own == step.id and not one.template.late:
            return "a step cannot refer to itself: it has no result yet"
        case ("steps", name, *rest):
            return _unless_known("step", name, ids) or _member(name, rest)
        case ("steps",):
            return "name the step: steps.<id>.data"
        case ("run", name, *_):
            return _unless_known("run.", name, OF_A_RUN)
        case _:
            return ""


def _member(step: str, rest: list[str]) -> str:
    if not rest:
        return f"say what of it: {spelled(('steps', step, 'data'))}"
    return _unless_known(f"steps.{step}.", rest[0], OF_A_STEP)


def _unless_known(what: str, name: str, known: Collection[str]) -> str:
    joined = what + name if what.endswith(".") else f"{what} {name!r}"
    return "" if name in known else f"there is no {joined}{nearest(name, known)}"
