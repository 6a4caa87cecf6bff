"""Reference: one name that a workflow uses in a template, where it does, and what a step therefore waits for.

Not responsible for whether it exists: see `validation/`.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ...bus.value import Json
from .definition import Workflow
from .expressions.error import ExpressionError
from .expressions.names import names, paths
from .expressions.syntax import Expression
from .expressions.template import Place, read_condition, read_text, texts
from .step import Step

SCOPE: Final = frozenset({"inputs", "steps", "run"})


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template of a workflow.

    Attributes:
        place: Where it stands: `("steps", 2, "inputs")`.
        may: Names that its expressions can use.
        condition: It is an expression itself, with or without `${}`.
        late: It is read after the step ran: what it refers to is no dependency.
    """

    place: Place
    value: Json
    may: frozenset[str] = SCOPE
    condition: bool = False
    late: bool = False


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One name in use.

    Attributes:
        names: The name, as far as it is plain: `("steps", "fetch", "data")`.
        at: Offset in the source.
    """

    template: Template
    place: Place
    names: tuple[str, ...]
    source: str
    at: int

    @property
    def step(self) -> str:
        """The id of the step it refers to; empty: to none."""
        return self.names[1] if self.names[0] == "steps" and len(self.names) > 1 else ""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a template that cannot be read."""

    template: Template
    place: Place
    error: ExpressionError


def templates_of(step: Step, number: int) -> Iterator[Template]:
    """Every template of a step.

    Args:
        number: The step's index in its workflow.
    """
    at: Place = ("steps", number)
    each = step.for_each
    items = SCOPE | {each.item, "index"} if each else SCOPE
    for name, value in (("spec", step.spec), ("inputs", step.inputs), ("constraints", step.constraints)):
        yield Template(place=(*at, name), value=value, may=items)
    for name, value in (("sleep", step.sleep), ("until", step.until)):
        yield Template(place=(*at, name), value=value)
    if step.when:
        yield Template(place=(*at, "when"), value=step.when, condition=True)
    if each:
        yield Template(place=(*at, "for_each", "items"), value=each.items)
    if step.approve:
        yield Template(place=(*at, "approve", "question"), value=step.approve.question)
    if step.undo:
        for name, value in (("spec", step.undo.spec), ("inputs", step.undo.inputs)):
            yield Template(place=(*at, "undo", name), value=value, may=items, late=True)


def templates_around(workflow: Workflow) -> Iterator[Template]:
    """Every template of a workflow that is no step's."""
    yield Template(place=("outputs",), value=workflow.outputs, late=True)
    for number, trigger in enumerate(workflow.triggers):
        at = ("triggers", number, "inputs")
        yield Template(place=at, value=trigger.inputs, may=frozenset({"trigger"}), late=True)


def references(template: Template) -> Iterator[Reference | Unreadable]:
    """All names that a template uses, and the texts of it that cannot be read."""
    for at, text in texts(template.value):
        place = (*template.place, *at)
        try:
            found = _expressions(text, condition=template.condition)
        except ExpressionError as error:
            yield Unreadable(template=template, place=place, error=error)
            continue
        for expression in found:
            for path in paths(expression):
                yield Reference(
                    template=template, place=place, names=names(path), source=expression.source, at=path.at
                )


def dependencies(step: Step) -> tuple[str, ...]:
    """Ids of the steps it waits for: those in `depends_on`, and those its templates refer to; each once.

    What its undo refers to is not waited for. An id may be no step's, where the workflow was not validated.
    """
    used = [
        one.step
        for template in templates_of(step, 0)
        if not template.late
        for one in references(template)
        if isinstance(one, Reference) and one.step
    ]
    return tuple(dict.fromkeys([*step.depends_on, *used]))


def _expressions(text: str, *, condition: bool) -> list[Expression]:
    if condition:
        return [read_condition(text)]
    return [piece for piece in read_text(text) if isinstance(piece, Expression)]
