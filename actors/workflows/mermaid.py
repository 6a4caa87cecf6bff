"""Mermaid: a workflow as a flowchart that documents, issues and editors draw."""

from typing import Final

from .caption import marks, what
from .definition import Workflow
from .order import needs_of
from .step import Kind, Step

_SHAPES: Final = {
    Kind.AGENT: ("[", "]"),
    Kind.WORKFLOW: ("[[", "]]"),
    Kind.SLEEP: ("([", "])"),
    Kind.SIGNAL: (">", "]"),
    Kind.GATE: ("{{", "}}"),
}
_SIGNS: Final = str.maketrans({'"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "#": "#35;", "\n": " "})
_LONGEST: Final = 60  # characters of a label's line


def mermaid(workflow: Workflow) -> str:
    """The text of a flowchart; a dotted arrow leads to a step that runs only on a condition."""
    number = {step.id: place for place, step in enumerate(workflow.steps)}
    steps = {step.id: step for step in workflow.steps}
    lines = ["flowchart TD", *(f"    s{number[step.id]}{_box(step)}" for step in steps.values())]
    for one, before in needs_of(workflow).items():
        arrow = "-.->" if steps[one].when else "-->"
        lines += [f"    s{number[other]} {arrow} s{number[one]}" for other in before]
    return "\n".join(lines) + "\n"


def _box(step: Step) -> str:
    left, right = _SHAPES[step.kind] if step.kinds else _SHAPES[Kind.AGENT]
    told = [step.id, what(step), *([f"when {step.when}"] if step.when else ()), *marks(step)]
    label = "<br/>".join(one[:_LONGEST].translate(_SIGNS) for one in told if one)
    return f'{left}"{label}"{right}'
