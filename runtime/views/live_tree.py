"""LiveTree: a run as a tree of lines: steps, tools, sub-agents, tokens, cost, and the words of now.

Pure: a view in, lines out. Not responsible for drawing them. Invariant: no line is longer than asked for, nor
holds a secret that can be recognised, or a character that could command a terminal.
"""

from collections.abc import Iterator, Mapping, Sequence

from .run_lines import amount, brief, safe
from .run_view import CallStage, CallView, RunStage, RunView, StepView, verdict_of

MARKS = {
    RunStage.RUNNING: "…",
    RunStage.WAITING: "?",
    RunStage.SUCCESS: "✓",
    RunStage.PARTIAL: "~",
    RunStage.FAILURE: "✗",
    CallStage.WANTED: "·",
    CallStage.RUNNING: "…",
    CallStage.WAITING: "?",
    CallStage.DONE: "✓",
    CallStage.FAILED: "✗",
}
NEWEST = 72  # characters of words that are being said
Branch = tuple[str, Sequence["Branch"]]  # a line, and what hangs below it


def tree(view: RunView, *, width: int = 100, words: Mapping[str, str] | None = None) -> list[str]:
    """The lines of a run and of what it delegated.

    Args:
        width: Characters of a line.
        words: What models are saying right now, by run.
    """
    return [_cut(line, width) for line in _drawn(_run(view, words or {}), "", "")]


def last_lines(lines: Sequence[str], height: int) -> list[str]:
    """The head of a tree and its newest lines, so many as fit on a screen."""
    if len(lines) <= height or height < 3:
        return list(lines[:height]) if height < 3 else list(lines)
    left_out = len(lines) - height + 1
    return [lines[0], f"  … {left_out} lines above", *lines[len(lines) - height + 2 :]]


def head(view: RunView) -> str:
    """A run in one line."""
    steps = f"{len(view.steps)} step{'' if len(view.steps) == 1 else 's'}"
    spent = amount(view.tokens, view.usd, priced=view.priced)
    told = (
        f"{MARKS[view.stage]} {safe(view.run, 120)} {_stage(view)} · {steps} · {spent} · {view.seconds:.1f} s"
    )
    return f"{told} · {brief(view.task)}"


def _stage(view: RunView) -> str:
    if not view.over or view.stage is RunStage.SUCCESS:
        return str(view.stage)
    return f"{view.stage} ({view.why}{f': {view.limit}' if view.limit else ''})"


def _run(view: RunView, words: Mapping[str, str]) -> Branch:
    below: list[Branch] = [_step(step, words) for step in view.steps]
    if said := words.get(view.run):
        below.append((f'"{_end_of(said)}"', ()))
    if view.error:
        below.append((f"! {safe(view.error)}", ()))
    return head(view), below


def _step(step: StepView, words: Mapping[str, str]) -> Branch:
    spent = "asks" if step.asking else amount(step.tokens, step.usd)
    below: list[Branch] = [(f'"{safe(step.text)}"', ())] if step.text else []
    below += [(f"- {safe(note)}", ()) for note in step.notes]
    below += [_call(call, words) for call in step.calls]
    return f"step {step.number}  {safe(step.model, 60)}  {spent}", below


def _call(call: CallView, words: Mapping[str, str]) -> Branch:
    line = f"{MARKS[call.stage]} {safe(call.tool, 64)} {brief(call.arguments)}{_became(call)}"
    if call.run is not None:
        return line, [_run(call.run, words)]
    return line, ()


def _became(call: CallView) -> str:
    told = [f"attempt {call.attempt}"] if call.attempt > 1 else []
    if asks := call.asks:
        told.append(f"waits for approval {asks.id}")
    elif verdict := verdict_of(call):
        told.append(verdict)
    if call.content and call.run is None:
        told.append(f"→ {safe(call.content, 80)}")
    return "".join(f"  {part}" for part in told)


def _drawn(branch: Branch, first: str, rest: str) -> Iterator[str]:
    line, below = branch
    yield f"{first}{line}"
    for number, each in enumerate(below, 1):
        last = number == len(below)
        yield from _drawn(each, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}")


def _end_of(text: str) -> str:
    flat = safe(text, 10_000)
    return flat if len(flat) <= NEWEST else f"…{flat[1 - NEWEST :]}"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
