"""TriggerSchedules: the schedules of workflows, as their triggers say.

Not responsible for firing them: see `scheduling.py`. Invariant: a trigger that did not change leaves its
schedule alone: a person may have paused it, and what it fired is not fired again.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from ...actors.definition import Definition
from ...actors.schedules.schedule import Schedule
from ...actors.schedules.schedules import Schedules, Seen
from ...actors.workflows import trigger
from ...actors.workflows.definition import Workflow
from ...bus.errors import ConfigError
from .occasion import is_trigger_of, schedule_for

log = logging.getLogger("actorium.triggers")


async def keep_schedules(
    schedules: Schedules, workflows: Sequence[tuple[Definition, Workflow]], now: datetime
) -> bool:
    """Add, change and remove schedules so that they are as the triggers of these workflows. Idempotent.

    Returns:
        Whether anything was changed.

    Raises:
        StoreUnavailable: No answer in time; do it again.
    """
    there = await schedules.all()
    return any([await _keep(schedules, there, one, workflow, now) for one, workflow in workflows])


async def _keep(
    schedules: Schedules, there: Sequence[Seen], definition: Definition, workflow: Workflow, now: datetime
) -> bool:
    """The schedules of one workflow."""
    tenant, name = definition.tenant, definition.name
    before = {
        seen.schedule.name: seen
        for seen in there
        if seen.schedule.tenant == tenant and is_trigger_of(seen.schedule, name)
    }
    wanted = [
        schedule_for(name, number, which, now, tenant=tenant)
        for number, which in enumerate(() if definition.stopped else workflow.triggers)
        if which.enabled and isinstance(which, trigger.Schedule)
    ]
    changed = [await _set(schedules, before.pop(one.name, None), one) for one in wanted]
    for left in before:
        await schedules.remove(tenant, left)
    return any(changed) or bool(before)


async def _set(schedules: Schedules, seen: Seen | None, wanted: Schedule) -> bool:
    """One schedule; one that a person paused stays paused, and what it fired is not fired again."""
    if seen is None:
        try:
            await schedules.add(wanted)
        except ConfigError as error:  # another owner was faster, or the name is taken
            log.warning("trigger.not_scheduled", extra={"fields": {"error": error.message}})
            return False
        return True
    stands = seen.schedule
    if (stands.when, stands.what) == (wanted.when, wanted.what):
        return False
    changes = {"when": wanted.when, "what": wanted.what, "since": wanted.created}
    await schedules.change(seen, lambda schedule: msgspec.structs.replace(schedule, **changes))
    return True
