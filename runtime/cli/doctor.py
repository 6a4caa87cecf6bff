"""Doctor's command: what it found, and whether agents can work here."""

from typing import TYPE_CHECKING

import click

from .answer import Answer, Exit, columns, end
from .connection import common, settings_of

if TYPE_CHECKING:
    from ..config import Settings
    from ..doctor import Finding


@click.command(short_help="What is here, what is missing, what to do.")
@common
@click.option("--mappings", is_flag=True, help="Print the lines for a nats.conf and look at nothing.")
def doctor(answer: Answer, *, mappings: bool) -> None:
    """Look at this machine and its NATS: what is missing, what that costs and what to do about it.

    It ends 1 where something is missing that agents need; notes tell what would be better with more.
    """
    if mappings:
        from ...bus.server import nats_mappings

        lines = nats_mappings(settings_of(answer).partitions).rstrip()
        answer.data({"mappings": lines}, lines)
        return
    import asyncio

    from ..doctor import Level

    found = asyncio.run(_examine(settings_of(answer)))
    missing = any(finding.level is Level.MISSING for finding in found)
    rows = [(finding.level.value, finding.what, _said(finding)) for finding in found]
    answer.data({"ok": not missing, "findings": found}, columns(rows))
    answer.note("something is missing, see above" if missing else "agents can work here")
    end(Exit.FAILED if missing else Exit.OK)


async def _examine(settings: "Settings") -> "list[Finding]":
    from ..doctor import look_at_server
    from ..doctor_models import look_at_models
    from ..telemetry import set_up_logs
    from .machine import look_at_machine

    set_up_logs(settings)
    return [*look_at_machine(settings), *look_at_models(settings), *await look_at_server(settings)]


def _said(finding: "Finding") -> str:
    return f"{finding.says} -> {finding.do}" if finding.do else finding.says
