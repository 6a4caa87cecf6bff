"""Headers: what can be wrong with a workflow's name, inputs and limits, whatever its steps are."""

import re
from collections.abc import Iterator
from typing import Final

from ....bus.errors import ConfigError
from ....bus.subjects import token
from ...runs.schema import check_schema
from ..definition import Input, Workflow
from ..inputs import input_misfit
from ..problem import Problem

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")
NAME_RULE: Final = "must begin with a letter or '_' and be at most 63 letters, digits, '_' and '-'"


def header_problems(workflow: Workflow) -> Iterator[Problem]:
    """What is wrong apart from the steps."""
    try:
        token(workflow.name, "a workflow's name")
    except ConfigError as error:
        yield Problem(where="name", message=error.message, place=("name",))
    for name, one in workflow.inputs.items():
        for told in _input(name, one):
            yield Problem(where=f"inputs.{name}", message=told, place=("inputs", name))
    if not workflow.steps:
        yield Problem(
            where="steps", message="there are none: a workflow needs at least one", place=("steps",)
        )


def _input(name: str, one: Input) -> Iterator[str]:
    if not NAME.match(name):
        yield f"the name {name!r} {NAME_RULE}"
    try:
        check_schema(one.schema)
    except ConfigError as error:
        yield error.message
        return
    told = input_misfit(one, one.default) if one.default is not None else ""
    if told:
        yield f"its default does not fit: {told}"
