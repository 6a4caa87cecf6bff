"""Drawing: a workflow for a terminal: layers from top to bottom, in each what can run side by side.

Steps of a layer that do the same after the same steps share a line, so a hundred side by side are one line,
and the whole fits a screen. Invariant: no line is longer than the width.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from .caption import marks, what
from .definition import Workflow
from .order import Needs, cycles, layers, needs_of
from .step import Step

_SHOWN: Final = 4  # names of a list before it is cut
_NAMES: Final = 28  # characters of the column of names
_ALIKE: Final = 3  # more steps alike than these share a line
Row: TypeAlias = tuple[str, str]  # a name, or several, and what is told of it


def drawing(workflow: Workflow, width: int = 80) -> str:
    """The drawing, with a line break at the end of each line.

    Args:
        width: Characters of a line.
    """
    needs = needs_of(workflow)
    found = cycles(needs)
    lines = [f"cycle: {' -> '.join(path)}" for path in found] or _lines(workflow, needs)
    return "".join(f"{_cut(line, width)}\n" for line in lines)


def _lines(workflow: Workflow, needs: Needs) -> Iterator[str]:
    steps = {step.id: step for step in workflow.steps}
    rows = [_rows([steps[one] for one in layer], needs) for layer in layers(needs)]
    names = min(max((len(name) for layer in rows for name, _ in layer), default=0), _NAMES)
    yield _title(workflow, len(rows))
    for number, layer in enumerate(rows, 1):
        yield from _layer(number, layer, names)


def _title(workflow: Workflow, depth: int) -> str:
    steps = len(workflow.steps)
    told = f"{steps} step{'s' * (steps != 1)} in {depth} layer{'s' * (depth != 1)}"
    return f"{workflow.name}: {told}, at most {workflow.max_parallel} at a time"


def _layer(number: int, rows: Sequence[Row], names: int) -> Iterator[str]:
    for place, (name, told) in enumerate(rows):
        head = f"{number:>3} " if place == 0 else "    "
        yield f"{head}{_branch(place, len(rows))} {name:<{names}}  {told}".rstrip()


def _branch(place: int, count: int) -> str:
    if count == 1:
        return "──"
    if place == 0:
        return "┬─"
    return "└─" if place == count - 1 else "├─"


def _groups(layer: Sequence[Step], needs: Needs) -> list[list[Step]]:
    """Steps that differ in their names only."""
    found: dict[tuple[object, ...], list[Step]] = {}
    for step in layer:
        found.setdefault((*_about(step), needs[step.id]), []).append(step)
    return list(found.values())


def _rows(layer: Sequence[Step], needs: Needs) -> list[Row]:
    return [row for group in _groups(layer, needs) for row in _group(group, needs)]


def _group(group: Sequence[Step], needs: Needs) -> list[Row]:
    about = "  ".join([*_about(group[0]), *_after(needs[group[0].id])])
    if len(group) <= _ALIKE:
        return [(step.id, about) for step in group]
    return [(f"{group[0].id} … {group[-1].id}", f"{len(group)} steps  {about}")]


def _about(step: Step) -> list[str]:
    said = ", ".join([*marks(step), *(["when"] if step.when else ())])
    return [one for one in (what(step), f"[{said}]" if said else "") if one]


def _after(before: Sequence[str]) -> list[str]:
    if not before:
        return []
    more = f", … {before[-1]} ({len(before)} in all)" if len(before) > _SHOWN else ""
    shown = before[: _SHOWN - 1] if more else before
    return [f"← {', '.join(shown)}{more}"]


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
