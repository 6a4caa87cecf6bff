"""Pages of a run: full chains, large pages, other definitions, and runs that go on from another."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from actorium.actors.workflows.beginning import beginning, forking, retrying
from actorium.actors.workflows.book import WorkflowBook
from actorium.actors.workflows.definition import Input, OnFailure, Workflow
from actorium.actors.workflows.edition import edition
from actorium.actors.workflows.engine import Engine
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.actors.workflows.reading import chain_name, find_ended, read_state
from actorium.actors.workflows.record import Ended, Paused, Resumed
from actorium.actors.workflows.snapshot import Snapshot, encode_snapshot
from actorium.actors.workflows.state import WorkflowState
from actorium.actors.workflows.step import ForEach, Step, Undo
from actorium.bus.errors import ConfigError
from actorium.bus.task import Result, Status
from actorium.storage.errors import Fenced, NotFound
from actorium.storage.memory import MemoryBlobs, MemoryLedger
from actorium.storage.record import decode_record, is_canonical
from actorium.storage.verifier import verify
from simulation.clock import VirtualLoop
from simulation.workflow_world import RUN, SUBJECT, Storm, World, fails


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def agent_step(step_id: str, *needs: str, **more) -> Step:
    return Step(id=step_id, agent="bob", action=step_id, depends_on=needs, **more)


def sequence(*names: str, **more) -> Workflow:
    steps = tuple(agent_step(name, *names[:number][-1:]) for number, name in enumerate(names))
    return Workflow(name="wf", steps=steps, **more)


def names(world: World) -> list[str]:
    return [key.split("/")[1] for key in world.given]


# chains


@pytest.mark.parametrize("fatal", [0, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])
def test_a_full_chain_is_continued_by_the_next_one_also_over_a_crash_between_them(loop, fatal):
    flow = sequence(*"abcdefgh")
    world = World(loop, flow, storm=Storm(fatal))
    ended = loop.play(world.carry(most_pages=4))
    assert ended.result.status is Status.SUCCESS
    assert names(world) == list("abcdefgh")
    assert not world.wrong
    first = [decode_record(entry.value).kind for entry in world.ledger._chains[SUBJECT]]
    assert first[-1] == "continued"
    assert len(world.ledger._chains) >= 3
    for subject, entries in world.ledger._chains.items():
        verify([entry.value for entry in entries], subject)
    read = loop.play(read_state(world.ledger, world.blobs, SUBJECT))
    assert encode_snapshot(read) == encode_snapshot(world.book.state)
    assert loop.play(find_ended(world.ledger, world.blobs, SUBJECT)) == ended


def test_an_old_owner_is_fenced_also_in_the_next_chain(loop):
    world = World(loop, sequence("a", "b", "c"))

    async def play() -> None:
        old = await WorkflowBook.open(world.ledger, world.blobs, SUBJECT, 1, most_pages=2)
        await old.begin(beginning(RUN, world.edition, {}))
        old.say(Paused())
        await old.write()  # the chain is full
        await WorkflowBook.open(world.ledger, world.blobs, SUBJECT, 2, most_pages=2)
        old.say(Resumed())
        with pytest.raises(Fenced):
            await old.write()

    loop.play(play())
    assert chain_name(SUBJECT, 2) in world.ledger._chains


def test_an_old_owner_that_is_faster_once_more_does_not_keep_the_new_one_out(loop):
    world = World(loop, sequence("a"))

    async def play() -> None:
        old = await WorkflowBook.open(world.ledger, world.blobs, SUBJECT, 1)
        await old.begin(beginning(RUN, world.edition, {}))
        honest = world.ledger.append

        async def late(subject, record, *, after):
            world.ledger.append = honest
            old.say(Paused(by="the old one"))
            await old.write()
            return await honest(subject, record, after=after)

        world.ledger.append = late
        new = await WorkflowBook.open(world.ledger, world.blobs, SUBJECT, 2)
        assert new.state.paused
        new.say(Resumed())
        await new.write()

    loop.play(play())


def test_a_page_that_is_too_large_stands_in_the_blobs_and_all_bytes_are_canonical(loop):
    flow = Workflow(
        name="wf",
        steps=(agent_step("a", inputs="${inputs.text}"), agent_step("b", "a")),
        inputs={"text": Input()},
    )
    world = World(loop, flow)
    loop.play(world.carry(inputs={"text": "x" * 100_000}))
    bodies = [decode_record(entry.value).body for entry in world.ledger._chains[SUBJECT]]
    assert ["blob" in body for body in bodies] == [True, True, False, False]
    assert all(is_canonical(entry.value) for entry in world.ledger._chains[SUBJECT])
    read = loop.play(read_state(world.ledger, world.blobs, SUBJECT))
    assert encode_snapshot(read) == encode_snapshot(world.book.state)


def test_a_run_that_never_began_is_not_found(loop):
    ledger, blobs = MemoryLedger(), MemoryBlobs()
    with pytest.raises(NotFound):
        loop.play(read_state(ledger, blobs, SUBJECT))
    assert loop.play(find_ended(ledger, blobs, SUBJECT)) is None
    book = loop.play(WorkflowBook.open(ledger, blobs, SUBJECT, 1))
    with pytest.raises(ConfigError, match="not begun"):
        Engine(book, hands=None, approvals=None)


# definitions


def test_a_definition_that_cannot_work_and_inputs_that_do_not_fit_are_refused_before_anything_starts():
    with pytest.raises(InvalidWorkflow, match="a"):
        edition(Workflow(name="wf", steps=(agent_step("a", "b"), agent_step("b", "a"))))
    with pytest.raises(InvalidWorkflow, match="missing"):
        beginning(RUN, edition(sequence("a", inputs={"x": Input()})), {})


def parked(loop: VirtualLoop, flow: Workflow) -> World:
    """A run that did `a` and waits for a signal."""
    world = World(loop, flow)
    assert loop.play(world.carry()) is None
    return world


OLD = Workflow(name="wf", steps=(agent_step("a"), Step(id="go", wait_signal="go", depends_on=("a",))))
NEW = Workflow(name="wf", steps=(*OLD.steps, agent_step("after", "go")))


def test_a_run_goes_on_under_the_definition_it_began_with(loop):
    world = parked(loop, OLD)
    world.edition = edition(NEW)
    loop.play(world.engine.signal("go", signal_id="s-1"))
    assert set(loop.play(world.carry()).steps) == {"a", "go"}


def test_another_definition_is_refused_without_a_migration(loop):
    world = parked(loop, OLD)
    loop.play(world.book.repin(OLD))
    with pytest.raises(ConfigError, match=f"pinned to definition {OLD.hash}, and was given {NEW.hash}"):
        loop.play(world.book.repin(NEW))
    with pytest.raises(ConfigError, match="other steps"):
        loop.play(world.book.repin(NEW, lambda taken, workflow: taken))


def test_a_migration_makes_the_state_that_the_run_goes_on_with_and_it_is_read_back(loop):
    world = parked(loop, OLD)

    def migrate(taken: Snapshot, workflow: Workflow) -> Snapshot:
        fresh = WorkflowState().steps
        steps = {step.id: taken.steps.get(step.id) or type(taken.steps["a"])() for step in workflow.steps}
        return msgspec.structs.replace(taken, steps={**fresh, **steps})

    loop.play(world.book.repin(NEW, migrate))
    loop.play(world.engine.signal("go", signal_id="s-1"))
    ended = loop.play(world.carry())
    assert (set(ended.steps), names(world)) == ({"a", "go", "after"}, ["a", "after"])
    assert world.book.state.started.definition == NEW.hash


# retry and fork


def go_on(loop: VirtualLoop, world: World, *facts) -> Ended:
    """Carry another run, in the same world."""

    async def play() -> Ended | None:
        book = await WorkflowBook.open(
            world.ledger, world.blobs, "led.7.default.run-2", 1, clock=loop.time, wall=world.wall
        )
        await book.begin(*facts)
        world.book = book
        return await Engine(book, hands=world, approvals=world.approvals()).carry()

    return loop.play(play())


def failed_run(loop: VirtualLoop, *, on_failure: OnFailure = OnFailure.FAIL) -> World:
    """`a` and `b` are done, `c` failed, `d` was not reached."""

    def act(agent, task, key, rng):
        return 0.0, fails() if key == "run-1/c/1" else Result(status=Status.SUCCESS, data=key)

    world = World(loop, sequence("a", "b", "c", "d", on_failure=on_failure), acts=act)
    assert loop.play(world.carry()).result.status is not Status.SUCCESS
    return world


def test_a_retry_from_a_step_keeps_what_does_not_depend_on_it(loop):
    world = failed_run(loop)
    ended = go_on(loop, world, *retrying("run-2", world.book.state, 5, "b"))
    assert world.given[3:] == ["run-2/b/1", "run-2/c/1", "run-2/d/1"]
    assert ended.result.data == {"d": "run-2/d/1"}
    assert world.book.state.steps["a"].result.data == "run-1/a/1"


def test_a_retry_may_take_another_definition(loop):
    world = failed_run(loop)
    mended = edition(Workflow(name="wf", steps=(*sequence("a", "b").steps, agent_step("e", "b"))))
    ended = go_on(loop, world, *retrying("run-2", world.book.state, 5, "c", edition=mended))
    assert world.given[3:] == ["run-2/e/1"]
    assert ended.result.status is Status.SUCCESS


def test_a_retry_from_a_step_that_is_not_there_tells_which_are(loop):
    world = failed_run(loop)
    with pytest.raises(ConfigError, match="there are: a, b, c, d"):
        retrying("run-2", world.book.state, 5, "nope")


def test_a_fork_goes_on_from_any_page(loop):
    world = failed_run(loop)
    state = loop.play(read_state(world.ledger, world.blobs, SUBJECT, pages=3))  # a is done, b has begun
    ended = go_on(loop, world, *forking("run-2", state, 3))
    assert world.given[3:] == ["run-2/b/1", "run-2/c/1", "run-2/d/1"]
    assert ended.result.status is Status.SUCCESS
    with pytest.raises(NotFound):
        loop.play(read_state(world.ledger, world.blobs, SUBJECT, pages=99))


def test_a_fork_keeps_the_items_of_a_fan_out_that_were_done(loop):
    flow = Workflow(
        name="wf",
        steps=(agent_step("a", for_each=ForEach(items=[0, 1, 2, 3]), inputs="${item}"),),
        max_parallel=2,
    )

    def act(agent, task, key, rng):
        done = Result(status=Status.SUCCESS, data=key)
        return (100.0 if key.endswith("1/1") and key.startswith(RUN) else 0.0), done

    world = World(loop, flow, acts=act)

    async def until_one_is_left() -> WorkflowState:
        carried = asyncio.create_task(world.process())
        await asyncio.sleep(5.0)
        carried.cancel()
        return await read_state(world.ledger, world.blobs, SUBJECT)

    state = loop.play(until_one_is_left())
    ended = go_on(loop, world, *forking("run-2", state, 0))
    assert world.given[4:] == ["run-2/a/1/1"]
    assert ended.result.data == {"a": ["run-1/a/1/0", "run-2/a/1/1", "run-1/a/1/2", "run-1/a/1/3"]}


def test_what_was_taken_back_is_done_again(loop):
    undo = Undo(action="undo")
    flow = Workflow(
        name="wf",
        steps=(agent_step("a", effect="compensable", undo=undo), agent_step("bad", "a")),
        on_failure=OnFailure.COMPENSATE,
    )
    flow = msgspec.convert(msgspec.to_builtins(flow), Workflow)

    def act(agent, task, key, rng):
        return 0.0, fails() if key == "run-1/bad/1" else Result(status=Status.SUCCESS)

    world = World(loop, flow, acts=act)
    loop.play(world.carry())
    go_on(loop, world, *retrying("run-2", world.book.state, 1, "bad"))
    assert world.given[3:] == ["run-2/a/1", "run-2/bad/1"]
