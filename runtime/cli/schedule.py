"""Schedule: have the clock give agents work: add, list, show, pause, resume, run now, remove."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bus.value import Json, JsonObject
from .answer import Answer, columns
from .connection import agent_argument, common, connected
from .schedule_check import fitted, must_come
from .seconds import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.schedules.schedule import Schedule, What
    from ...actors.schedules.schedules import Schedules, Seen
    from ..client import Client

_name = click.argument("name", metavar="NAME")


@click.group(short_help="Work that the clock starts.")
def schedule() -> None:
    """Schedules: tasks that an agent gets at times, each time once, whatever dies meanwhile."""


@schedule.command()
@common
@agent_argument
@click.argument("when")
@click.argument("text", required=False)
@click.option("--json-file", "file", metavar="FILE", help="A Task, or its spec, as JSON.")
@click.option("--tool", metavar="TOOL", help="Call a tool of the agent, with --input as its arguments.")
@click.option("--workflow", metavar="WORKFLOW", help="Start a workflow, with --input as its inputs.")
@click.option("--input", "inputs", multiple=True, metavar="KEY=VALUE", help="VALUE is JSON, else text.")
@click.option("--tz", "timezone", default="UTC", show_default=True, help="Time zone, such as Europe/Zurich.")
@click.option("--name", default="", help="Made from the agent's name where it is left out.")
@click.option("--misfire", type=click.Choice(["skip", "one", "all"]), default="one", show_default=True,
              help="What becomes of missed times: none, the newest, or the newest --limit.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--jitter", type=Seconds(0, 3600), default=0.0, help="Up to so many seconds late.")
@click.option("--starts", metavar="MOMENT", help="No time before it.")
@click.option("--ends", metavar="MOMENT", help="No time after it.")
def add(
    answer: Answer,
    *,
    agent: str,
    when: str,
    text: str | None,
    file: str | None,
    tool: str | None,
    workflow: str | None,
    inputs: tuple[str, ...],
    timezone: str,
    name: str,
    misfire: str,
    limit: int,
    jitter: float,
    starts: str | None,
    ends: str | None,
) -> None:
    """Have AGENT get a task at the times WHEN says: TEXT, --json-file, --tool or --workflow.

    WHEN is such as "every hour", "in 3 days", "Mondays at 9 in Europe/Zurich", or "0 9 * * MON". A time that
    the clocks leave out in spring comes at the first moment after; one that they repeat in autumn comes once.
    """
    from ...actors.schedules.schedule import Misfire, Schedule
    from ...actors.schedules.words import moment, parse
    from ...bus.errors import ConfigError
    from .schedule_view import next_text, shown

    if workflow is not None and workflow != agent:
        raise click.UsageError(f"a workflow is carried by the agent of its name: AGENT must be {workflow}")
    now = _now()
    try:
        made = Schedule(
            name=_name_for(agent, name),
            agent=agent,
            when=parse(when, now, timezone),
            what=_what(text, file, tool, workflow, _inputs(inputs)),
            created=now,
            misfire=Misfire(misfire),
            limit=limit,
            jitter=jitter,
            starts=moment(starts, timezone) if starts else None,
            ends=moment(ends, timezone) if ends else None,
        )
    except ConfigError as error:
        raise click.UsageError(error.message) from error

    must_come(made, now)

    async def stored(client: "Client") -> "Schedule":
        import msgspec

        definition = await client.names.registry.find(_tenant(), agent)
        fits = msgspec.structs.replace(made, what=fitted(definition, made.what, inputs))
        await _schedules(client).add(fits)
        await _announce(client)
        return fits

    told = connected(answer, stored)
    answer.data(shown(told, now), f"{told.name}, first at {next_text(told, now)}")


@schedule.command(name="ls")
@common
def list_schedules(answer: Answer) -> None:
    """List every schedule."""
    from .schedule_view import HEAD, row, shown

    found = [seen.schedule for seen in connected(answer, lambda client: _schedules(client).all(_tenant()))]
    if not found:
        answer.note('there are no schedules: actorium schedule add AGENT "every hour" TEXT')
    now = _now()
    rows = [HEAD, *(row(each, now) for each in found)]
    answer.data([shown(each, now) for each in found], columns(rows) if found else "")


@schedule.command()
@common
@_name
def show(answer: Answer, name: str) -> None:
    """Show one schedule with its next times."""
    from .schedule_view import lines, whole

    told = whole(connected(answer, lambda client: _found(client, name)).schedule, _now())
    answer.data(told, lines(told))


@schedule.command()
@common
@_name
def pause(answer: Answer, name: str) -> None:
    """Fire nothing more until it is resumed."""
    from ...actors.schedules.progress import paused
    from .schedule_view import shown

    answer.data(shown(_changed(answer, name, paused), _now()), f"{name} is paused")


@schedule.command()
@common
@_name
def resume(answer: Answer, name: str) -> None:
    """Fire again, from now on: times that passed meanwhile are not made up for."""
    from ...actors.schedules.progress import resumed
    from .schedule_view import next_text, shown

    now = _now()
    found = _changed(answer, name, lambda before: resumed(before, now))
    answer.data(shown(found, now), f"{name} is on, next at {next_text(found, now)}")


@schedule.command()
@common
@_name
def run(answer: Answer, name: str) -> None:
    """Give the agent its task now, beside the times, also where it is paused."""
    from ...actors.schedules.schedule import task_of
    from ..triggers.occasion import timely

    async def told(client: "Client") -> JsonObject:
        found = (await _found(client, name)).schedule
        task_id = f"{name}/by-hand-{_now():%Y-%m-%dT%H:%M:%S.%fZ}"
        handle = await client.tell(found.agent, timely(task_of(found), task_id), task_id=task_id)
        return {"task_id": handle.id, "agent": found.agent}

    done = connected(answer, told)
    answer.data(done, done["task_id"])


@schedule.command(name="rm")
@common
@_name
def remove(answer: Answer, name: str) -> None:
    """Remove a schedule; tasks that it has given stay."""
    from ...bus.errors import ConfigError
    from ..triggers.occasion import is_trigger_of

    async def removed(client: "Client") -> None:
        found = (await _found(client, name)).schedule
        if is_trigger_of(found, found.agent):
            raise ConfigError(
                f"{name} is a trigger of workflow {found.agent}: pause it, or deploy without it"
            )
        await _schedules(client).remove(_tenant(), name)
        await _announce(client)

    connected(answer, removed)
    answer.data({"name": name, "removed": True}, f"{name} is removed")


def _schedules(client: "Client") -> "Schedules":
    from ...actors.schedules.schedules import Schedules

    return Schedules(client.names.state)


async def _found(client: "Client", name: str) -> "Seen":
    from ...storage.errors import NotFound

    seen = await _schedules(client).find(_tenant(), name)
    if seen is None:
        raise NotFound(
            f"there is no schedule {name!r}; actorium schedule ls shows those there are", name=name
        )
    return seen


def _changed(answer: Answer, name: str, how: "Callable[[Schedule], Schedule]") -> "Schedule":
    from ...storage.errors import NotFound

    async def change(client: "Client") -> "Schedule":
        seen = await _schedules(client).change(await _found(client, name), how)
        if seen is None:
            raise NotFound(f"schedule {name!r} was removed meanwhile", name=name)
        await _announce(client)
        return seen.schedule

    return connected(answer, change)


async def _announce(client: "Client") -> None:
    """Have the owners look now; whoever does not hear it looks within half a minute."""
    from ...bus.subjects import CHANGED

    await client.names.bus.publish(CHANGED, b"")


def _tenant() -> str:
    from ...bus.subjects import DEFAULT_TENANT

    return DEFAULT_TENANT


def _name_for(agent: str, name: str) -> str:
    """The name that was asked for, or a new one."""
    import secrets

    from ...bus.subjects import token

    return token(name or f"{agent[:50]}-{secrets.token_hex(3)}", "schedule name")


def _what(
    text: str | None, file: str | None, tool: str | None, workflow: str | None, inputs: JsonObject
) -> "What":
    """What the agent is told; exactly one of four ways to say it."""
    from ...actors.schedules.schedule import Order, ToolOrder, WorkflowOrder
    from ...bus.codec import read_task
    from ...bus.errors import BadMessage

    if sum(given is not None for given in (text, file, tool, workflow)) != 1:
        raise click.UsageError("give one of TEXT, --json-file, --tool and --workflow")
    if inputs and not (tool or workflow):
        raise click.UsageError("--input belongs to --tool or --workflow")
    if tool is not None:
        return ToolOrder(tool=tool, arguments=inputs)
    if workflow is not None:
        return WorkflowOrder(workflow=workflow, inputs=inputs)
    try:
        return Order(task=read_task(text.encode() if text is not None else Path(str(file)).read_bytes()))
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from error
    except BadMessage as error:
        raise click.UsageError(f"{file or 'TEXT'}: {error.message}") from error


def _inputs(pairs: tuple[str, ...]) -> JsonObject:
    import json

    def value(text: str) -> Json:
        try:
            return json.loads(text)
        except ValueError:
            return text

    split = [pair.partition("=") for pair in pairs]
    if wrong := [key for key, equals, _ in split if not (key and equals)]:
        raise click.UsageError(f"--input {wrong[0]!r} must be KEY=VALUE")
    return {key: value(text) for key, _, text in split}


def _now() -> datetime:
    from datetime import UTC

    return datetime.now(UTC)
