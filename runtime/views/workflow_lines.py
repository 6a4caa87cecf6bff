"""WorkflowLines: one line of text for what happens in a run of a workflow, for logs, pipes and machines.

Pure. Not responsible for the picture of a whole run: see `workflow_tree.py`. Invariant: a fan-out that goes
well says as much as a step, however many items it has; a line holds no secret that can be recognised.
"""

import time

from ...actors.workflows.fact import (
    Asked,
    Decided,
    FannedOut,
    Listened,
    Retried,
    Scheduled,
    Slept,
    UndoFailed,
    Undone,
)
from ...actors.workflows.record import (
    Adopted,
    Closing,
    Ended,
    Migrated,
    Paused,
    Resumed,
    Signalled,
    Started,
    WorkflowFact,
)
from .run_lines import brief, safe
from .workflow_reader import Told


def line(told: Told) -> str:
    """What happened as a line: time, run, what; empty: nothing that a person would miss."""
    text = _says(told)
    if not text:
        return ""
    seconds, milliseconds = divmod(told.at_ms, 1000)
    at = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{milliseconds:03d}"
    return f"{at} {'  ' * told.depth}{safe(told.run, 80)} {text}"


def _says(told: Told) -> str:
    if told.fact is None:
        return "owner     a new owner took it over"
    said = _of_run(told.fact) or _of_step(told.fact)
    return "; ".join(filter(None, [said, _settled(told)]))


def _of_run(fact: WorkflowFact) -> str:
    match fact:
        case Started(inputs=inputs, definition=definition):
            return f"started   {definition} {brief(inputs)}"
        case Adopted(run=run, page=page):
            return f"goes on   from {safe(run)}" + (f" after page {page}" if page else "")
        case Migrated(definition=definition):
            return f"migrated  to {definition}"
        case Paused() | Resumed() | Signalled():
            return _of_somebody(fact)
        case Closing(why=why, error=error):
            return f"closing   {_because(why, error)}"
        case Ended(why=why, result=result):
            return f"ended     {result.status}: {_because(why, result.error or '')}"
        case _:
            return ""


def _of_somebody(fact: Paused | Resumed | Signalled) -> str:
    what = f"signal    {safe(fact.name)}" if isinstance(fact, Signalled) else type(fact).__name__.lower()
    return f"{what:<9} by {safe(fact.by or 'somebody')}"


def _because(why: str, error: str) -> str:
    """The reason, and what is said of it; a cancel says it itself."""
    said = safe(error)
    return said if said.startswith(why) else ": ".join(filter(None, [why, said]))


def _of_step(fact: WorkflowFact) -> str:
    match fact:
        case FannedOut(step=step, items=items):
            return f"fans out  {step}: {len(items)} items"
        case Scheduled(step=step, item=0, attempt=1):
            return f"begins    {step}"
        case Retried(step=step, item=item, result=result):
            return f"retries   {step}{f'[{item}]' if item else ''}: {safe(result.error or '')}"
        case Asked(question=question, step=step):
            return f"asks      {step}: {question.id}"
        case Decided(step=step, decision=decision):
            return f"decided   {step}: {decision.verdict} by {safe(decision.by or 'somebody')}"
        case _:
            return _at_rest(fact)


def _at_rest(fact: WorkflowFact) -> str:
    """What a step waits for, and what became of taking one back."""
    match fact:
        case Slept(step=step, due_ms=due):
            return f"sleeps    {step} until {time.strftime('%H:%M:%S', time.localtime(due / 1000))}"
        case Listened(step=step, signal=signal):
            return f"listens   {step} for {safe(signal)}"
        case Undone(step=step):
            return f"undone    {step}"
        case UndoFailed(step=step, result=result):
            return f"stays     {step} could not be undone: {safe(result.error or '')}"
        case _:
            return ""


def _settled(told: Told) -> str:
    """How a step ended, and how long it took."""
    if told.step is None:
        return ""
    step_id, step = told.step
    error = step.result.error if step.result else None
    why = f" ({step.why})" if step.why else f": {safe(error)}" if error else ""
    return f"{step.stage.value:<9} {step_id} in {max(0, step.ended_ms - step.began_ms) / 1000:.2f} s{why}"
