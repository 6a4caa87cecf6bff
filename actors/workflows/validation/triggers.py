"""Triggers: whether what shall start a workflow can, and brings what it needs."""

import re
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from ..definition import Workflow
from ..expressions.template import Place
from ..problem import Problem
from ..trigger import AnyTrigger, Published, Schedule, Webhook
from .naming import Told, given_problems
from .place import spelled

_CRON: Final = re.compile(r"[0-9A-Za-z*/,?#-]+( +[0-9A-Za-z*/,?#-]+){4}\Z")
_SUBJECT: Final = re.compile(r"(?:[^\s.*>]+|\*)(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?\Z")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def trigger_problems(workflow: Workflow) -> Iterator[Problem]:
    """What is wrong with each trigger."""
    for number, trigger in enumerate(workflow.triggers):
        at: Place = ("triggers", number)
        for place, message in (*_own(trigger, at), *_given(workflow, trigger, at)):
            yield Problem(where=spelled(place), message=message, place=place)


def _own(trigger: AnyTrigger, at: Place) -> Iterator[Told]:
    match trigger:
        case Schedule():
            if not _CRON.match(trigger.cron):
                told = f"{trigger.cron!r} has not five fields: minute, hour, day of month, month, day of week"
                yield (*at, "cron"), told
            if not _zone(trigger.timezone):
                told = f"there is no time zone {trigger.timezone!r}: write it as Europe/Zurich"
                yield (*at, "timezone"), told
        case Published(subject=subject) if not _SUBJECT.match(subject):
            yield (
                (*at, "subject"),
                f"{subject!r} is no subject: tokens between dots, '*' for one, '>' at the end",
            )
        case Webhook(path=path) if path and not _PATH.match(path):
            yield (*at, "path"), f"{path!r} must be 1 to 128 letters, digits, '_' and '-'"
        case _:
            pass


def _given(workflow: Workflow, trigger: AnyTrigger, at: Place) -> Iterator[Told]:
    """A schedule brings nothing but its moment; what others bring is not known before."""
    if trigger.inputs or isinstance(trigger, Schedule):
        yield from given_problems(workflow, trigger.inputs, (*at, "inputs"))


def _zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True
