"""RunView: what people see of a run: steps, calls, approvals, tokens, cost, and the runs it delegated to.

Values only. Not responsible for how they come about (`run_fold.py`), nor for lines on a screen
(`live_tree.py`). Invariant: it shows what stands in the ledger; what a process does beyond is not guessed.
"""

from enum import StrEnum

import msgspec

from ...actors.card import run_name
from ...actors.runs.approval import Decision, Question, Verdict
from ...actors.runs.budget import Budget
from ...bus.value import Json, JsonObject


class RunStage(StrEnum):
    """How far a run has come."""

    RUNNING = "running"
    WAITING = "waiting"  # everything that is left waits for people
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class CallStage(StrEnum):
    """How far a call has come."""

    WANTED = "wanted"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class CallView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call.

    Attributes:
        content: What the model read of it.
        question: The open question about it, or the last one.
        decision: What was answered.
        delegate: The run that it started, `agent/task`; empty: none.
        run: That run, where it was read.
    """

    id: str
    tool: str
    arguments: JsonObject
    stage: CallStage = CallStage.WANTED
    attempt: int = 0
    content: str = ""
    tokens: int = 0
    usd: float = 0.0
    question: Question | None = None
    decision: Decision | None = None
    delegate: str = ""
    run: "RunView | None" = None

    @property
    def asks(self) -> Question | None:
        """The question that waits for an answer."""
        return self.question if self.stage is CallStage.WAITING else None


class StepView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A turn of the model and the calls it wanted.

    Attributes:
        asking: The model has been asked and has not answered yet.
        notes: What else happened in it.
    """

    number: int
    model: str
    asking: bool = False
    text: str = ""
    tokens: int = 0
    usd: float = 0.0
    calls: tuple[CallView, ...] = ()
    notes: tuple[str, ...] = ()


class RunView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run.

    Attributes:
        task: What it was to do.
        before: Its parent's name, `agent/task`, or its task id; empty: it has none.
        began_ms: Wall clock.
        seconds: While it was carried.
        priced: Whether all that was spent has a known price.
        why: How it ended, in the words of its last record.
        answer: What it ended with.
    """

    agent: str
    task_id: str
    stage: RunStage = RunStage.RUNNING
    task: Json = None
    parent: str = ""
    began_ms: int = 0
    seconds: float = 0.0
    tokens: int = 0
    usd: float = 0.0
    tool_calls: int = 0
    priced: bool = True
    budget: Budget | None = None
    account: str = ""
    steps: tuple[StepView, ...] = ()
    why: str = ""
    limit: str = ""
    answer: Json = None
    error: str = ""
    code: str = ""

    @property
    def run(self) -> str:
        """Its name."""
        return run_name(self.agent, self.task_id)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.stage not in (RunStage.RUNNING, RunStage.WAITING)

    @property
    def calls(self) -> list[CallView]:
        """All calls, oldest first."""
        return [call for step in self.steps for call in step.calls]


def verdict_of(call: CallView) -> str:
    """What was decided about a call, and by whom; empty: nothing."""
    decision = call.decision
    if decision is None:
        return ""
    if decision.verdict is Verdict.EXPIRE:
        return "nobody answered in time"
    told = {
        Verdict.ACCEPT: "accepted",
        Verdict.EDIT: "edited",
        Verdict.RESPOND: "answered",
        Verdict.DENY: "denied",
    }[decision.verdict]
    return f"{told} by {decision.by or 'somebody'}"
