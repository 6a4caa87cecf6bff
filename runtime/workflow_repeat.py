"""WorkflowRepeat: whether a run that is started again under its id is the same run."""

from ..actors.card import run_name
from ..actors.workflows.inputs import take_inputs
from ..actors.workflows.problem import InvalidWorkflow
from ..actors.workflows.record import Started
from ..bus.errors import ConfigError
from ..bus.value import JsonObject
from ..storage.errors import NotFound
from .workflows import Workflows


class OtherRun(ConfigError):
    """Raised where a run of that id was started with other inputs; it goes on as it is."""

    code = "other_run"


async def must_be_the_same(workflows: Workflows, workflow: str, run_id: str, inputs: JsonObject) -> None:
    """Find a run id that is taken before a run is started under it.

    Args:
        inputs: As they are given: defaults may be left out.

    Raises:
        OtherRun: A run of that id began with other inputs; it names them.
    """
    try:
        state = await workflows.state(workflow, run_id)
    except NotFound:
        return
    other = _differing(state.started, inputs) if state.started else []
    if other:
        told = f"run {run_name(workflow, run_id)} was started before with other inputs ({', '.join(other)})"
        raise OtherRun(f"{told}: choose another id, or give the same inputs", run=run_name(workflow, run_id))


def _differing(started: Started, inputs: JsonObject) -> list[str]:
    """Names of the inputs that a run was not started with."""
    try:
        given = take_inputs(started.workflow, inputs)
    except InvalidWorkflow as error:
        return [problem.where.removeprefix("inputs.") for problem in error.problems]
    return [name for name, value in given.items() if started.inputs.get(name) != value]
