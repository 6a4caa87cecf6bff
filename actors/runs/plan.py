"""What a run does next, as pure functions of its state.

Not responsible for doing it: see `engine.py`. Invariant: for the same state the answer is the same on every
worker, so whoever takes a run over goes on where its records end.
"""

from collections.abc import Container
from typing import assert_never

import msgspec

from ...bus.task import Status, Task
from ..models.errors import ContextOverflow, Refused
from ..models.port import Role, StopReason
from .answer import newest_results, objection
from .approval import OnExpiry, Verdict
from .budget import Budget, Cost, Exceeded, exceeded, narrower
from .call import Call, Stage
from .config import AgentConfig
from .conversation import compaction, is_full
from .delegation import Grant
from .order import ordered
from .record import Started, Why
from .state import RunState

SAME_STEP = 3  # times in a row that the same calls with the same results are a doom loop
FRUITLESS = 5  # steps in a row of which no call worked
MANY = 1000  # levels of delegation: more than anybody has
ERRORS = 3  # model calls in a row without an answer, after the adapter's own retries


class AskModel(msgspec.Struct, frozen=True):
    """Ask the model for its next turn."""


class WriteOff(msgspec.Struct, frozen=True):
    """A model call was under way when its process died: what was reserved for it counts as spent."""


class Compact(msgspec.Struct, frozen=True):
    """Cut the tool results before the newest `keep` turns."""

    keep: int


class Object(msgspec.Struct, frozen=True):
    """Tell the model what is wrong with its answer."""

    text: str


class Work(msgspec.Struct, frozen=True):
    """These calls can go on now, at the same time."""

    calls: tuple[Call, ...]


class Wait(msgspec.Struct, frozen=True):
    """Everything that is left waits for people: the run rests at no cost."""


class Finish(msgspec.Struct, frozen=True):
    """The run is over."""

    why: Why
    status: Status
    error: str = ""
    limit: str = ""


Next = AskModel | WriteOff | Compact | Object | Work | Wait | Finish


def beginning(
    agent: str,
    task_id: str,
    task: Task,
    config: AgentConfig,
    *,
    grant: Grant | None = None,
    account: str = "",
    before: str = "",
    parent: str = "",
    at_ms: int = 0,
    seconds: float | None = None,
) -> Started:
    """The first record of a run: a grant narrows what the agent has by itself, and never widens it.

    Args:
        grant: What whoever delegated the task allows; its account counts before `account`.
        before: The summary of the previous run of the same objective.
        parent: The run that delegated it.
        at_ms: Wall clock, for people.
        seconds: What its caller waits; None: for ever.
    """
    budget = narrower(config.budget, grant.budget) if grant else config.budget
    return Started(
        agent=agent,
        task_id=task_id,
        task=task,
        definition=config.hash,
        budget=narrower(budget, _only(seconds)) if seconds is not None else budget,
        risk=config.risk.at_most(grant.risk) if grant else config.risk,
        account=(grant.account if grant else "") or account,
        before=before,
        parent=parent,
        at_ms=at_ms,
        tools=grant.tools if grant else None,
    )


def _only(seconds: float) -> Budget:
    return Budget(steps=None, tool_calls=None, seconds=seconds, depth=MANY)


def next_step(state: RunState, config: AgentConfig, *, elapsed: float, resting: Container[str] = ()) -> Next:
    """What a run does now, when nothing of it is under way in this process.

    Args:
        elapsed: Seconds since its newest record, while it was carried.
        resting: Calls whose delegate waits for people: they go on when there is news.
    """
    if state.asking is not None:
        return WriteOff()
    if any(map(halts, state.open_calls)):
        return Finish(Why.EXPIRED, Status.PARTIAL, "nobody answered in time")
    ready = tuple(
        call for call in state.open_calls if call.stage is not Stage.WAITING and call.id not in resting
    )
    if ready:
        return Work(ready)
    if state.calls:
        return Wait()
    return (
        _over(state)
        or _obeyed(state)
        or _answer(state, config)
        or _room(state, config)
        or _turn(state, elapsed)
    )


