"""Who is asked again, who is asked next, and when it ends: on a clock of our own."""

import asyncio

import pytest

from actorium.actors.models.chain import Again, Fallback, Next, Retry, Stop, decide
from actorium.actors.models.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelError,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    ModelUnreachable,
    Refused,
    Unsupported,
)
from actorium.actors.models.port import ModelRequest, Restarted, TextDelta, Usage, user
from actorium.actors.models.scripted import ScriptedModel, say

ASK = ModelRequest(turns=(user("hi"),))


class World:
    """A clock that only sleeping moves, and models that fail as told before they answer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.called: list[str] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def model(self, name: str, *errors: ModelError) -> ScriptedModel:
        left = list(errors)

        def script(request: ModelRequest):
            self.called.append(name)
            if left:
                raise left.pop(0)
            return say(f"{name} says hi")

        return ScriptedModel(script, model=name)

    def chain(self, *models: ScriptedModel, **policy) -> Fallback:
        retry = Retry(**policy)
        return Fallback(models, retry=retry, clock=lambda: self.now, chance=lambda: 0.5, sleep=self.sleep)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_pause_doubles_up_to_the_longest(world):
    model = world.model("a", *[ModelOverloaded("full") for _ in range(5)])
    await world.chain(model, attempts=6, first_pause=1, longest_pause=5).complete(ASK)
    assert world.slept == [1, 2, 4, 5, 5]


async def test_what_the_provider_asks_for_is_waited(world):
    model = world.model("a", ModelRateLimited("slow", retry_after="20"))
    response = await world.chain(model).complete(ASK)
    assert world.slept == [21.0]  # and a little more, by chance
    (attempt,) = response.attempts
    assert (attempt.model, attempt.failure.code) == ("scripted:a", "model_rate_limited")


async def test_a_model_that_asks_for_too_much_is_left_for_the_next(world):
    first = world.model("a", ModelRateLimited("slow", retry_after="3600"))
    response = await world.chain(first, world.model("b")).complete(ASK)
    assert (response.text, world.slept) == ("b says hi", [])


@pytest.mark.parametrize("kind", [ModelRateLimited, ModelOverloaded, ModelUnavailable, ModelUnreachable])
async def test_the_next_model_is_asked_after_the_last_attempt(world, kind):
    first = world.model("a", *[kind("no") for _ in range(9)])
    response = await world.chain(first, world.model("b"), attempts=3).complete(ASK)
    assert world.called == ["a", "a", "a", "b"]
    assert len(response.attempts) == 3


@pytest.mark.parametrize("kind", [AuthFailed, Unsupported])
async def test_the_next_model_is_asked_at_once_where_this_one_cannot(world, kind):
    await world.chain(world.model("a", kind("no")), world.model("b")).complete(ASK)
    assert (world.called, world.slept) == (["a", "b"], [])


@pytest.mark.parametrize("kind", [Refused, BadRequest, ContextOverflow])
async def test_nobody_else_is_asked_what_was_wrong_to_ask(world, kind):
    with pytest.raises(kind) as caught:
        await world.chain(world.model("a", kind("no")), world.model("b")).complete(ASK)
    assert world.called == ["a"]
    assert len(caught.value.attempts) == 1


async def test_the_whole_ends_with_its_budget(world):
    models = [world.model(name, *[ModelOverloaded("full") for _ in range(99)]) for name in "ab"]
    with pytest.raises(ModelOverloaded) as caught:
        await world.chain(*models, attempts=50, first_pause=4, longest_pause=4, budget=10).complete(ASK)
    assert world.now <= 10
    assert len(caught.value.attempts) == len(world.called)


async def test_a_model_that_never_comes_to_an_end_is_ended_with_the_budget():
    class Endless(ScriptedModel):
        """Never silent for its own timeout, and never at its end."""

        async def complete(self, request, *, on_delta=None, timeout=60.0):
            await asyncio.Event().wait()

    chain = Fallback([Endless(lambda request: say(""))], retry=Retry(attempts=2, budget=0.05))
    async with asyncio.timeout(5):
        with pytest.raises(ModelUnavailable, match="budget"):
            await chain.complete(ASK)


async def test_the_error_is_the_one_that_a_retry_may_cure(world):
    first = world.model("a", ModelRateLimited("slow", retry_after="3600"))
    with pytest.raises(ModelRateLimited) as caught:
        await world.chain(first, world.model("b", AuthFailed("no key"))).complete(ASK)
    assert [attempt.model for attempt in caught.value.attempts] == ["scripted:a", "scripted:b"]


async def test_a_listener_hears_that_it_begins_anew(world):
    told = []
    model = world.model("a", ModelOverloaded("full"))
    await world.chain(model).complete(ASK, on_delta=told.append)
    assert told == [Restarted("scripted:a", "full"), TextDelta("a says hi")]


async def test_what_a_failed_attempt_has_cost_is_told(world):
    cut = ModelUnavailable("cut")
    cut.usage = Usage(input=5)
    response = await world.chain(world.model("a", cut)).complete(ASK)
    assert response.attempts[0].usage == Usage(input=5)


async def test_a_check_tells_of_every_model_that_cannot(world):
    class Broken(ScriptedModel):
        async def check(self) -> None:
            raise AuthFailed(f"{self.name}: no key", variable="KEY")

    broken = [Broken(lambda request: say(""), model=name) for name in "ab"]
    with pytest.raises(AuthFailed, match="scripted:a: no key; scripted:b: no key"):
        await world.chain(world.model("c"), *broken).check()
    await world.chain(world.model("c")).check()


async def test_a_request_cannot_name_a_model_of_a_chain(world):
    with pytest.raises(BadRequest):
        await world.chain(world.model("a")).complete(ModelRequest(turns=(), model="x"))


@pytest.mark.parametrize(
    ("error", "tries", "left", "step"),
    [
        (ModelOverloaded("x"), 1, 100, Again(0.5)),
        (ModelOverloaded("x"), 3, 100, Again(2.0)),
        (ModelOverloaded("x"), 4, 100, Next()),
        (ModelOverloaded("x"), 1, 0.4, Next()),
        (ModelRateLimited("x", retry_after="50"), 1, 100, Again(52.5)),
        (ModelRateLimited("x", retry_after="50"), 1, 52, Next()),
        (ModelRateLimited("x", retry_after="61"), 1, 100, Next()),
        (AuthFailed("x"), 1, 100, Next()),
        (Refused("x"), 1, 100, Stop()),
    ],
)
def test_decisions(error, tries, left, step):
    assert decide(error, tries, left, Retry(), 0.5) == step
