"""WorkflowView: workflows and their runs as rows and lines of text.

Pure. Invariant: no line is longer than asked for.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ...bus.value import JsonObject
from ..views.run_lines import safe
from ..views.workflow_tree import MARKS, head, progress, seconds

if TYPE_CHECKING:
    from ...actors.workflows.definition import Workflow
    from ..workflow_told import ListedRun

RUNS: Final = ("RUN", "STATE", "AT", "TOOK", "ERROR")
WORKFLOWS: Final = ("WORKFLOW", "DEFINITION", "STEPS", "TRIGGERS", "DESCRIPTION")
BAR: Final = 24  # characters of the line of time


def run_row(one: "ListedRun") -> tuple[str, ...]:
    """A run in a list."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at_ms / 1000))
    return one.run, one.state, at, seconds(one.ms) if one.ms else "", safe(one.error, 80)


def workflow_row(one: "Workflow") -> tuple[str, ...]:
    """A workflow in a list."""
    triggers = ", ".join(str(which.__struct_config__.tag) for which in one.triggers)
    return one.name, one.hash, str(len(one.steps)), triggers, safe(one.description, 60)


def timeline(run: JsonObject, width: int) -> list[str]:
    """A run and its steps, each with a bar from its beginning to its end."""
    lines = [head(run)]
    if closing := run.get("closing"):
        lines.append(f"! {closing['why']}: {safe(closing.get('error', ''), 200)}")
    lines += _steps(run)
    if signals := run.get("signals"):
        waiting = ", ".join(f"{safe(name)} ({count})" for name, count in signals.items() if count)
        lines += [f"signals that no step took yet: {waiting}"] if waiting else []
    result = run.get("result") or {}
    if error := result.get("error"):
        lines.append(f"! {safe(str(error.get('message', error) if isinstance(error, dict) else error), 400)}")
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def _steps(run: JsonObject) -> Iterator[str]:
    steps, whole = run["steps"], max(1, run["ms"])
    names = max((len(step["id"]) for step in steps), default=0)
    for step in steps:
        began = step.get("began_ms")
        start = max(0, began - run["began_ms"]) if began else None
        bar = _bar(start, step.get("ms", 0), whole)
        at = f"+{start / 1000:.2f} s" if start is not None else ""
        mark = MARKS.get(step["stage"], "…")
        yield f"{mark} {step['id']:<{names}}  {step['stage']:<9}  {bar}  {at:>10}  {progress(step)}".rstrip()


def _bar(start: int | None, ms: int, whole: int) -> str:
    """Where on the line of time a step ran."""
    if start is None:
        return " " * BAR
    before = min(BAR - 1, start * BAR // whole)
    length = max(1, min(BAR - before, round(ms * BAR / whole)))
    return f"{'·' * before}{'█' * length}{'·' * (BAR - before - length)}"
