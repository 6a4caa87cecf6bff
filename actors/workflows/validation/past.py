"""Past: moments of a workflow that have passed already. Pure: what is now is an argument."""

from collections.abc import Iterator
from datetime import datetime

from ..definition import Workflow
from ..problem import Problem
from .place import where


def past_problems(workflow: Workflow, now: datetime | None) -> Iterator[Problem]:
    """Steps that would not wait, for what they wait for is over.

    Args:
        now: With its zone; None: not known, nothing is said.
    """
    for number, step in enumerate(workflow.steps):
        moment = _moment(step.until) if step.until and now else None
        if moment and now and moment <= now:
            place = ("steps", number, "until")
            told = f"{step.until} has passed: it would not wait; name a moment to come, or an input"
            yield Problem(where=where(workflow, place), message=told, place=place)


def _moment(text: str) -> datetime | None:
    """The moment that a text names by itself; None: it does not."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
