"""Agent: list, show, spawn, stop and restart agents, and ask what they are doing."""

from typing import TYPE_CHECKING

import click

from ...bus.value import Json, JsonObject
from .answer import Answer, Exit, columns, end
from .connection import agent_argument, agent_name, common, connected, must_exist

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ..client import Client

BROKEN = "error"  # the status of an agent that failed too often


@click.group(short_help="List, spawn, stop and restart agents.")
def agent() -> None:
    """Agents: what is defined, what it is doing, and how to change that."""


@agent.command(name="ls")
@common
def list_agents(answer: Answer) -> None:
    """List every agent that is defined."""
    found = connected(answer, lambda client: client.agents())
    rows = [(d.name, d.kind, d.options.isolation.value, _switch(d), d.description) for d in found]
    if not found:
        answer.note("there are no agents: actorium dev app.py, or actorium agent spawn")
    answer.data(
        [_shown(d) for d in found],
        columns([("AGENT", "KIND", "ISOLATION", "SWITCH", "DESCRIPTION"), *rows]) if rows else "",
    )


@agent.command()
@common
@agent_argument
def show(answer: Answer, agent: str) -> None:
    """Show how an agent is defined."""

    async def find(client: "Client") -> "Definition":
        from ...bus.subjects import DEFAULT_TENANT

        return await client.names.registry.find(DEFAULT_TENANT, agent)

    definition = connected(answer, find)
    answer.data(_shown(definition), _lines(_shown(definition)))


@agent.command()
@common
@click.argument("name", callback=agent_name)
@click.argument("kind")
@click.option("--config-json", default="{}", metavar="JSON", help="Keyword arguments of the class.")
@click.option("--isolation", type=click.Choice(["shared", "process"]), default="shared", show_default=True)
@click.option("--description", default="", help="For people.")
def spawn(
    answer: Answer, *, name: str, kind: str, config_json: str, isolation: str, description: str
) -> None:
    """Define the agent NAME of the class KIND (`module:Class`), or change its definition.

    It comes alive with its first message, on a worker whose program has the class.
    """
    import msgspec

    from ...actors.definition import Definition, Isolation, Options

    try:
        definition = Definition(
            name=name,
            kind=kind,
            config=msgspec.json.decode(config_json, type=JsonObject),
            options=Options(isolation=Isolation(isolation)),
            description=description,
        )
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--config-json must be a JSON object: {error}") from error
    if ":" not in kind:
        raise click.UsageError(f"KIND {kind!r} must be `module:Class`")
    connected(answer, lambda client: client.spawn(definition))
    answer.data(_shown(definition), f"{name} is {kind}")


@agent.command()
@common
@agent_argument
def status(answer: Answer, agent: str) -> None:
    """What an agent is doing, what it did since it came alive, and why it is in error."""
    told = connected(answer, lambda client: look(client, agent))
    answer.data(told, _lines(told))


@agent.command()
@common
@agent_argument
def stop(answer: Answer, agent: str) -> None:
    """Stop an agent: it refuses asks and keeps stored tasks, until it is restarted."""
    from ...bus.errors import NoOwner

    try:
        told = connected(answer, lambda client: look(client, agent, "stop"))
    except NoOwner:
        answer.note("no worker is up; it is written down and holds when one is")
        told = {"agent": agent, "status": "stopped"}
    answer.data(told, f"{agent} is {told['status']}")


@agent.command()
@common
@agent_argument
def restart(answer: Answer, agent: str) -> None:
    """Restart an agent, also a stopped one; it goes on from its ledger.

    It ends 1 where the agent cannot work, and says why.
    """
    told = connected(answer, lambda client: look(client, agent, "restart"))
    answer.data(told, f"{agent} is {told['status']}")
    if why := trouble(told):
        answer.note(f"error: {why}")
        end(Exit.FAILED)


def trouble(told: JsonObject) -> str:
    """Why an agent is in error; empty where it is not."""
    return str(told.get("error") or told.get("reason") or BROKEN) if told["status"] == BROKEN else ""


async def look(client: "Client", agent: str, verb: str = "status") -> JsonObject:
    """What an agent is doing, after a command to it, and why it is in error."""
    await must_exist(client, agent)
    told: JsonObject = await client.courier.command(agent, verb)
    return told | await _why(client, agent) if told["status"] == BROKEN else told


async def _why(client: "Client", agent: str) -> JsonObject:
    """What an agent said last, where that was why it is stopped: reason and error."""
    from ...bus.codec import read_event
    from ...bus.subjects import DEFAULT_TENANT, EVENTS, public

    last = await client.names.bus.newest(EVENTS, public(DEFAULT_TENANT, agent, "events"))
    event = read_event(last.message.payload) if last else None
    return dict(event.data) if event and event.kind == "stopped" else {}


def _switch(definition: "Definition") -> str:
    return definition.resting.value if definition.stopped else "on"


def _shown(definition: "Definition") -> JsonObject:
    """A definition with what its defaults leave out."""
    import msgspec

    told: JsonObject = msgspec.to_builtins(definition)
    isolation = definition.options.isolation.value
    return {"name": definition.name, "isolation": isolation, "stopped": definition.stopped} | told


def _lines(told: JsonObject) -> str:
    import msgspec

    def cell(value: Json) -> str:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    return columns([(name, cell(value)) for name, value in told.items()])
