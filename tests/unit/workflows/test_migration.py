"""A live run is moved to a definition that what it did already fits, and to no other."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from actorium.actors.workflows.definition import Input, Workflow
from actorium.actors.workflows.migration import Incompatible, migrated
from actorium.actors.workflows.reading import read_state
from actorium.actors.workflows.step import Approval, Step, Undo
from actorium.bus.task import Metrics, Result, Status
from simulation.clock import VirtualLoop
from simulation.workflow_world import SUBJECT, World


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


DONE = Result(status=Status.SUCCESS, metrics=Metrics(execution_time_ms=1))


def task(step_id: str, *needs: str, **more) -> Step:
    return Step(id=step_id, agent="bob", action=more.pop("action", step_id), depends_on=needs, **more)


FIRST, GO, LAST = task("a"), Step(id="go", wait_signal="go", depends_on=("a",)), task("z", "go")
OLD = Workflow(name="wf", inputs={"n": Input(default=1)}, steps=(FIRST, GO, LAST))


def changed(**more) -> Workflow:
    return msgspec.structs.replace(OLD, **more)


def parked(loop: VirtualLoop, flow: Workflow = OLD) -> World:
    """A run that did its first step, and waits for a signal."""
    world = World(loop, flow, acts=lambda agent, task, key, rng: (0.0, DONE))
    assert loop.play(world.carry()) is None
    return world


@pytest.mark.parametrize(
    "new",
    [
        changed(steps=(FIRST, GO)),
        changed(steps=(FIRST, GO, task("z", "go", spec="other"), task("more", "z"))),
        changed(steps=(LAST, task("before", "a"), GO, FIRST)),
        changed(steps=(task("a", timeout=3.0, priority=7), GO, LAST), max_parallel=1, deadline=99.0),
        changed(inputs={"m": Input(default=2)}),
    ],
)
def test_what_did_not_begin_may_change_come_and_go(loop, new):
    world = parked(loop)
    loop.play(world.book.repin(new, migrated))
    loop.play(world.engine.signal("go", signal_id="s"))
    ended = loop.play(world.carry())
    assert (ended.result.status, set(ended.steps)) == ("success", {step.id for step in new.steps})
    assert [key for key in world.given if "/a/" in key] == ["run-1/a/1"]
    assert loop.play(read_state(world.ledger, world.blobs, SUBJECT)).started.definition == new.hash


UNDO = {"effect": "compensable", "undo": Undo(action="u")}


@pytest.mark.parametrize(
    ("new", "why", "steps"),
    [
        (changed(steps=(task("a", action="b"), GO, LAST)), "step a is done, and differs in action", "a"),
        (changed(steps=(task("a", **UNDO), GO, LAST)), "step a is done, and differs in undo", "a"),
        (
            changed(steps=(msgspec.structs.replace(GO, depends_on=()), LAST)),
            "a is done, and not there any more",
            "a",
        ),
        (
            changed(steps=(task("a", "new"), task("new"), GO, LAST)),
            "step a is done, and would have to wait for new",
            "a",
        ),
        (
            changed(steps=(FIRST, Step(id="go", wait_signal="come", depends_on=("a",)), LAST)),
            "step go is listening, and differs in wait_signal",
            "go",
        ),
        (
            changed(steps=(FIRST, Step(id="go", wait_signal="go", depends_on=("a",), timeout=3.0), LAST)),
            "step go is listening, and differs in timeout",
            "go",
        ),
        (
            changed(steps=(task("a", when="true"), task("go", approve=Approval()))),
            "differs in agent, action, approve, wait_signal",
            "a,go",
        ),
        (changed(name="other"), "that is workflow other, and this a run of wf", ""),
        (changed(inputs={"m": Input()}), "inputs.m: it is missing", ""),
    ],
)
def test_what_began_must_do_the_same_or_the_run_goes_on_as_it_was(loop, new, why, steps):
    world = parked(loop)
    with pytest.raises(Incompatible, match="run-1 cannot go on with definition") as refused:
        loop.play(world.book.repin(new, migrated))
    assert why in refused.value.message
    assert refused.value.fields == {"run": "run-1", "steps": steps}
    assert world.book.state.started.definition == OLD.hash
    loop.play(world.engine.signal("go", signal_id="s"))
    assert loop.play(world.carry()).result.status == "success"


def test_an_input_that_comes_with_the_definition_has_its_default(loop):
    world = parked(loop)
    new = changed(inputs={"m": Input(default=2)}, steps=(FIRST, GO, task("z", "go", spec="${inputs.m}")))
    loop.play(world.book.repin(new, migrated))
    loop.play(world.engine.signal("go", signal_id="s"))
    loop.play(world.carry())
    assert world.jobs["run-1/z/1"].task.spec == 2


def test_a_run_is_moved_while_its_steps_run_and_none_is_given_twice(loop):
    """Asked of the run as it is carried: the step that runs goes on, and the new one follows it."""
    old = changed(steps=(FIRST, task("slow", "a")))
    new = changed(steps=(FIRST, task("slow", "a"), task("then", "slow")))
    world = World(loop, old, acts=lambda agent, task, key, rng: (10.0 * (task.action == "slow"), DONE))

    async def play():
        async with asyncio.TaskGroup() as group:
            carried = group.create_task(world.carry())
            await asyncio.sleep(5)
            await world.engine.migrate(new)
            await world.engine.migrate(new)
        return carried.result()

    ended = loop.play(play())
    assert (ended.result.status, ended.ms) == ("success", 10_000)
    assert world.given == ["run-1/a/1", "run-1/slow/1", "run-1/then/1"]
    assert [fact["type"] for fact in world.facts()].count("migrated") == 1
    assert list(loop.play(read_state(world.ledger, world.blobs, SUBJECT)).steps) == ["a", "slow", "then"]


def test_what_a_run_that_is_carried_cannot_take_is_refused_and_it_goes_on(loop):
    old = changed(steps=(FIRST, task("slow", "a")))
    world = World(loop, old, acts=lambda agent, task, key, rng: (10.0 * (task.action == "slow"), DONE))

    async def play():
        async with asyncio.TaskGroup() as group:
            carried = group.create_task(world.carry())
            await asyncio.sleep(5)
            with pytest.raises(Incompatible, match="step slow is running, and differs in action"):
                await world.engine.migrate(changed(steps=(FIRST, task("slow", "a", action="fast"))))
        return carried.result()

    assert loop.play(play()).result.status == "success"


def test_a_run_that_is_over_is_not_moved(loop):
    world = parked(loop)
    loop.play(world.engine.cancel())
    with pytest.raises(Incompatible, match="it is over: fork it"):
        loop.play(world.book.repin(changed(deadline=9.0), migrated))
