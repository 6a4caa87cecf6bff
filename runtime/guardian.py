"""Guardian: what becomes of an actor that failed, as its own policy or its group's supervisor says.

Not responsible for doing it. Invariant: with a supervisor that cannot be reached the actor's own policy
decides, so that a failure is always answered.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress

from ..actors.definition import Definition
from ..actors.errors import ActorError
from ..actors.port import Courier, Directive
from ..actors.supervision import Child, Escalate, Forget, RestartChildren, decide
from ..actors.supervisor import Ended, ask_supervisor
from ..bus.errors import BusError

JITTER = 0.2  # share of a delay that is random, so that what failed together does not return together


class Guardian:
    """Decides for the actors of one worker.

    Args:
        courier: Reaches the supervisors of groups.
        clock: Monotonic seconds.
        rng: For jitter.
    """

    def __init__(
        self,
        courier: Courier,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._courier = courier
        self._clock = clock
        self._rng = rng or random.Random()
        self._restarts: dict[str, list[float]] = {}

    async def supervise(self, definition: Definition, error: str) -> Directive:
        """What becomes of an actor that failed just now."""
        if definition.options.supervisor:
            with suppress(ActorError, BusError):
                return await ask_supervisor(
                    self._courier, definition, Ended(child=definition.name, error=error)
                )
        return self._alone(definition)

    def _alone(self, definition: Definition) -> Directive:
        options, now = definition.options, self._clock()
        restarts = self._restarts.setdefault(definition.key, [])
        child = Child(definition.name, options.restart)
        decision = decide(options.policy, [child], child.name, failed=True, restarts=restarts, now=now)
        match decision:
            case RestartChildren(_, delay):
                recent = [moment for moment in restarts if moment > now - options.policy.period]
                self._restarts[definition.key] = [*recent, now]
                return Directive(restart=True, delay=delay * (1 + JITTER * self._rng.random()))
            case Forget():
                return Directive(restart=False, reason=f"a {options.restart} actor is not restarted")
            case Escalate(reason):
                self._restarts.pop(definition.key, None)
                return Directive(restart=False, reason=reason)
