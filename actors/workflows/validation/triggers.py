"""Triggers: whether what shall start a workflow can, and brings what it needs."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ....bus.errors import ConfigError
from ....bus.subjects import DEFAULT_TENANT
from ..definition import Workflow
from ..expressions.template import Place
from ..listening import may_listen
from ..problem import Problem
from ..trigger import AnyTrigger, Published, Schedule, Webhook
from .given import Told, given_problems
from .place import spelled

_CRON: Final = re.compile(r"[0-9A-Za-z*/,?#-]+( +[0-9A-Za-z*/,?#-]+){4}\Z")
_SUBJECT: Final = re.compile(r"(?:[^\s.*>]+|\*)(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?\Z")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def trigger_problems(
    workflow: Workflow, workflows: Mapping[str, Workflow] | None = None
) -> Iterator[Problem]:
    """What is wrong with each trigger.

    Args:
        workflows: Others there are, whose webhooks have their own addresses.
    """
    for number, trigger in enumerate(workflow.triggers):
        at: Place = ("triggers", number)
        for place, message in (*_own(trigger, at, workflow), *_given(workflow, trigger, at)):
            yield Problem(where=spelled(place), message=message, place=place)
    for place, message in _paths(workflow, workflows or {}):
        yield Problem(where=spelled(place), message=message, place=place)


def _own(trigger: AnyTrigger, at: Place, workflow: Workflow) -> Iterator[Told]:
    match trigger:
        case Schedule():
            yield from _times(trigger, at)
        case Published(subject=subject) if not _SUBJECT.match(subject):
            yield (
                (*at, "subject"),
                f"{subject!r} is no subject: tokens between dots, '*' for one, '>' at the end",
            )
        case Published(subject=subject) if not may_listen(DEFAULT_TENANT, workflow.name, subject):
            told = f"nothing on {subject!r} starts it: that is our own traffic, or its own events"
            yield (*at, "subject"), told
        case Webhook(path=path) if path and not _PATH.match(path):
            yield (*at, "path"), f"{path!r} must be 1 to 128 letters, digits, '_' and '-'"
        case _:
            pass


def _times(trigger: Schedule, at: Place) -> Iterator[Told]:
    """What is wrong with the times of a schedule: that they are none, or never come."""
    known = _zone(trigger.timezone)
    if not known:
        told = f"there is no time zone {trigger.timezone!r}: write it as Europe/Zurich"
        yield (*at, "timezone"), told
    if not _CRON.match(trigger.cron):
        told = f"{trigger.cron!r} has not five fields: minute, hour, day of month, month, day of week"
        yield (*at, "cron"), told
    elif known:
        from ...schedules.schedule import Cron  # with its reader of crons, where there is one to read
        from ...schedules.timetable import check

        try:
            check(Cron(expression=trigger.cron, timezone=trigger.timezone))
        except ConfigError as error:
            yield (*at, "cron"), error.message


def _paths(workflow: Workflow, workflows: Mapping[str, Workflow]) -> Iterator[Told]:
    """Webhooks that share an address: a request would start one of them."""
    others = [other for other in workflows.values() if other.name != workflow.name]
    taken = {path: other.name for other in others for _, path in _webhooks(other)}
    for number, path in _webhooks(workflow):
        if path in taken:
            told = f"a webhook of workflow {taken[path]} has the path {path!r} already: choose another"
            yield ("triggers", number, "path"), told
        taken[path] = workflow.name


def _webhooks(workflow: Workflow) -> Iterator[tuple[int, str]]:
    """The number and the path of each."""
    for number, trigger in enumerate(workflow.triggers):
        if isinstance(trigger, Webhook) and trigger.enabled:
            yield number, trigger.path or workflow.name


def _given(workflow: Workflow, trigger: AnyTrigger, at: Place) -> Iterator[Told]:
    """A schedule brings nothing but its moment; what others bring is not known before."""
    if trigger.inputs or isinstance(trigger, Schedule):
        yield from given_problems(workflow, trigger.inputs, (*at, "inputs"))


def _zone(name: str) -> bool:
    from zoneinfo import ZoneInfo  # what finds its files takes longer than all of this

    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True
