"""Ignored: what a step says that nothing would ever read: limits of what it does not do, templates in names.

Pure. Invariant: what is not refused here or in `steps.py` has an effect.
"""

from collections.abc import Iterator
from typing import Final

from ..definition import OnFailure, Workflow
from ..expressions.template import Place
from ..problem import Problem
from ..step import Kind, Step
from .place import where

_BLANK: Final = Step(id="")
_UNREAD: Final = {  # fields by kind, and what does the same there
    Kind.SLEEP: {"retry": "", "timeout": "", "effect": ""},
    Kind.SIGNAL: {"retry": "; its timeout says how long it waits", "effect": ""},
    Kind.GATE: {"retry": "", "timeout": "; approve.ttl says how long it waits", "effect": ""},
}
_PLAIN: Final = (
    "action",
    "workflow",
    "wait_signal",
)  # names, which are no templates; an agent's is checked anyway


def ignored_problems(workflow: Workflow) -> Iterator[Problem]:
    """What each step says in vain."""
    for number, step in enumerate(workflow.steps):
        for field, message in (*_unread(step), *_never_undone(step, workflow), *_templates(step)):
            place: Place = ("steps", number, *field.split("."))
            yield Problem(where=where(workflow, place), message=message, place=place)


def _unread(step: Step) -> Iterator[tuple[str, str]]:
    unread = _UNREAD.get(step.kind, {}) if len(step.kinds) == 1 else {}
    for name, instead in unread.items():
        if getattr(step, name) != getattr(_BLANK, name):
            yield name, f"a step of this kind ({step.kind}) has no {name}{instead}"


def _never_undone(step: Step, workflow: Workflow) -> Iterator[tuple[str, str]]:
    if step.undo and workflow.on_failure is not OnFailure.COMPENSATE:
        how = f"on_failure is {workflow.on_failure}"
        yield "undo", f'it would never be undone, for {how}: say on_failure = "compensate"'


def _templates(step: Step) -> Iterator[tuple[str, str]]:
    named = {name: getattr(step, name) for name in _PLAIN}
    if step.approve:
        named |= {"approve.approver": step.approve.approver, "approve.escalate_to": step.approve.escalate_to}
    if step.undo:
        named["undo.action"] = step.undo.action
    for field, value in named.items():
        if "${" in value:
            yield field, f"{value!r} would be taken as it stands: a {field} is a name, and no template"
