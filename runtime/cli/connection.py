"""Connection: how a command reaches the agents, and the options that every command has.

Not responsible for exit statuses (`answer.py`). Invariant: an unknown agent is told with the name that
was probably meant, whichever call found it out.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import click

from ...bus.value import Json, JsonObject
from .answer import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from ...actors.errors import UnknownAgent
    from ..client import Client
    from ..config import Settings

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Json])
FEW = 20  # names that are listed in an error; of more only the nearest one is told


def _to_answer(context: click.Context, parameter: click.Parameter, value: Json) -> None:
    if value and parameter.name:
        setattr(context.find_object(Answer), parameter.name, value)


as_json = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, callback=_to_answer, help="JSON on stdout."
)
nats_url = click.option(
    "--nats",
    "url",
    metavar="URL",
    expose_value=False,
    callback=_to_answer,
    help="The NATS server, instead of NATS_URL.",
)


def behind_options(args: Sequence[str]) -> Sequence[str]:
    """What follows the options that may stand before a command."""
    if args and (args[0] == "--json" or args[0].startswith("--nats=")):
        return behind_options(args[1:])
    return behind_options(args[2:]) if args and args[0] == "--nats" else args


def read_agent(text: str) -> str:
    """A name that an agent can have. Raises UsageError."""
    from ...bus.errors import ConfigError
    from ...bus.subjects import agent_id

    try:
        return agent_id(text)
    except ConfigError as error:
        raise click.UsageError(error.message) from error


def agent_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A callback for what names an agent."""
    return read_agent(value)


def task_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A callback for what names a task or a run."""
    from ...bus.envelope import is_id

    if value and not is_id(value):
        raise click.UsageError(f"id {value[:40]!r} must be 1 to 128 of A-Z a-z 0-9 _ . : / -")
    return value


agent_argument = click.argument("agent", metavar="AGENT", callback=agent_name)


def anywhere(command: C) -> C:
    """`--json` and `--nats`, which stand before a command as well as behind it; the last one counts."""
    return as_json(nats_url(command))


def common(command: Callable[..., None]) -> Callable[..., None]:
    """What every command that talks to agents has: an Answer, `--json` and `--nats`."""
    return anywhere(click.pass_obj(command))


def settings_of(answer: Answer, **flags: Json) -> "Settings":
    """The settings of a client command: logs only what is wrong."""
    return read_settings(answer, None, {"log_level": "warning", **flags})


def read_settings(answer: Answer, file: "Path | None", flags: JsonObject) -> "Settings":
    """Settings of a file, the environment and the command line. Raises UsageError."""
    from ...bus.errors import ConfigError
    from ..config import load_settings

    try:
        return load_settings(file, flags={"nats.url": answer.url or None, **flags})
    except ConfigError as error:
        raise click.UsageError(error.message) from error


def connected(answer: Answer, work: "Callable[[Client], Awaitable[T]]") -> T:
    """Run something with an open client.

    Cancellation: Ctrl-C ends the wait; what was stored stays stored.

    Raises:
        ActoriumError: As `work`; UnknownAgent with the nearest name there is.
    """
    import asyncio

    from ..client import Client
    from ..telemetry import set_up_logs

    settings = settings_of(answer)
    set_up_logs(settings)

    async def run() -> T:
        async with Client(settings=settings) as client:
            return await _guided(client, work)

    return asyncio.run(run())


async def _guided(client: "Client", work: "Callable[[Client], Awaitable[T]]") -> T:
    from ...actors.errors import UnknownAgent
    from ...bus.errors import ActoriumError, ConfigError

    try:
        return await work(client)
    except UnknownAgent as error:
        raise await _nearest(client, error) from error
    except ActoriumError as error:
        if await _is_empty(client):
            text = "this NATS holds no agents yet: run `actorium up app.py` with NATS_URL set to it"
            raise ConfigError(text) from error
        raise


async def _is_empty(client: "Client") -> bool:
    """Whether nobody ever ran agents on this server: then every error is about that."""
    from ...bus.errors import BusError, ConfigError
    from ...bus.streams import META, META_PARTITIONS

    with suppress(BusError):
        try:
            await client.names.bus.newest(META, META_PARTITIONS)
        except ConfigError:
            return True
    return False


async def _nearest(client: "Client", error: "UnknownAgent") -> "UnknownAgent":
    from ...actors.errors import UnknownAgent
    from ..config import nearest

    asked = error.fields.get("agent", "")
    names = [definition.name for definition in await client.agents()]
    if not asked or asked in names:
        return error
    hint = nearest(asked, names)
    if hint.startswith(";") and len(names) > FEW:
        hint = f"; `actorium agent ls` shows the {len(names)} there are"
    return UnknownAgent(f"there is no agent {asked!r}{hint}", agent=asked)


async def must_exist(client: "Client", agent: str) -> None:
    """Find a mistyped name before anything is sent.

    Raises:
        UsageError: No agent can have that name.
        UnknownAgent: There is no such agent; the nearest there is stands in the error.
    """
    from ...actors.errors import UnknownAgent
    from ...bus.subjects import DEFAULT_TENANT

    try:
        await client.names.registry.find(DEFAULT_TENANT, read_agent(agent))
    except UnknownAgent as error:
        raise await _nearest(client, error) from error
