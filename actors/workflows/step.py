"""Step: one piece of work of a workflow, and what is done around it.

A template is any JSON value: a text in it that is exactly one `${...}` yields what that names, with its type;
`${...}` within other text is put into it. What may be named: `inputs.<name>`, `run.id`, in a fan-out `item`
and `index`, and of every step a Result: `steps.<id>.data|status|error|failure|artifacts|metrics`. The
language: see `expressions/`. Invariant: what a step refers to, it depends on; `depends_on` adds what it only
waits for.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from ...bus.value import Json
from ..runs.approval import TTL, OnExpiry
from ..runs.effect import EffectClass, Risk
from .duration import Seconds
from .retry import NO_RETRY, Retry

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class Kind(StrEnum):
    """What a step does."""

    AGENT = "agent"
    WORKFLOW = "workflow"
    SLEEP = "sleep"
    SIGNAL = "signal"
    GATE = "gate"


class ForEach(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The step once for every item of a list; its data is the list of their data, in order.

    Attributes:
        items: A template that yields the list, or the list itself.
        item: What the item is called in the step's templates; its place is called `index`, from 0.
        limit: More items than these fail the step before any of them starts.
        max_parallel: Items at a time; None: only the workflow's own limit.
    """

    items: Json
    item: str = "item"
    limit: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    max_parallel: Positive | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A task that takes a completed step back. Its templates also see the step's own result.

    Attributes:
        agent: Who does it; empty: the step's own agent.
        timeout: Seconds; None: the step's own.
    """

    action: str
    agent: str = ""
    spec: Json = None
    inputs: Json = None
    retry: Retry = Retry()
    timeout: Seconds | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A person's consent, asked before the step runs, once for all items of a fan-out.

    Attributes:
        approver: Who shall answer; empty: anybody who may.
        question: What is said beside the step and its inputs; a template.
        ttl: Seconds the question waits.
        reminders: Seconds after asking at which it is said again.
        on_expiry: What follows when nobody answers.
        escalate_to: Who is asked then, with `escalate`.
    """

    approver: str = ""
    question: str = ""
    risk: Risk = Risk.HIGH
    ttl: Seconds = TTL
    reminders: tuple[Seconds, ...] = (3600.0,)
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step: a task for an agent, another workflow, a sleep, a signal to wait for, or an approval alone.

    Attributes:
        id: Its name in references, records and drawings.
        agent: Who gets the task.
        action: The task's action.
        spec: The task's order; a template.
        inputs: The task's material, or the inputs of the other workflow; a template.
        constraints: The task's constraints; templates.
        depends_on: Steps that must be over before, beside those it refers to.
        when: A condition, with or without `${}`, asked once, before any fan-out. False: the step is skipped,
            and so is every step all of whose dependencies were skipped. A skipped step's data is null.
        timeout: Seconds that one attempt, or the wait for a signal, may take; None: up to the deadline.
        effect: What the task does to the world: decides whether an attempt of which nobody knows whether it
            happened may be made again.
        undo: What takes it back with on_failure = compensate; needs effect = compensable.
        workflow: Name of the workflow to run; its outputs become the step's data.
        sleep: Seconds, or a template that yields a duration.
        until: A moment in RFC 3339, or a template that yields one: the step sleeps until then.
        wait_signal: Name of the signal it waits for; what the signal carries becomes the step's data.
        priority: Of steps that could start, the highest starts first.
    """

    id: str
    agent: str = ""
    action: str = ""
    spec: Json = None
    inputs: Json = None
    constraints: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    when: str = ""
    for_each: ForEach | None = None
    retry: Retry = NO_RETRY
    timeout: Seconds | None = None
    effect: EffectClass = EffectClass.IRREVERSIBLE
    undo: Undo | None = None
    approve: Approval | None = None
    workflow: str = ""
    sleep: Seconds | str | None = None
    until: str = ""
    wait_signal: str = ""
    priority: int = 0

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it says it does: exactly one in a valid step."""
        said = {
            Kind.AGENT: self.agent,
            Kind.WORKFLOW: self.workflow,
            Kind.SLEEP: self.until or self.sleep is not None,
            Kind.SIGNAL: self.wait_signal,
        }
        doing = tuple(kind for kind, value in said.items() if value)
        return doing or ((Kind.GATE,) if self.approve else ())

    @property
    def kind(self) -> Kind:
        """What a valid step does."""
        return self.kinds[0]
