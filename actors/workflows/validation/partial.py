"""Partial: what else is wrong with a workflow of which parts did not fit.

Pure. Not responsible for what did not fit: see `reader.py`. Invariant: nothing is said that only follows from
a part that could not be read: once that is mended, everything else that was told is still true.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from ..definition import Workflow
from ..expressions.template import Place
from ..lines import Lines
from ..problem import Problem
from .headers import header_problems
from .ignored import ignored_problems
from .naming import naming_problems
from .past import past_problems
from .reachability import cycle_problems
from .steps import step_problems
from .triggers import trigger_problems
from .validate import located, validate

_NAMED: Final = ("inputs", "steps")  # what others refer to
_WHOLE: Final[tuple[Place, ...]] = ((), ("id",), ("effect",), ("undo",))  # said of a step by all its fields


def problems_beside(
    workflow: Workflow,
    misfits: Sequence[Problem],
    *,
    agents: Collection[str] | None = None,
    workflows: Mapping[str, Workflow] | None = None,
    lines: Lines | None = None,
    now: datetime | None = None,
) -> list[Problem]:
    """What did not fit, and all else that is wrong; without misfits just that.

    Args:
        workflow: What could be read.
        misfits: What could not.
        agents: These and the others as in `validate`.
    """
    if not misfits:
        return validate(workflow, agents, workflows, lines, now)
    if not any(misfit.place[:1] in {(name,) for name in _NAMED} or _hides(misfit) for misfit in misfits):
        found = validate(workflow, agents, workflows, now=now)
    else:
        found = [*header_problems(workflow), *step_problems(workflow), *ignored_problems(workflow)]
        if not any(map(_hides, misfits)):
            found += [*naming_problems(workflow, agents, workflows), *cycle_problems(workflow)]
        found += [*trigger_problems(workflow, workflows), *past_problems(workflow, now)]
    independent = [problem for problem in found if not any(_follows(problem, one) for one in misfits)]
    whole = [*misfits, *independent]
    return located(whole, lines) if lines else whole


def _hides(misfit: Problem) -> bool:
    """Whether a misfit may have taken away what others refer to."""
    match misfit.place:
        case (str(field),) if field in _NAMED or field not in Workflow.__struct_fields__:
            return bool(get_close_matches(field, _NAMED, 1, 0.5))
        case ("steps", int()) | ("steps", int(), "id"):
            return True
        case _:
            return False


def _follows(problem: Problem, misfit: Problem) -> bool:
    """Whether a problem is said of what did not fit, or of all that it is a part of."""
    if problem.place[: len(misfit.place)] == misfit.place:
        return True
    if _hides(misfit) and problem.place in {(name,) for name in _NAMED}:
        return True
    return problem.place[:2] == misfit.place[:2] and problem.place[2:] in _WHOLE
