"""OneShot on the command line: `actorium run "the task"`: who does it, what it may spend, how it is shown.

Not responsible for carrying it out (`one_shot.py`), nor for where (`lodging.py`). Invariant: what is wrong
with the words of the command is told before anything starts; the result alone stands on stdout.
"""

import secrets
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .answer import Answer, end, result_status
from .approvals import lines, login_name
from .choice import MODEL, chosen, granted, read_budget, read_tools
from .connection import common, must_exist, settings_of, task_id
from .seconds import SECONDS
from .task import plain

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ...bus.task import Result
    from ..client import Client
    from ..config import Settings
    from ..lodging import Hurry
    from ..one_shot import Order
    from ..person import Person
    from ..views.run_screen import Screen


@click.command(short_help="Give an agent a task and watch it.")
@common
@click.argument("task")
@click.argument("source", required=False, default="", metavar="[APP]")
@click.option("--agent", default="", help="Who does it; APP's first that is nobody's delegate otherwise.")
@click.option("--model", default="", metavar="PROVIDER:MODEL", help=f"Of an agent made for it [{MODEL}].")
@click.option(
    "--tools",
    metavar="NAME,...",
    help="The only tools it may call, of those that the agent has; MODULE:NAME,... of one made for it.",
)
@click.option("--budget", default="", metavar="LIMIT=N,...", help="Such as usd=0.5,steps=20.")
@click.option("--timeout", type=SECONDS, help="Seconds; then it is called off.")
@click.option(
    "--task-id", default="", metavar="ID", callback=task_id, help="The same id twice is the same task."
)
@click.option("--yes", "manner", flag_value="accept", help="Let every call run that needs an approval.")
@click.option("--ask", "manner", flag_value="ask", help="Ask here, also where stdin is no terminal.")
def one_shot(
    answer: Answer,
    *,
    task: str,
    source: str,
    agent: str,
    model: str,
    tools: str | None,
    budget: str,
    timeout: float | None,
    task_id: str,
    manner: str | None,
) -> None:
    """Have TASK done: by an agent of APP, by --agent of the workers that are up, or by one made for it.

    One that is made for it has a helper of the same kind, which it may give parts of the task to.

    Runs on the workers that are up, at --nats, NATS_URL or the embedded server of this machine; where none
    are, on some of its own, which end with it. Progress is on stderr, the answer on stdout. Ctrl-C cancels
    the run and all that it delegated. It ends 0 where all was done, 1 failed, 4 over budget, 5 too late.
    """
    import msgspec

    from ...bus.codec import read_task
    from ..one_shot import Order

    settings = settings_of(answer)
    limits, allowed = read_budget(budget), read_tools(tools)
    definitions, name, loaded = chosen(source, agent, model, allowed, limits)
    order = Order(
        agent=name,
        task=read_task(task.encode()),
        task_id=task_id or secrets.token_hex(6),
        grant=granted(limits, allowed) if source or agent else None,
        timeout=timeout,
    )
    result = _done(answer, settings, definitions, loaded, order, manner=manner or _manner())
    answer.data({"run": order.run, **msgspec.to_builtins(result)}, plain(result.data))
    if result.error:
        answer.note(f"{result.status}: {result.error}")
    end(result_status(result))


def _done(
    answer: Answer,
    settings: "Settings",
    definitions: "Sequence[Definition]",
    source: str,
    order: "Order",
    *,
    manner: str,
) -> "Result":
    """Carry the order out wherever there is room for it. Raises KeyboardInterrupt after a Ctrl-C."""
    import asyncio

    from ...bus.errors import ConfigError
    from ..lodging import as_guest, at_home, found
    from ..one_shot import OneShot
    from ..telemetry import set_up_logs

    set_up_logs(settings)
    results: list[Result | None] = []

    async def work(client: "Client", hurry: "Hurry") -> None:
        await _must_be_on(client, order.agent)
        screen = _screen(answer)
        person = _person(client, screen, manner)
        screen.say(f"run {order.run}")
        results.append(await OneShot(client, order, screen, person, hurry=hurry).run())

    there = asyncio.run(found(settings))
    if there is not None:
        embedded = not settings.nats.url
        asyncio.run(as_guest(there, definitions, work, source=source, embedded=embedded))
        if results and _lacks_key(results[0]):
            answer.note("keys are read where the workers run, not here: start those with it, or end them")
    elif definitions:
        at_home(settings, definitions, source, work)
    else:
        told = f"no worker is up that has agent {order.agent!r}: name its program, actorium run TASK app.py"
        raise ConfigError(told, agent=order.agent)
    if not results or results[0] is None:
        raise KeyboardInterrupt
    return results[0]


async def _must_be_on(client: "Client", agent: str) -> None:
    """A task for a stopped agent would wait, and whoever gave it with it.

    Raises:
        UsageError, UnknownAgent: As `must_exist`.
        ActorStopped: It is stopped.
    """
    from ...actors.errors import ActorStopped
    from ...bus.subjects import DEFAULT_TENANT

    await must_exist(client, agent)
    there = await client.names.registry.find(DEFAULT_TENANT, agent)
    if there.stopped:
        raise ActorStopped(f"agent {agent!r} is stopped: actorium agent restart {agent}", agent=agent)


def _lacks_key(result: "Result | None") -> bool:
    from ...actors.models.errors import AuthFailed

    return result is not None and result.failure is not None and result.failure.code == AuthFailed.code


def _screen(answer: Answer) -> "Screen":
    from ..views.run_screen import LineScreen, TreeScreen

    alive = sys.stderr.isatty() and sys.stdout.isatty() and not answer.as_json
    return TreeScreen(sys.stderr) if alive else LineScreen(sys.stderr)


def _manner() -> str:
    return "ask" if sys.stdin.isatty() and sys.stderr.isatty() else "tell"


def _person(client: "Client", screen: "Screen", manner: str) -> "Person":
    import time

    from ..person import Keyboard, Manner, Person

    return Person(
        client.desk,
        screen,
        manner=Manner(manner),
        name=login_name(),
        shown=lambda pending: "\n".join(lines(pending, time.time())),
        read=Keyboard(0).line,
    )
