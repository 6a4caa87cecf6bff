"""Given: whether what a workflow is given, by a step of another or by a trigger, is what its inputs are.

Pure. Values that only the run will know are not judged; a reference to an input of the giver has its type.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from ....bus.errors import ConfigError
from ....bus.value import Json, JsonObject
from ...runs.schema import check_schema
from ..definition import Input, InputType, Workflow
from ..expressions.error import ExpressionError
from ..expressions.names import names
from ..expressions.syntax import Expression, Path
from ..expressions.template import Place, read_text, texts
from ..inputs import input_misfit
from ..nearest import nearest

Told: TypeAlias = tuple[Place, str]
_FITS: Final = {(InputType.INTEGER, InputType.NUMBER)}  # beside what is the same


def given_problems(
    workflow: Workflow, given: Json, at: Place, giver: Workflow | None = None
) -> Iterator[Told]:
    """Inputs of a workflow that are missing in what it shall be given, that it has not, or that do not fit.

    Args:
        given: A template.
        at: Where that stands.
        giver: The workflow whose inputs the template may name; None: it may name none.
    """
    if not isinstance(given, dict):
        if given is None:
            yield from _named(workflow, {}, at, giver)
        elif not (isinstance(given, str) and _alone(given)):
            yield at, f"the inputs of workflow {workflow.name} are a table, by name, not {given!r:.60}"
        return
    yield from _named(workflow, given, at, giver)


def _named(workflow: Workflow, given: JsonObject, at: Place, giver: Workflow | None) -> Iterator[Told]:
    for name, one in workflow.inputs.items():
        if one.needed and name not in given:
            yield at, f"workflow {workflow.name} needs the input {name!r}, which is missing"
    for name, value in given.items():
        if name not in workflow.inputs:
            hint = nearest(name, workflow.inputs)
            yield (*at, name), f"workflow {workflow.name} has no input {name!r}{hint}"
        elif told := _misfit(workflow.inputs[name], value, giver):
            yield (*at, name), f"input {name!r} of workflow {workflow.name}: {told}"


def _misfit(one: Input, value: Json, giver: Workflow | None) -> str:
    """Why a template cannot yield what an input takes; empty: it may."""
    if not any("${" in text for _, text in texts(value)):
        return input_misfit(one, value) if _checkable(one) else ""
    if not isinstance(value, str):
        return ""
    expression = _alone(value)
    if expression is None:
        return "" if one.type in (InputType.ANY, InputType.STRING) else f"it must be {one.type}, not text"
    return _mismatch(one, _named_input(expression, giver))


def _checkable(one: Input) -> bool:
    """Whether its schema is one; what is wrong with it is told elsewhere."""
    try:
        check_schema(one.schema)
    except ConfigError:
        return False
    return True


def _mismatch(one: Input, source: Input | None) -> str:
    if source is None or InputType.ANY in (one.type, source.type) or one.type == source.type:
        return ""
    return "" if (source.type, one.type) in _FITS else f"it must be {one.type}, and that is {source.type}"


def _named_input(expression: Expression, giver: Workflow | None) -> Input | None:
    """The input of the giver that an expression names as a whole."""
    match expression.root:
        case Path() as path if giver and path.name == "inputs" and len(path.parts) == 1:
            return giver.inputs.get(names(path)[-1])
        case _:
            return None


def _alone(text: str) -> Expression | None:
    """The expression that a text is as a whole; one that cannot be read is told elsewhere."""
    try:
        pieces = read_text(text)
    except ExpressionError:
        return None
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Expression) else None
