"""Run: give an agent a task and watch it (`actorium run TASK`); list, show, follow, cancel, verify runs.

Not responsible for how a one-shot is carried out (`one_shot.py`). Invariant: everything but cancel and
resume reads from the ledger and the buckets directly, so it works where no worker is up.
"""

import difflib
import sys
import time
from typing import TYPE_CHECKING

import click

from ...bus.value import JsonObject
from .answer import Answer, Exit, columns, end
from .connection import behind_options, common, connected
from .ledger import read_checkpoint
from .one_shot import one_shot

if TYPE_CHECKING:
    from ...actors.receipt import Receipt
    from ...storage.verifier import Verified
    from ..client import Client
    from ..runs import Listed
    from ..views.run_reader import Told
    from ..views.run_view import RunView

NEW = "new"
CLOSE = 0.6  # how alike a lone word and a command must be, to be asked about

_run = click.argument("run", metavar="RUN")


class Runs(click.Group):
    """A group whose command, where none is named, is to begin a run: `actorium run "the task"`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command before what is a task."""
        first = next(iter(behind_options(args)), None)
        if args and first not in self.commands and args[0] not in context.help_option_names:
            words = [word for word in args if not word.startswith("-")]
            if len(words) == 1 == len(args) and (
                near := difflib.get_close_matches(words[0], self.commands, 1, CLOSE)
            ):
                told = f"{words[0]!r} is no command, did you mean {near[0]!r}? As a task: actorium run new"
                raise click.UsageError(f"{told} {words[0]}", context)
            args = [NEW, *args]
        return super().parse_args(context, args)


@click.group(name="run", cls=Runs, short_help="Give an agent a task and watch it; runs, what they did.")
def runs() -> None:
    """Runs: tasks that agents carry to their end, step by step, over the death of any process.

    `actorium run "the task" [APP] [options]` begins one, see `actorium run new --help`. RUN below
    is AGENT/TASK, or the task's id, or the beginning of either where it is unique.
    """


runs.add_command(one_shot, NEW)


@runs.command(name="ls")
@common
@click.option("--all", "every", is_flag=True, help="Also those that ended lately.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Of those that ended.")
def list_runs(answer: Answer, *, every: bool, limit: int) -> None:
    """List live runs, oldest first."""

    async def find(client: "Client") -> "list[Listed]":
        live = await client.runs.live()
        known = {one.run for one in live}
        ended = [one for one in await client.runs.ended(limit) if one.run not in known] if every else []
        return [*ended, *live]

    found = connected(answer, find)
    if not found:
        answer.note('no run is live: actorium run ls --all, or actorium run "the task"')
    head = ("RUN", "STATE", "AT", "TOKENS", "COST", "WAITS FOR")
    answer.data(found, columns([head, *map(_row, found)]) if found else "")


@runs.command()
@common
@_run
def show(answer: Answer, *, run: str) -> None:
    """Show what RUN did: steps, calls, tokens, cost, approvals, and the runs that it delegated to."""

    async def find(client: "Client") -> "RunView | JsonObject":
        agent, task_id = await _found(client, run)
        flow = await workflow_shown(client, agent, task_id)
        return await client.runs.show(agent, task_id) if flow is None else flow

    from ..views.live_tree import tree
    from .workflow_choice import workflow_shown

    view = connected(answer, find)
    if isinstance(view, dict):
        from ..views.redaction import redact
        from .workflow_view import timeline

        answer.data(redact(view), "\n".join(timeline(view, _width())))
        return
    answer.data(_masked(view), "\n".join(tree(view, width=_width())))


@runs.command()
@common
@_run
@click.option("--follow", "-f", is_flag=True, help="Go on until it ends.")
def logs(answer: Answer, *, run: str, follow: bool) -> None:
    """Print each record of RUN and of what it delegated, in a line; with -f until it ends, or Ctrl-C."""

    async def told(client: "Client") -> None:
        from ..views.run_lines import line
        from ..views.run_watch import RunWatch

        async with RunWatch(client.names, *await _found(client, run)) as watch:
            async for each in watch.records(follow=follow):
                for one in each:
                    answer.data(_logged(one), line(one))

    try:
        connected(answer, told)
    except KeyboardInterrupt:
        if not follow:
            raise


@runs.command()
@common
@_run
@click.option("--reason", default="", help="What its record says.")
def cancel(answer: Answer, *, run: str, reason: str) -> None:
    """Cancel RUN and everything it delegated; it ends 1 where the run had ended before."""
    from ..one_shot import receipt_lines

    async def cut(client: "Client") -> "Receipt":
        return await client.cancel(*await _found(client, run), reason)

    receipt = connected(answer, cut)
    answer.data(receipt, "\n".join(receipt_lines(receipt)))
    end(Exit.OK if receipt else Exit.FAILED)


@runs.command()
@common
@_run
def resume(answer: Answer, *, run: str) -> None:
    """Wake RUN: its owner looks at once whether it can go on; it ends 1 where the run is not live."""

    async def wake(client: "Client") -> tuple[str, JsonObject]:
        agent, task_id = await _found(client, run)
        return f"{agent}/{task_id}", await client.courier.on_run(agent, task_id, "wake", {})

    name, told = connected(answer, wake)
    woken = bool(told.get("woken"))
    answer.data({"run": name, "woken": woken}, f"{name} {'looks again' if woken else 'is not live'}")
    end(Exit.OK if woken else Exit.FAILED)


@runs.command()
@common
@_run
@click.option("--checkpoint", metavar="COUNT:HEAD", help="What an earlier verify printed.")
def verify(answer: Answer, *, run: str, checkpoint: str | None) -> None:
    """Prove that RUN's chain of records is whole, and print a checkpoint: COUNT:HEAD."""
    earlier = read_checkpoint(checkpoint) if checkpoint else None

    async def prove(client: "Client") -> "tuple[str, Verified]":
        agent, task_id = await _found(client, run)
        return f"{agent}/{task_id}", await client.runs.verify(agent, task_id, earlier)

    name, proven = connected(answer, prove)
    answer.note(f"the chain of {name} is whole: {proven.count} records")
    value = {"run": name, "count": proven.count, "head": proven.head}
    answer.data(value, f"{proven.count}:{proven.head}")


async def _found(client: "Client", run: str) -> tuple[str, str]:
    """Agent and task of a run. Raises UsageError where several are meant."""
    from ...bus.errors import ConfigError

    try:
        return await client.runs.find(run)
    except ConfigError as error:
        raise click.UsageError(error.message) from error


def _row(one: "Listed") -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at_ms / 1000))
    state = f"{one.state} ({one.why})" if one.why and one.state != "success" else one.state
    tokens = f"{one.tokens:,}" if one.tokens else ""
    cost = f"${one.usd:.4f}" if one.usd is not None and one.tokens else ""
    return one.run, state, at, tokens, cost, " ".join(one.asks)


def _masked(view: "RunView") -> JsonObject:
    """A run as JSON, without the secrets that can be recognised."""
    import msgspec

    from ..views.redaction import redact

    told: JsonObject = redact({"run": view.run, "state": view.stage, **msgspec.to_builtins(view)})
    return told


def _logged(one: "Told") -> JsonObject:
    import msgspec

    from ..views.redaction import redact

    told: JsonObject = redact(msgspec.to_builtins(one))
    return told


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 400
