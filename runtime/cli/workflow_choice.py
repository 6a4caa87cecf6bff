"""WorkflowChoice: the run of a workflow that a command names.

Invariant: a run of an agent is never taken for one of a workflow, nor the other way round.
"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ...bus.value import JsonObject
    from ..client import Client


async def run_of(client: "Client", name: str) -> tuple[str, str]:
    """Workflow and id of a run, told as WORKFLOW/ID, its id, or the beginning of either.

    Raises:
        NotFound: None is called so, or it is no workflow's.
        ConfigError: Several are.
    """
    from ...storage.errors import NotFound

    try:
        agent, run_id = await client.runs.find(name)
    except NotFound as error:
        told = f"there is no run {name!r} of a workflow; actorium workflow ls --all shows those there are"
        raise NotFound(told, run=name) from error
    if await _carries(client, agent) is False:
        told = f"{agent}/{run_id} is no run of a workflow, but of agent {agent}: actorium run show {run_id}"
        raise NotFound(told, run=name)
    return agent, run_id


async def must_be_heard(client: "Client", workflow: str, run_id: str, signal: str) -> None:
    """Find a mistyped signal before it is sent. A run that is about to begin is not judged.

    Raises:
        UsageError: No step of the run's definition waits for it.
    """
    from ...actors.workflows.nearest import nearest
    from ...storage.errors import NotFound

    try:
        flow = (await client.workflows.state(workflow, run_id)).workflow
    except NotFound:
        return
    heard = {step.wait_signal for step in flow.steps if step.wait_signal}
    if signal not in heard:
        told = f"no step of {workflow} waits for a signal {signal!r}{nearest(signal, heard)}"
        raise click.UsageError(told)


async def workflow_shown(client: "Client", agent: str, run_id: str) -> "JsonObject | None":
    """Where a run stands, as `timeline` draws it; None: it is no workflow's.

    Raises:
        NotFound, Corrupt: As `Workflows.show`.
    """
    return await client.workflows.show(agent, run_id) if await _carries(client, agent) else None


async def _carries(client: "Client", agent: str) -> bool | None:
    """Whether an agent carries a workflow; None: it is not there any more."""
    from ..workflow_parts import is_workflow

    owner = next((one for one in await client.agents() if one.name == agent), None)
    return None if owner is None else is_workflow(owner)
