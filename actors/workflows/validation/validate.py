"""Validate: all that is wrong with a workflow, in the order of its file."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from ..definition import Workflow
from ..lines import Lines
from ..problem import Problem
from .headers import header_problems
from .ignored import ignored_problems
from .naming import naming_problems
from .past import past_problems
from .reachability import order_problems
from .recursion import recursion_problems
from .steps import step_problems
from .triggers import trigger_problems


def validate(
    workflow: Workflow,
    agents: Collection[str] | None = None,
    workflows: Mapping[str, Workflow] | None = None,
    lines: Lines | None = None,
    now: datetime | None = None,
) -> list[Problem]:
    """Everything that is wrong, not only the first.

    Args:
        agents: Names of agents there are; None: not known, nothing is said of them.
        workflows: Workflows there are, by name; None: not known.
        lines: Where everything stands, if it comes from a file: the problems then say it.
        now: Moments before it have passed; None: nothing is said of them.
    """
    found = [
        *header_problems(workflow),
        *step_problems(workflow),
        *ignored_problems(workflow),
        *naming_problems(workflow, agents, workflows),
        *recursion_problems(workflow, workflows),
        *order_problems(workflow),
        *trigger_problems(workflow, workflows),
        *past_problems(workflow, now),
    ]
    return located(found, lines) if lines else found


def located(problems: Iterable[Problem], lines: Lines) -> list[Problem]:
    """The problems with file and line, as they follow each other there."""
    told = [
        msgspec.structs.replace(problem, file=lines.file, line=lines.line(problem.place))
        for problem in problems
    ]
    return sorted(told, key=lambda problem: problem.line or 0)
