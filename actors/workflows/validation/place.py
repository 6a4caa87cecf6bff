"""Place: where in a workflow something stands, said with the ids of steps instead of their numbers."""

from ..definition import Workflow
from ..expressions.template import Place


def where(workflow: Workflow, place: Place) -> str:
    """`steps.fetch.inputs.urls[0]` of `("steps", 2, "inputs", "urls", 0)`."""
    match place:
        case ("steps", int(number), *rest) if number < len(workflow.steps):
            return spelled(("steps", workflow.steps[number].id or number, *rest))
        case _:
            return spelled(place)


def spelled(place: Place) -> str:
    """Keys after dots and numbers in brackets: `triggers[0].cron`."""
    told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return told.removeprefix(".")
