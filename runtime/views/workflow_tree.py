"""WorkflowTree: a run of a workflow as a tree of lines: its steps, how far each is, the workflows they run.

Pure: what `timeline.show` tells of a run in, lines out. Not responsible for drawing them. Invariant: no line
is longer than asked for, nor holds a secret that can be recognised, or a character that could command a
terminal.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ...bus.value import Json, JsonObject
from .run_lines import amount, safe

MARKS: Final = {
    "waiting": "·",
    "asked": "?",
    "cleared": "…",
    "listening": "?",
    "sleeping": "z",
    "running": "…",
    "done": "✓",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "✗",
    "success": "✓",
    "partial": "~",
    "failure": "✗",
    "paused": "‖",
    "closing": "…",
    "undoing": "↶",
}
OVER: Final = frozenset({"done", "failed", "skipped", "cancelled"})
WHY: Final = {
    "when": "its condition is false",
    "skipped": "what it waits for was skipped",
    "failed": "what it waits for failed",
}
FEW: Final = 3  # items of a fan-out, and steps that are waited for, that are told by name


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be drawn.

    Attributes:
        run: As `timeline.show` tells it.
        children: Runs of other workflows, by the step that gave them.
    """

    run: JsonObject
    children: "dict[str, list[Shown]]" = {}


def tree(shown: Shown, *, width: int = 100, height: int = 0) -> list[str]:
    """The lines of a run.

    Args:
        width: Characters of a line.
        height: Lines that there are; 0: as many as it takes. Where there are more, steps that wait, then
            those that are over, are only counted.
    """
    lines = list(_run(shown, "", ""))
    if height and len(lines) > height:
        lines = list(_run(shown, "", "", counted=frozenset({"waiting"})))
    if height and len(lines) > height:
        lines = list(_run(shown, "", "", counted=OVER | {"waiting"}))
    if height and len(lines) > height:
        lines = [*lines[: height - 1], f"  … {len(lines) - height + 1} lines more"]
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def head(run: JsonObject) -> str:
    """A run in one line: where it stands, steps that came to their end, time, and what it spent."""
    steps, stage = run["steps"], run["stage"]
    over = sum(map(_finished, steps))
    spent = run.get("spent") or {}
    tokens, usd = spent.get("tokens", 0), spent.get("usd", 0.0)
    paid = f" · {amount(tokens, usd)}" if tokens or usd else ""
    closing = run.get("closing") or {}
    why = f" ({closing['why']})" if closing else ""
    mark, name = MARKS.get(stage, "…"), safe(str(run["run"]), 120)
    return f"{mark} {name} {stage}{why} · {over}/{len(steps)} steps{paid} · {seconds(run['ms'])}"


def _finished(step: JsonObject) -> bool:
    """Whether it is done, or there was nothing to do; not where a failure or the run's end cut it."""
    return step["stage"] == "done" or (step["stage"] == "skipped" and step.get("why") in ("when", "skipped"))


def seconds(ms: int) -> str:
    """A time for people."""
    if ms < 120_000:
        return f"{ms / 1000:.2f} s"
    minutes, rest = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def progress(step: JsonObject) -> str:
    """How far a step is, and what keeps it, in a few words."""
    ran = step.get("began_ms") and step["stage"] != "skipped"
    told = [_items(step), _attempts(step), seconds(step.get("ms", 0)) if ran else ""]
    told += [
        WHY.get(step.get("why", ""), ""),
        _waits(step.get("waits_for")),
        _undone(step),
        safe(step.get("error", ""), 200),
    ]
    return "  ".join(part for part in told if part)


def _run(shown: Shown, first: str, rest: str, counted: frozenset[str] = frozenset()) -> Iterator[str]:
    run = shown.run
    yield f"{first}{head(run)}"
    closing = run.get("closing") or {}
    rows: list[tuple[str, Sequence[Shown]]] = list(_rows(shown, counted))
    if closing.get("error"):
        rows.append((f"! {safe(closing['error'], 200)}", ()))
    for number, (line, below) in enumerate(rows, 1):
        last = number == len(rows)
        yield f"{rest}{'└─ ' if last else '├─ '}{line}"
        inner = f"{rest}{'   ' if last else '│  '}"
        for place, child in enumerate(below, 1):
            end = place == len(below)
            yield from _run(
                child, f"{inner}{'└─ ' if end else '├─ '}", f"{inner}{'   ' if end else '│  '}", counted
            )


def _rows(shown: Shown, counted: frozenset[str]) -> Iterator[tuple[str, Sequence[Shown]]]:
    steps = shown.run["steps"]
    over = [step for step in steps if step["stage"] in counted & OVER]
    waiting = [step for step in steps if step["stage"] in counted - OVER]
    names = max((len(step["id"]) for step in steps), default=0)
    if over:
        yield f"✓ {len(over)} steps are over", ()
    for step in steps:
        if step["stage"] not in counted:
            below = [] if step["stage"] in OVER else shown.children.get(step["id"], [])
            yield f"{MARKS.get(step['stage'], '…')} {step['id']:<{names}}  {progress(step)}".rstrip(), below
    if waiting:
        yield f"· {len(waiting)} steps wait", ()


def _items(step: JsonObject) -> str:
    if step.get("items") is None:
        return ""
    failed = f", {step['failed']} failed" if step.get("failed") else ""
    return f"{step.get('done', 0)}/{step['items']} items{failed}"


def _attempts(step: JsonObject) -> str:
    attempts, items = step.get("attempts", 0), step.get("items")
    return f"attempt {attempts}" if items is None and attempts > 1 else ""


def _waits(told: Json) -> str:
    match told:
        case [*steps]:
            more = f" and {len(steps) - FEW} more" if len(steps) > FEW else ""
            return f"waits for {', '.join(map(str, steps[:FEW]))}{more}"
        case {"approval": question}:
            return f"waits for approval {safe(str(question), 80)}"
        case {"signal": name}:
            return f"waits for signal {safe(str(name), 80)}"
        case {"next_attempt_ms": _}:
            return "tries again"
        case {"until_ms": _}:
            return "sleeps"
        case _:
            return ""


def _undone(step: JsonObject) -> str:
    undone = step.get("undone", [])
    if not undone:
        return ""
    done = sum(stage == "done" for stage in undone)
    return "undone" if done == len(undone) else f"{done}/{len(undone)} undone"
