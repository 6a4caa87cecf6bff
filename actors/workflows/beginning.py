"""Beginning: the first page of a run: of a new one, and of one that takes over what another had done.

Pure. Invariant: nothing begins that could not end: it takes a definition that was checked, and refuses inputs
that do not fit it.
"""

from ...bus.errors import ConfigError
from ...bus.value import JsonObject
from ..runs.budget import LIMITS, Budget, narrower
from ..runs.delegation import Grant
from ..runs.effect import Risk
from .branch import Branch, Stage, StepState
from .dag import Dag
from .edition import Edition
from .errand import account_of
from .inputs import take_inputs
from .record import Adopted, Started
from .state import WorkflowState


def beginning(
    run: str,
    edition: Edition,
    inputs: JsonObject,
    *,
    grant: Grant | None = None,
    trigger: str = "manual",
    task_id: str = "",
    reply_to: str = "",
    correlation_id: str = "",
) -> Started:
    """The first fact of a run: a grant narrows what the workflow may spend, and never widens it.

    Args:
        grant: What whoever started it allows.

    Raises:
        InvalidWorkflow: The inputs do not fit it.
    """
    workflow = edition.workflow
    budget = narrower(workflow.budget, grant.budget) if grant else _plain(workflow.budget)
    return Started(
        run=run,
        workflow=workflow,
        definition=edition.hash,
        inputs=take_inputs(workflow, inputs),
        task_id=task_id,
        trigger=trigger,
        budget=budget,
        account=(grant.account if grant else "") or _own_account(run, budget),
        risk=grant.risk if grant else Risk.MEDIUM,
        reply_to=reply_to,
        correlation_id=correlation_id,
    )


def forking(
    run: str, source: WorkflowState, page: int, *, edition: Edition | None = None
) -> tuple[Started, Adopted]:
    """The first page of a run that goes on from another as it stood at some page.

    What was done there stands here as done, items of a fan-out that was not over included; what was under
    way is begun anew, under keys of the new run.

    Args:
        page: The page of the source at which its state was read.
        edition: Another definition to go on with; steps it has no more are forgotten.

    Raises:
        ConfigError: The source never began.
        InvalidWorkflow: Its inputs do not fit the other definition.
    """
    return _adopting(run, source, page, edition, again="")


def retrying(
    run: str, source: WorkflowState, page: int, step: str, *, edition: Edition | None = None
) -> tuple[Started, Adopted]:
    """The first page of a run that does a step again, and all that depends on it; the rest stands as it was.

    Raises:
        ConfigError: The source has no such step, or never began.
        InvalidWorkflow: Its inputs do not fit the other definition.
    """
    if step not in source.steps:
        known = ", ".join(source.steps)
        raise ConfigError(f"there is no step {step!r} to retry from; there are: {known}", step=step)
    return _adopting(run, source, page, edition, again=step)


def _adopting(
    run: str, source: WorkflowState, page: int, edition: Edition | None, *, again: str
) -> tuple[Started, Adopted]:
    began = source.started
    if began is None:
        raise ConfigError("a run that never began cannot be gone on from")
    shared = "" if began.account == account_of(began.run) else began.account
    grant = Grant(budget=began.budget, risk=began.risk, account=shared)
    edition = edition or Edition(began.workflow, began.definition)
    started = beginning(run, edition, began.inputs, grant=grant, trigger=began.trigger)
    dag = Dag(edition.workflow)
    dropped = dag.downstream(again) if again in dag.steps else set()
    wanted = {
        step_id: step for step_id, step in source.steps.items() if step_id in dag.steps.keys() - dropped
    }
    adopted = {step_id: _adopted(step, whole=bool(again)) for step_id, step in wanted.items()}
    kept = {step_id: step for step_id, step in adopted.items() if step is not None}
    return started, Adopted(run=began.run, page=page, steps=_sound(kept, dag))


def _adopted(step: StepState, *, whole: bool) -> StepState | None:
    """What of a step stands in another run; None: nothing. What was taken back does not.

    Args:
        whole: Items of a fan-out that is not over are not kept.
    """
    if any(branch.undo is not None for branch in step.branches):
        return None
    if step.stage is Stage.DONE or step.why in ("when", "skipped"):
        return step
    return None if whole else _adopted_items(step)


def _adopted_items(step: StepState) -> StepState | None:
    """A fan-out with the items that were done; None: there are none."""
    branches = [branch if branch.stage is Stage.DONE else _anew(branch) for branch in step.branches]
    done = sum(branch.stage is Stage.DONE for branch in branches)
    if step.items is None or not done:
        return None
    left = len(step.items) - done
    return StepState(
        stage=Stage.RUNNING, items=step.items, branches=branches, left=left, began_ms=step.began_ms
    )


def _anew(branch: Branch) -> Branch:
    """A branch of which every attempt is still to come."""
    return Branch(stage=Stage.SLEEPING, task=branch.task, due_ms=1)


def _sound(kept: dict[str, StepState], dag: Dag) -> dict[str, StepState]:
    """Those all of whose dependencies are kept whole: another definition may have given them new ones."""
    sound: dict[str, StepState] = {}
    left = dict(kept)
    while left:
        found = {
            step_id: step
            for step_id, step in left.items()
            if all(need in sound and sound[need].settled for need in dag.needs[step_id])
        }
        if not found:
            break
        sound |= found
        left = {step_id: step for step_id, step in left.items() if step_id not in found}
    return sound


def _own_account(run: str, budget: Budget) -> str:
    """The run's own account, where there is something to share out; none where nothing is limited."""
    limited = any(getattr(budget, name) is not None for name in LIMITS if name != "seconds")
    return account_of(run) if limited else ""


def _plain(budget: Budget) -> Budget:
    return Budget(**{name: getattr(budget, name) for name in Budget.__struct_fields__})