def halts(call: Call) -> bool:
    """Whether nobody answered a question whose expiry ends the run."""
    expired = call.decision is not None and call.decision.verdict is Verdict.EXPIRE
    return expired and call.question is not None and call.question.on_expiry is OnExpiry.HALT


def _over(state: RunState) -> Finish | None:
    """Whether the run must not go on."""
    refused = state.refused
    if refused is not None:
        why = Why.ACCOUNT if refused.account else Why.BUDGET
        return Finish(why, Status.PARTIAL, refused.error, refused.limit)
    if len(state.marks) >= SAME_STEP and len(set(state.marks[-SAME_STEP:])) == 1:
        told = f"the same call with the same result, {SAME_STEP} times in a row"
        return Finish(Why.DOOM_LOOP, Status.PARTIAL, told)
    if state.fruitless >= FRUITLESS:
        return Finish(Why.NO_PROGRESS, Status.PARTIAL, f"no call worked in {FRUITLESS} steps in a row")
    return _unanswered(state)


def _obeyed(state: RunState) -> Finish | None:
    """The end of a run that was one call, now that it was made."""
    if state.started is None or ordered(state.started.task) is None:
        return None
    if state.fruitless:
        return Finish(Why.TOOL, Status.FAILURE, newest_results(state.turns, failed=True)[0])
    return Finish(Why.COMPLETED, Status.SUCCESS)


def _unanswered(state: RunState) -> Finish | None:
    """Whether a model that gave no answer is not asked again."""
    failure = state.failure
    if failure is None or failure.code == ContextOverflow.code:
        return None
    if state.errors < ERRORS and failure.retryable:
        return None
    why = Why.REFUSED if failure.code == Refused.code else Why.MODEL
    return Finish(why, Status.PARTIAL if state.text else Status.FAILURE, failure.message)


def _answer(state: RunState, config: AgentConfig) -> Finish | Object | None:
    """What the latest answer means, where it wants no tools; None where the model is to go on."""
    if state.stop is None or state.turns[-1].role is not Role.ASSISTANT:
        return None
    match state.stop:
        case StopReason.REFUSAL:
            return Finish(Why.REFUSED, Status.FAILURE, state.text or "the model refused")
        case StopReason.MAX_TOKENS:
            return Finish(Why.MAX_TOKENS, Status.PARTIAL, "the answer was cut at the most it may write")
        case StopReason.PAUSE_TURN | StopReason.CONTEXT_OVERFLOW:
            return None
        case StopReason.END_TURN | StopReason.STOP_SEQUENCE | StopReason.TOOL_USE:
            wrong = objection(state.turns[-1], config.output)
            if not wrong:
                return Finish(Why.COMPLETED, Status.SUCCESS)
            return Finish(Why.OUTPUT, Status.PARTIAL, wrong) if state.objected else Object(wrong)
        case _:
            assert_never(state.stop)


def _room(state: RunState, config: AgentConfig) -> Compact | Finish | None:
    """What follows a window that is full."""
    overflow = state.stop is StopReason.CONTEXT_OVERFLOW or (
        state.failure is not None and state.failure.code == ContextOverflow.code
    )
    if not overflow and not is_full(state.turns, state.prompt, config.window):
        return None
    keep = compaction(state.turns)
    if keep is not None:
        return Compact(keep)
    told = "the conversation does not fit the model's window"
    return Finish(Why.CONTEXT, Status.PARTIAL, told) if overflow else None


def _turn(state: RunState, elapsed: float) -> AskModel | Finish:
    over = exceeded(state.budget, state.spent, Cost(steps=1, seconds=elapsed))
    return spent_up(state, over) if over else AskModel()


def spent_up(state: RunState, over: Exceeded, *, account: bool = False) -> Finish:
    """The end of a run whose next model call does not fit: partial, unless it never began."""
    if over.reason:
        status = Status.PARTIAL if state.step else Status.FAILURE
        return Finish(Why.PRICE, status, over.reason, over.limit)
    return Finish(Why.ACCOUNT if account else Why.BUDGET, Status.PARTIAL, str(over), over.limit)
