"""Steps: what can be wrong with one step by itself, whatever else is in its workflow."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, TypeAlias

from ...runs.approval import OnExpiry
from ...runs.effect import EffectClass
from ..definition import Workflow
from ..duration import seconds
from ..expressions.error import ExpressionError
from ..expressions.template import Place, read_text
from ..problem import Problem
from ..references import SCOPE
from ..step import Kind, Step
from .headers import NAME, NAME_RULE
from .place import where

_ID: Final = re.compile(r"[a-z_][a-z0-9_-]{0,62}\Z")
_TASK: Final = ("action", "spec", "constraints", "undo")  # fields that only a task for an agent has
_GIVEN: Final = ("inputs", "for_each")  # those that a workflow has as well
_BLANK: Final = Step(id="")
Told: TypeAlias = tuple[str, str]  # the field, and what is wrong with it


def step_problems(workflow: Workflow) -> Iterator[Problem]:
    """What is wrong with each step."""
    ids = Counter(step.id for step in workflow.steps)
    for number, step in enumerate(workflow.steps):
        at: Place = ("steps", number)
        for check in _CHECKS:
            for field, message in check(step):
                place = (*at, *field.split("."))
                yield Problem(where=where(workflow, place), message=message, place=place)
        if ids[step.id] > 1:
            told = f"{ids[step.id]} steps have the id {step.id!r}: give each its own"
            yield Problem(where=where(workflow, (*at, "id")), message=told, place=(*at, "id"))


def _id(step: Step) -> Iterator[Told]:
    if not _ID.match(step.id):
        yield "id", f"{step.id!r} must begin with a-z or '_' and be at most 63 of a-z, 0-9, '_' and '-'"


def _kind(step: Step) -> Iterator[Told]:
    kinds = step.kinds
    if not kinds:
        yield "id", "it does nothing: give it agent, workflow, sleep, until, wait_signal or approve"
    if len(kinds) > 1:
        yield kinds[1], f"it does more than one thing, {' and '.join(kinds)}: make a step of each"
    if step.sleep is not None and step.until:
        yield "until", "it has sleep and until: give one of them"


def _fields(step: Step) -> Iterator[Told]:
    """Fields that what it does has no use for."""
    if len(step.kinds) != 1 or step.kind is Kind.AGENT:
        return
    useless = _TASK if step.kind is Kind.WORKFLOW else _TASK + _GIVEN
    for name in useless:
        if getattr(step, name) != getattr(_BLANK, name):
            yield name, f"a step of this kind ({step.kind}) has no {name}"


def _effect(step: Step) -> Iterator[Told]:
    if step.undo and step.effect is not EffectClass.COMPENSABLE:
        yield "undo", 'it has an undo, so say effect = "compensable"'
    if step.effect is EffectClass.COMPENSABLE and not step.undo:
        yield "effect", "it is compensable, so it needs undo"


def _fan_out(step: Step) -> Iterator[Told]:
    each = step.for_each
    if each is None:
        return
    if not NAME.match(each.item):
        yield "for_each.item", f"{each.item!r} {NAME_RULE}"
    if each.item in SCOPE | {"index"}:
        yield "for_each.item", f"{each.item!r} means something else already: choose another name"
    match each.items:
        case list() if len(each.items) > each.limit:
            yield "for_each.items", f"it has {len(each.items)} items and the limit is {each.limit}"
        case list():
            return
        case str() if _alone(each.items):
            return
        case _:
            yield "for_each.items", "it must be a list, or one ${...} that yields a list"


def _approval(step: Step) -> Iterator[Told]:
    asked = step.approve
    if asked and asked.on_expiry is OnExpiry.ESCALATE and not asked.escalate_to:
        yield "approve.on_expiry", "escalate needs escalate_to: who is asked then"


def _moments(step: Step) -> Iterator[Told]:
    if isinstance(step.sleep, str) and not _alone(step.sleep):
        try:
            seconds(step.sleep)
        except ValueError as error:
            yield "sleep", str(error)
    if step.until and not _alone(step.until) and not _moment(step.until):
        yield "until", f"{step.until!r} is no moment with its zone: write it as 2027-01-31T09:00:00+01:00"


def _alone(text: str) -> bool:
    """Whether a text is exactly one `${...}`; one that cannot be read is told elsewhere."""
    try:
        pieces = read_text(text)
    except ExpressionError:
        return True
    return len(pieces) == 1 and not isinstance(pieces[0], str)


def _moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


_CHECKS: Final[tuple[Callable[[Step], Iterator[Told]], ...]] = (
    _id,
    _kind,
    _fields,
    _effect,
    _fan_out,
    _approval,
    _moments,
)
