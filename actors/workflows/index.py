"""Index: what follows from a state, made anew: its agenda, and what templates see.

Needed where a state begins or is read back whole; from fact to fact `fold.py` keeps it. Invariant: both give
the same.
"""

from .agenda import Agenda
from .branch import Place, Stage, StepState
from .scope import view
from .state import WorkflowState


def index(state: WorkflowState) -> None:
    """Make what follows from the rest of a state."""
    if state.started is not None:
        state.dag = state.dags.of(state.started.definition, state.workflow)
    state.views = {step_id: view(step) for step_id, step in state.steps.items() if step.settled}
    needs = state.dag.needs
    unmet = {step_id: sum(need not in state.views for need in needs[step_id]) for step_id in needs}
    state.agenda = Agenda(unmet)
    state.agenda.unsettled -= len(state.views)
    for step_id, step in state.steps.items():
        if step.failed or step.stage is Stage.FAILED:
            state.agenda.failed[step_id] = None
        if not step.settled:
            _index_step(state, step_id, step)
    for place in state.completed:
        _index_undo(state, place)


def index_ready(state: WorkflowState, step_id: str) -> None:
    """Whether a step has a branch to begin: one that never did, and room for it."""
    step, each = state.steps[step_id], state.dag.steps[step_id].for_each
    cap = each.max_parallel if each else None
    room = cap is None or state.agenda.busy.get(step_id, 0) < cap
    ready = room and step.stage is Stage.RUNNING and step.begun < step.total
    state.agenda.set_ready(state.dag.rank(step_id), ready=ready)


def _index_step(state: WorkflowState, step_id: str, step: StepState) -> None:
    agenda = state.agenda
    match step.stage:
        case Stage.WAITING | Stage.CLEARED:
            agenda.set_fresh(state.dag.rank(step_id), fresh=not agenda.unmet[step_id])
        case Stage.ASKED:
            agenda.asked[step_id] = None
        case Stage.LISTENING:
            agenda.listening.setdefault(state.dag.steps[step_id].wait_signal, {})[step_id] = None
        case Stage.RUNNING:
            _index_branches(state, step_id, step)
        case _:
            pass
    if step.due_ms:
        agenda.add_timer(step.due_ms, step_id)


def _index_branches(state: WorkflowState, step_id: str, step: StepState) -> None:
    for item, branch in enumerate(step.branches):
        if branch.stage is Stage.RUNNING:
            state.agenda.begin(Place(step_id, item))
        elif branch.stage is Stage.SLEEPING:
            state.agenda.add_timer(branch.due_ms, step_id, item)
    index_ready(state, step_id)


def _index_undo(state: WorkflowState, place: Place) -> None:
    undo = state.branch(place).undo
    if undo is not None and undo.stage is Stage.RUNNING:
        state.agenda.begin(place._replace(undo=True))
    elif undo is not None and undo.stage is Stage.SLEEPING:
        state.agenda.add_timer(undo.due_ms, place.step, place.item)
