"""Supervision as in OTP: what to do when a child ends, as one pure function.

Used by an actor for itself, by a supervisor for a group of actors, and by the supervisor process for its
workers. Not responsible for doing it. Source of the rules: Erlang/OTP Design Principles, "Supervisor
Behaviour" (strategies, intensity and period, permanent/transient/temporary, reverse-ordered stop).
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Strategy(StrEnum):
    """Which children are restarted when one ends."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(StrEnum):
    """When a child is restarted: always, only after a failure, never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a supervisor treats its children.

    Attributes:
        intensity: Restarts allowed within the period; one more and the supervisor itself gives up.
        period: Seconds.
        backoff: Seconds before the first restart of a streak; doubled for each further one within the period.
        backoff_max: Seconds no delay exceeds.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 10
    period: float = 60.0
    backoff: float = 0.005
    backoff_max: float = 10.0


class Child(msgspec.Struct, frozen=True):
    """A supervised child, in the order in which the children are started.

    Attributes:
        members: Where it is a supervisor itself: every agent below it that is none, in start order.
    """

    name: str
    restart: Restart = Restart.PERMANENT
    members: tuple[str, ...] = ()


class RestartChildren(msgspec.Struct, frozen=True):
    """Stop these in reverse order, wait the delay (seconds), start them in this order."""

    names: tuple[str, ...]
    delay: float


class Forget(msgspec.Struct, frozen=True):
    """Let the child be gone."""

    name: str


class Escalate(msgspec.Struct, frozen=True):
    """Stop all children and end, as a failure, in the eyes of the supervisor above."""

    reason: str


Decision = RestartChildren | Forget | Escalate


def decide(
    policy: Policy,
    children: Sequence[Child],
    ended: str,
    *,
    failed: bool,
    restarts: Sequence[float],
    now: float,
) -> Decision:
    """What a supervisor does when a child has ended.

    Args:
        policy: How it treats its children.
        children: All of them, in start order.
        ended: The one that ended.
        failed: Whether it ended by a failure; False: of its own will.
        restarts: Moments of earlier restarts, monotonic seconds.
        now: The same clock.
    """
    child = next(child for child in children if child.name == ended)
    if child.restart is Restart.TEMPORARY or (child.restart is Restart.TRANSIENT and not failed):
        return Forget(ended)
    recent = sum(now - policy.period < moment <= now for moment in restarts)
    if recent >= policy.intensity:
        return Escalate(f"{ended} ended {recent + 1} times within {policy.period:g} s")
    delay = min(policy.backoff * 2**recent, policy.backoff_max)
    return RestartChildren(_affected(policy.strategy, [c.name for c in children], ended), delay)


def agents(children: Sequence[Child], names: Sequence[str]) -> list[str]:
    """The agents that children of these names stand for, in start order: a group stands for its members."""
    chosen = [child for child in children if child.name in names]
    return [agent for child in chosen for agent in child.members or (child.name,)]


def _affected(strategy: Strategy, names: Sequence[str], ended: str) -> tuple[str, ...]:
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return (ended,)
        case Strategy.ONE_FOR_ALL:
            return tuple(names)
        case Strategy.REST_FOR_ONE:
            return tuple(names[names.index(ended) :])
