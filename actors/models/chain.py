"""Several models tried in turn, each with patience: the one place where calls to models are made again.

    error                                  the same model again          the next model
    rate limited, overloaded, unavailable  until attempts or time end    then
    auth failed, unsupported               never                         at once
    all others                             never                         never: the request is at fault

Not responsible for money: what failed attempts may have cost stands in `attempts`. Invariant: nothing is sent
after the whole budget of seconds.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from .errors import AuthFailed, BadRequest, ModelError, ModelUnavailable, Unsupported
from .port import Attempt, Model, ModelRequest, ModelResponse, OnDelta, Restarted


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How patient to be. Durations in seconds.

    Attributes:
        attempts: Calls to one model, the first included.
        first_pause: Before the second call; doubles up to `longest_pause`; 50 to 150 % of it by chance.
        patience: The longest wait that a provider may ask for; one that asks for more is left for the next.
        budget: For all of it, calls included.
    """

    attempts: int = 4
    first_pause: float = 0.5
    longest_pause: float = 15.0
    patience: float = 60.0
    budget: float = 600.0


class Again(msgspec.Struct, frozen=True):
    """Call the same model again after a pause."""

    pause: float


class Next(msgspec.Struct, frozen=True):
    """Go to the next model."""


class Stop(msgspec.Struct, frozen=True):
    """Give up: another model would be asked the same wrong thing."""


Step: TypeAlias = Again | Next | Stop


def decide(error: ModelError, tries: int, left: float, policy: Retry, chance: float) -> Step:
    """What follows a failed call.

    Args:
        tries: Calls to this model so far.
        left: Seconds of the budget.
        chance: In [0, 1).
    """
    if isinstance(error, AuthFailed | Unsupported):
        return Next()
    if not error.retryable:
        return Stop()
    pause = min(policy.longest_pause, policy.first_pause * 2 ** (tries - 1)) * (0.5 + chance)
    asked = error.retry_after or 0.0
    pause = max(pause, asked * (1 + chance / 10))  # all who were refused would else come back together
    if tries >= policy.attempts or pause >= left or asked > policy.patience:
        return Next()
    return Again(pause)


class Fallback:
    """Models in order of preference, as one model.

    Args:
        models: At least one; they are closed with it.
        clock: Monotonic seconds.
        chance: Numbers in [0, 1) for the jitter.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        retry: Retry | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not models:
            raise ValueError("a chain needs at least one model")
        self._models = tuple(models)
        self._retry = retry or Retry()
        self._clock = clock
        self._chance = chance
        self._sleep = sleep

    @property
    def name(self) -> str:
        """The name of the first model."""
        return self._models[0].name

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        """One turn of the first model that answers; see `Model.complete`. Attempts are told as `Restarted`.

        Raises:
            ModelError: Of the last attempt, or the last that a retry may cure; `attempts` has them all.
        """
        if request.model:
            raise BadRequest("a chain names its models itself: leave the request's model empty")
        call = _Call(self._models, self._retry, self._clock, self._chance)
        while True:
            model = call.model
            try:
                response = await _within(model, request, on_delta, timeout, call.left())
            except ModelError as error:
                pause = call.failed(error)  # raises where nothing is left to try
                if on_delta is not None:
                    on_delta(Restarted(call.model.name, error.message))
                if pause:
                    await self._sleep(pause)
            else:
                return msgspec.structs.replace(response, attempts=(*call.attempts, *response.attempts))

    async def check(self) -> None:
        """Whether every model can work: one that cannot would be found out when it is needed.

        Raises:
            ModelError: Of the first that cannot; its message tells of all.
        """
        errors: list[ModelError] = []
        for model in self._models:
            try:
                await model.check()
            except ModelError as error:
                errors.append(error)
        if errors:
            first = errors[0]
            raise type(first)("; ".join(error.message for error in errors), **first.fields) from first

    async def close(self) -> None:
        """Close all models."""
        for model in self._models:
            await model.close()


class _Call:
    """One call's way along the chain."""

    def __init__(
        self, models: Sequence[Model], policy: Retry, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._models = list(models)
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._end = clock() + policy.budget
        self._tries = 0
        self._errors: list[ModelError] = []
        self.attempts: list[Attempt] = []

    @property
    def model(self) -> Model:
        """The model whose turn it is."""
        return self._models[0]

    def left(self) -> float:
        """Seconds of the budget."""
        return self._end - self._clock()

    def failed(self, error: ModelError) -> float:
        """Note a failed call, move on, return the seconds to wait; raise where nothing is left to try."""
        self._tries += 1
        self._errors.append(error)
        self.attempts.extend(error.attempts)
        self.attempts.append(Attempt(model=self.model.name, failure=error.failure(), usage=error.usage))
        match decide(error, self._tries, self.left(), self._policy, self._chance()):
            case Again(pause):
                return pause
            case Next():
                self._models.pop(0)
                self._tries = 0
            case Stop():
                self._models.clear()
        if not self._models or self.left() <= 0:
            raise self._outcome(error)
        return 0.0

    def _outcome(self, last: ModelError) -> ModelError:
        """The error to raise: what a retry may cure is better news than a missing key further down."""
        curable = [error for error in self._errors if error.retryable]
        outcome = curable[-1] if curable and isinstance(last, AuthFailed | Unsupported) else last
        outcome.attempts = tuple(self.attempts)
        return outcome


async def _within(
    model: Model, request: ModelRequest, on_delta: OnDelta | None, timeout: float, left: float
) -> ModelResponse:
    try:
        async with asyncio.timeout(left):
            return await model.complete(request, on_delta=on_delta, timeout=min(timeout, left))
    except TimeoutError as error:
        raise ModelUnavailable(f"{model.name}: no whole answer within the budget of seconds") from error
