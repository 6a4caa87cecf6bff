"""Task: give agents work, stored (`task send`) or as a question (`ask`), and tell how it ended."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bus.value import Json
from .agent import look, trouble
from .answer import Answer, end, result_status
from .connection import agent_argument, common, connected, must_exist, task_id
from .seconds import SECONDS

if TYPE_CHECKING:
    from ...bus.task import Result, Task
    from ..client import Client

_text = click.argument("text", required=False)
_file = click.option(
    "--json-file", "file", metavar="FILE", help="A Task, or its spec, as JSON; - reads stdin."
)


@click.group(short_help="Store tasks for agents.")
def task() -> None:
    """Tasks: stored work that survives everything and ends in exactly one result."""


@task.command()
@common
@agent_argument
@_text
@_file
@click.option("--tools", metavar="NAME,...", help="The only tools it may call, of those that the agent has.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--timeout", type=SECONDS, help="Seconds to wait; no end without.")
@click.option("--task-id", metavar="ID", callback=task_id, help="The same id twice is the same task.")
def send(
    answer: Answer,
    *,
    agent: str,
    text: str | None,
    file: str | None,
    tools: str | None,
    wait: bool,
    timeout: float | None,
    task_id: str | None,
) -> None:
    """Store a task for AGENT: TEXT, which may be a Task as JSON, or --json-file.

    With --wait it ends 1 where the task failed, 4 where it was denied or over budget. After Ctrl-C or a
    timeout the task goes on; the same command with its --task-id waits again.
    """
    if task_id == "":
        raise click.UsageError("--task-id is empty: leave it out, and the task gets an id of its own")
    from .choice import granted, read_tools

    order, grant = _order(text, file), granted({}, read_tools(tools))

    async def sent(client: "Client") -> "Result | None":
        await must_exist(client, agent)
        handle = await client.tell(agent, order, task_id=task_id, grant=grant)
        if not (wait or timeout):
            answer.data({"task_id": handle.id, "agent": agent}, handle.id)
            return None
        answer.note(f"task {handle.id} is stored, waiting for its result")
        return await handle.result(timeout=timeout)

    result = connected(answer, sent)
    if result is not None:
        tell_result(answer, result)


@click.command(short_help="Ask an agent and print its answer.")
@common
@agent_argument
@_text
@_file
@click.option("--timeout", type=SECONDS, default=30.0, show_default=True)
def ask(answer: Answer, *, agent: str, text: str | None, file: str | None, timeout: float) -> None:
    """Ask AGENT a question, TEXT or --json-file, and print its result; nothing is stored.

    It ends 1 where the agent answers with a failure, 5 where nobody answers within the timeout.
    """
    order = _order(text, file)

    async def asked(client: "Client") -> "Result":
        from ...actors.errors import ActorStopped

        await must_exist(client, agent)
        try:
            return await client.ask(agent, order, timeout=timeout)
        except ActorStopped as error:
            if why := trouble(await look(client, agent)):
                told = f"agent {agent!r} is in error, see actorium agent status {agent}: {why}"
                raise ActorStopped(told, agent=agent) from error
            raise

    tell_result(answer, connected(answer, asked))


def _order(text: str | None, file: str | None) -> "Task":
    """The task of a command line, read as a message with the same body would be."""
    from ...bus.codec import read_task
    from ...bus.errors import BadMessage

    if (text is None) == (file is None):
        raise click.UsageError("give the task as TEXT or with --json-file")
    try:
        return read_task(text.encode() if text is not None else _read(str(file)))
    except BadMessage as error:
        raise click.UsageError(f"{file or 'TEXT'}: {error.message}") from error


def _read(file: str) -> bytes:
    import msgspec

    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        msgspec.json.decode(body, type=msgspec.Raw)
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{'stdin' if file == '-' else file} is no JSON: {error}") from error
    return body


def tell_result(answer: Answer, result: "Result") -> None:
    """Print a result, and end the command as the task did."""
    answer.data(result, plain(result.data))
    if result.error:
        answer.note(f"{result.status}: {result.error}")
    end(result_status(result))


def plain(data: Json) -> str:
    """What a task answered, for people: text as it is, everything else as JSON of many lines."""
    import msgspec

    if isinstance(data, str) or data is None:
        return data or ""
    return msgspec.json.format(msgspec.json.encode(data)).decode()
