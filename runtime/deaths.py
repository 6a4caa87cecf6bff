"""Deaths: those of a node's workers, and what the node does about the next one, as a pure function.

A worker that had begun to work may have met a task that kills its process. That costs the task an attempt,
and comes to an end by itself, as a dead letter: the node bears much of it, and has the worker back soon. One
that died before it had anything to do will die again: the node bears less of that. Not responsible for seeing
deaths, nor for starting anything.
"""

from collections.abc import Sequence

import msgspec

from ..actors.supervision import Child, Decision, Escalate, Policy, decide
from .config import Settings

PERIOD = 600.0  # seconds in which deaths are counted
PROMPT = 1.0  # seconds that a place stays empty at most, where a worker had worked
VAIN = 10  # deaths that one counts for, where it had not


class Death(msgspec.Struct, frozen=True):
    """A worker died.

    Attributes:
        slot: Its place on the node.
        at: When, monotonic seconds.
        worked: Whether it had begun to work.
    """

    slot: str
    at: float
    worked: bool


def policy_of(settings: Settings) -> Policy:
    """How a node treats its workers."""
    intensity = settings.intensity * settings.worker_count
    return Policy(intensity=intensity, period=PERIOD, backoff=0.05, backoff_max=5.0)


def judge(policy: Policy, slots: Sequence[str], earlier: Sequence[Death], death: Death) -> Decision:
    """What a node does about the death of a worker.

    Args:
        policy: How it treats its workers.
        slots: Their places.
        earlier: Deaths before this one.
        death: This one.
    """
    if death.worked:
        counted, state = earlier, ""
        policy = msgspec.structs.replace(policy, backoff_max=min(policy.backoff_max, PROMPT))
    else:
        counted, state = [other for other in earlier if not other.worked], " before they had begun to work"
        policy = msgspec.structs.replace(policy, intensity=-(-policy.intensity // VAIN))
    children, moments = [Child(slot) for slot in slots], [other.at for other in counted]
    decision = decide(policy, children, death.slot, failed=True, restarts=moments, now=death.at)
    if isinstance(decision, Escalate):
        return Escalate(f"more than {policy.intensity} died within {policy.period:g} s{state}")
    return decision
