"""Migrate: the command that moves a live run to another definition of its workflow."""

from typing import TYPE_CHECKING

import click

from .answer import Answer
from .connection import common, connected
from .workflow_choice import run_of
from .workflow_source import is_file, read_file

if TYPE_CHECKING:
    from ..client import Client
    from ..workflow_told import Migrated


@click.command(short_help="Move a live run to another definition.")
@common
@click.argument("name", metavar="RUN")
@click.argument("which", metavar="FILE|NAME")
def migrate(answer: Answer, *, name: str, which: str) -> None:
    """Have RUN go on with the workflow in FILE, or the one that is deployed as NAME.

    Steps that did not begin may differ, come or go. One that began must do the same in both, or nothing is
    changed, and the error names it: cancel the run then, or `fork --latest` it.
    """
    source = read_file(which).source if is_file(which) else None

    async def moved(client: "Client") -> "Migrated":
        flow, run_id = await run_of(client, name)
        to = source.workflow if source else await client.workflows.find(which)
        return await client.workflows.migrate(flow, run_id, to, source.lines if source else None)

    told = connected(answer, moved)
    if told.before == told.definition:
        answer.note(f"{told.run} went on with it before")
    answer.data(told, f"{told.run} goes on with {told.definition}")
