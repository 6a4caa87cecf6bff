"""Inputs: what a run is given, held against what its workflow says it needs."""

from ...bus.value import Json, JsonObject
from ..runs.schema import misfit
from .definition import Input, InputType, Workflow
from .nearest import nearest
from .problem import Problem, invalid


def take_inputs(workflow: Workflow, given: JsonObject) -> JsonObject:
    """All inputs of a run: what was given, the defaults, and null for what may be missing.

    Raises:
        InvalidWorkflow: Something is missing, unknown, or does not fit; it tells all of it.
    """
    problems = [*_unknown(workflow, given)]
    for name, one in workflow.inputs.items():
        told = input_misfit(one, given[name]) if name in given else "it is missing" * one.needed
        if told:
            problems.append(Problem(where=f"inputs.{name}", message=told, place=("inputs", name)))
    if problems:
        raise invalid(workflow.name, problems)
    return {name: given.get(name, one.default) for name, one in workflow.inputs.items()}


def input_misfit(one: Input, value: Json) -> str:
    """Why a value does not fit an input; empty: it does. Null fits what is not needed."""
    if value is None and not one.needed:
        return ""
    typed: JsonObject = {} if one.type is InputType.ANY else {"type": one.type.value}
    told = misfit(value, typed) or misfit(value, one.schema)
    return told.replace("$", "it", 1)


def _unknown(workflow: Workflow, given: JsonObject) -> list[Problem]:
    return [
        Problem(where=f"inputs.{name}", message=f"there is no such input{nearest(name, workflow.inputs)}")
        for name in given
        if name not in workflow.inputs
    ]
