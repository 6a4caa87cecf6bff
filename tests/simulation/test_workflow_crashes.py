"""A workflow run that dies at any point goes on: nothing is given twice, nothing begins before its time.

Random DAGs with every kind of step, agents of every mood, timeouts and cancels; the process is killed, or the
store fails, at every append, every question, every delegation and every cancel. Outside of the run a world
counts what really happened. Bugs that are planted must be found by the same check.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorium.actors.runs.effect import EffectClass
from actorium.actors.workflows import branch_fold, plan, putting_off, reading, saga, scheduling, setback
from actorium.actors.workflows import fold as folding
from actorium.actors.workflows import index as indexing
from actorium.actors.workflows.agenda import Agenda
from actorium.actors.workflows.book import WorkflowBook
from actorium.actors.workflows.branch import Stage
from actorium.actors.workflows.definition import Input, OnFailure, Workflow
from actorium.actors.workflows.delegations import Delegations
from actorium.actors.workflows.engine import Engine
from actorium.actors.workflows.fact import Done, Undone
from actorium.actors.workflows.reading import read_state
from actorium.actors.workflows.record import Closing, Ended, Why
from actorium.actors.workflows.retry import Retry
from actorium.actors.workflows.snapshot import decode_snapshot, encode_snapshot, restore
from actorium.actors.workflows.state import WorkflowState
from actorium.actors.workflows.step import Approval, ForEach, Step, Undo
from actorium.bus.errors import ActoriumError, InternalError
from actorium.bus.task import Status
from actorium.storage.verifier import verify
from simulation.clock import VirtualLoop
from simulation.workflow_world import SUBJECT, Storm, World, moody, place_of

REPEATABLE = (EffectClass.PURE, EffectClass.IDEMPOTENT)
INPUTS = {"flag": True, "items": [1, 2, 3]}


def random_step(rng: random.Random, number: int, before: list[str]) -> Step:
    """A step of any kind that needs some of those before it."""
    needs = tuple(rng.sample(before, min(len(before), rng.choice((0, 1, 1, 2, 3)))))
    common = {"id": f"s{number}", "depends_on": needs, "priority": rng.randrange(3)}
    kind = rng.random()
    if kind < 0.05:
        return Step(sleep=rng.choice((0.0, 0.5, 30.0)), **common)
    if kind < 0.08:
        return Step(wait_signal="go", timeout=rng.choice((None, 20.0)), **common)
    if kind < 0.12:
        return Step(workflow="child", inputs={"x": 1}, **common)
    effect = rng.choice(tuple(EffectClass))
    each = None
    if rng.random() < 0.15:
        each = ForEach(items=rng.choice(("${inputs.items}", [], [5])), max_parallel=rng.choice((None, 1)))
    data = f"${{steps.{needs[0]}.status}}" if needs else "${inputs.flag}"
    return Step(
        agent=rng.choice(("ann", "bob")),
        action="act",
        inputs={"of": data},
        effect=effect,
        for_each=each,
        when=rng.choice(("", "", "", "inputs.flag", "not inputs.flag")),
        retry=Retry(max=rng.choice((0, 0, 1, 3)), backoff=rng.choice((0.1, 5.0))),
        timeout=rng.choice((None, 2.0, 10.0)),
        undo=Undo(action="undo", retry=Retry(max=1)) if effect is EffectClass.COMPENSABLE else None,
        approve=Approval() if rng.random() < 0.05 else None,
        **common,
    )


def without_undo(step: Step) -> Step:
    """A workflow that takes nothing back has no undos."""
    if step.undo is None:
        return step
    return msgspec.structs.replace(step, undo=None, effect=EffectClass.IRREVERSIBLE)


def random_workflow(seed: int) -> Workflow:
    """At most 60 steps."""
    rng = random.Random(seed)
    steps: list[Step] = []
    for number in range(rng.choice((1, 3, 6, 12, 25, 60))):
        steps.append(random_step(rng, number, [step.id for step in steps]))
    rng.shuffle(steps)
    on_failure = rng.choice(tuple(OnFailure))
    compensates = on_failure is OnFailure.COMPENSATE
    return Workflow(
        name="wf",
        inputs={"flag": Input(), "items": Input()},
        steps=tuple(step if compensates else without_undo(step) for step in steps),
        max_parallel=rng.choice((1, 3, 10)),
        on_failure=on_failure,
        deadline=rng.choice((None, None, 40.0)),
    )


def everything() -> Workflow:
    """A small run with every kind of record in it."""
    undo = Undo(action="undo")
    return Workflow(
        name="wf",
        inputs={"flag": Input(), "items": Input()},
        steps=(
            Step(id="a", agent="ann", action="act", effect=EffectClass.COMPENSABLE, undo=undo),
            Step(
                id="b",
                agent="bob",
                action="act",
                for_each=ForEach(items="${inputs.items}"),
                effect=EffectClass.COMPENSABLE,
                undo=undo,
            ),
            Step(id="go", wait_signal="go", depends_on=("a",)),
            Step(id="sleep", sleep=5.0, depends_on=("a",)),
            Step(id="pay", agent="ann", action="act", approve=Approval(), depends_on=("b",)),
            Step(id="no", agent="ann", action="act", when="not inputs.flag"),
            Step(id="slow", agent="bob", action="slow", depends_on=("pay",)),
            Step(
                id="bad",
                agent="bob",
                action="bad",
                retry=Retry(max=1, backoff=0.1),
                depends_on=("pay", "sleep", "go"),
            ),
        ),
        on_failure=OnFailure.COMPENSATE,
    )


def pure_ones() -> Workflow:
    """Steps that do nothing to the world, one after the other and side by side."""
    chain = [
        Step(
            id=f"s{n}",
            agent="ann",
            action="act",
            effect=EffectClass.PURE,
            depends_on=(f"s{n - 1}",) if n else (),
        )
        for n in range(5)
    ]
    each = ForEach(items="${inputs.items}")
    fan = Step(id="f", agent="bob", action="act", for_each=each, effect=EffectClass.PURE, depends_on=("s4",))
    inputs = {"flag": Input(), "items": Input()}
    return Workflow(name="wf", inputs=inputs, steps=(*chain, fan))


def at_once(agent, task, key, rng):
    """Agents that take no time."""
    return 0.0, moody("", task, "x", GOOD)[1]


def as_told(agent, task, key, rng):
    """What the agents of `everything` do."""
    if task.action == "bad":
        return 0.1, msgspec.structs.replace(moody("", task, "x", FAILING)[1])
    return (30.0 if task.action == "slow" else 0.1), moody("", task, "x", GOOD)[1]


class Chance:
    """An agent's mood, said beforehand."""

    def __init__(self, chance: float) -> None:
        self._chance = chance

    def random(self) -> float:
        return self._chance

    def choice(self, among):
        return among[0]


GOOD, FAILING = Chance(0.0), Chance(0.8)


async def live(world: World, cancel_at: float | None = None) -> Ended | None:
    """Carry the run to its end, with what people do meanwhile."""
    signals = asyncio.create_task(send_signals(world))
    if cancel_at is not None:
        world.loop.create_task(cancel(world, cancel_at))
    try:
        for number in range(15):
            ended = await world.carry(inputs=INPUTS)
            if ended is not None:
                return ended
            await asyncio.sleep(10.0)
            await world.alone(world.engine.signal("go", {"n": number}, signal_id=f"parked-{number}"))
        return None
    finally:
        signals.cancel()


async def send_signals(world: World) -> None:
    """Somebody sends the signal now and then, until the run takes it: a message that comes again."""
    for number in range(1000):
        await asyncio.sleep(7.0)
        await tell(world, "signal", "go", {"n": number}, signal_id=f"s-{number}")


async def cancel(world: World, at: float) -> None:
    """Somebody cancels, and says it again where nobody knows whether it stands."""
    await asyncio.sleep(at)
    for _ in range(1000):
        if await tell(world, "tell", Closing(why=Why.CANCELLED, error="cancelled")):
            return
        await asyncio.sleep(1.0)


async def tell(world: World, verb: str, *args, **more) -> bool:
    """Tell the process that carries the run, if there is one; True where that stands, or comes too late."""
    process = world.storm.process
    if world.engine is None or process is None or process.done() or world.storm.dead:
        return False
    try:
        await getattr(world.engine, verb)(*args, **more)
    except (ActoriumError, asyncio.CancelledError):
        return False
    return True


async def faults(world: World, ended: Ended | None) -> list[str]:
    """Everything that is not as it must be, whatever crashed."""
    if ended is None:
        return [*world.wrong, "it never ended"]
    facts = world.facts()
    return [
        *world.wrong,
        *of_order(facts, world),
        *of_counts(facts, world),
        *of_undo(facts, world),
        *of_end(ended, facts, world.workflow),
        *await of_reading(world),
    ]


def of_order(facts: list[dict], world: World) -> list[str]:
    """Nothing began before what it needs was over, nor more at a time than may, nor after the run turned."""
    wrong, over, running = [], set(), set()
    state = world.book.state
    closing = False
    for fact in facts:
        place = (fact.get("step"), fact.get("item", 0))
        kind = fact["type"]
        if kind == "scheduled":
            missing = [need for need in state.dag.needs[place[0]] if need not in over]
            wrong += [f"{place} began before {need} was over" for need in missing]
            wrong += [f"{place} began after the run turned to its end"] * closing
            running.add(place)
        if kind in {"done", "failed", "retried", "stopped"}:
            running.discard(place)
        if len(running) > world.workflow.max_parallel:
            wrong.append(f"{len(running)} at a time: {running}")
        closing = closing or kind == "closing"
        over |= settled_after(fact, facts, state)
    return wrong


def settled_after(fact: dict, facts: list[dict], state: WorkflowState) -> set[str]:
    """The steps that a fact brought to their end; of fan-outs only those whose end the state knows."""
    step_id = fact.get("step")
    if step_id is None or fact["type"] not in {"done", "failed", "skipped", "heard", "stopped", "fanned_out"}:
        return set()
    items = state.steps[step_id].items
    if items is None or state.steps[step_id].stage == "failed":
        return {step_id}
    count = sum(
        other.get("step") == step_id and other["type"] in {"done", "failed", "stopped"}
        for other in facts[: facts.index(fact) + 1]
    )
    return {step_id} if count >= len(items) else set()


def of_counts(facts: list[dict], world: World) -> list[str]:
    """Each key works once, of a pure step at most once more; each branch once, unless it may be repeated."""
    effects = {step.id: step.effect for step in world.workflow.steps}
    wrong = [
        f"{key} worked {times} times"
        for key, times in world.succeeded.items()
        if times > 1 + (effects[place_of(key).step] is EffectClass.PURE and not place_of(key).undo)
    ]
    worked = Counter(place_of(key) for key, times in world.succeeded.items() if times)
    wrong += [
        f"{place} worked {times} times"
        for place, times in worked.items()
        if times > 1 and not place.undo and effects[place.step] not in REPEATABLE
    ]
    ends = Counter(
        (fact["step"], fact.get("item", 0)) for fact in facts if fact["type"] in {"done", "failed", "stopped"}
    )
    wrong += [f"{place} ended {times} times" for place, times in ends.items() if times > 1]
    wrong += [
        f"{fact['step']} was tried again, and nobody knew whether it had happened"
        for fact in facts
        if fact["type"] == "retried"
        and fact["result"]["failure"].get("effect", "no") != "no"
        and effects[fact["step"]] not in REPEATABLE
    ]
    keys = Counter(fact["key"] for fact in facts if "key" in fact)
    return wrong + [f"{key} was scheduled {times} times" for key, times in keys.items() if times > 1]


def of_undo(facts: list[dict], world: World) -> list[str]:
    """A saga takes back what has ended, the latest first, each once."""
    closed = any(fact["type"] == "closing" for fact in facts)
    if world.workflow.on_failure is not OnFailure.COMPENSATE or not closed:
        return ["undone without a saga"] * any(fact["type"].startswith("und") for fact in facts)
    steps = {step.id: step for step in world.workflow.steps}
    happened = [
        (fact["step"], fact.get("item", 0))
        for fact in facts
        if steps.get(fact.get("step"), Step(id="")).undo is not None and may_have_happened(fact)
    ]
    undone = [
        (fact["step"], fact.get("item", 0)) for fact in facts if fact["type"] in {"undone", "undo_failed"}
    ]
    return [] if undone == happened[::-1] else [f"undone: {undone}, in order: {happened[::-1]}"]


def may_have_happened(fact: dict) -> bool:
    if fact["type"] in {"done", "stopped"}:
        return True
    failure = fact["result"].get("failure") if fact["type"] == "failed" else None
    return failure is not None and failure.get("effect", "no") != "no"


def of_end(ended: Ended, facts: list[dict], flow: Workflow) -> list[str]:
    wrong = []
    failed = any(fact["type"] == "failed" for fact in facts)
    if ended.result.status is Status.SUCCESS and failed:
        wrong.append("a success with a step that failed")
    if failed and ended.why is Why.COMPLETED and flow.on_failure is not OnFailure.CONTINUE:
        wrong.append("a step failed, and the run went on")
    if ended.steps.keys() != {step.id for step in flow.steps}:
        wrong.append(f"its end tells of {set(ended.steps)}")
    if [fact["type"] for fact in facts].count("ended") != 1 or facts[-1]["type"] != "ended":
        wrong.append("it did not end once, at its end")
    return wrong


async def of_reading(world: World) -> list[str]:
    """Read back it is the same state; and after each page a snapshot of it can go on with the same."""
    lived, wrong = world.book.state, []
    read = await read_state(world.ledger, world.blobs, SUBJECT)
    if encode_snapshot(read) != encode_snapshot(lived):
        wrong.append("read back it is another state")
    page_by_page = WorkflowState()
    for number, page in enumerate(world.pages()):
        if isinstance(page.facts[-1], Ended):
            break
        folding.fold(page_by_page, page)
        restored = WorkflowState()
        restore(restored, decode_snapshot(encode_snapshot(page_by_page)))
        if agenda_of(restored.agenda) != agenda_of(page_by_page.agenda):
            wrong.append(f"after page {number} its snapshot has another agenda")
    verify([entry.value for entry in world.ledger._chains[SUBJECT]], SUBJECT)
    return wrong


def agenda_of(agenda: Agenda) -> dict:
    told = vars(agenda)
    listening = {name: set(steps) for name, steps in agenda.listening.items() if steps}
    busy = {step: count for step, count in agenda.busy.items() if count}
    failed = set(agenda.failed)
    return {**told, "listening": listening, "busy": busy, "failed": failed}


def check(
    workflow: Workflow, storm: Storm, *, acts=moody, seed: int = 0, cancel_at: float | None = None
) -> list[str]:
    """What is wrong with a run in that storm, and how many boundaries it has."""
    loop = VirtualLoop()
    try:
        world = World(loop, workflow, storm=storm, acts=acts, seed=seed)
        ended = loop.play(live(world, cancel_at))
        return loop.play(faults(world, ended))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.steps(5)
        loop.close()


def boundaries(workflow: Workflow, acts) -> int:
    storm = Storm()
    assert check(workflow, storm, acts=acts) == []
    return storm.passed


@pytest.mark.parametrize("failing", [False, True], ids=["killed", "store fails"])
def test_a_crash_at_any_point_of_pure_steps_gives_them_once_more_at_most(failing):
    count = boundaries(pure_ones(), at_once)
    assert count > 20
    for fatal in range(1, count + 1):
        for seed in range(8):  # some agents are near, others are not
            assert check(pure_ones(), Storm(fatal, failing=failing), acts=at_once, seed=seed) == [], fatal


@pytest.mark.parametrize("failing", [False, True], ids=["killed", "store fails"])
def test_a_crash_at_any_point_gives_nothing_twice(failing):
    count = boundaries(everything(), as_told)
    assert count > 60
    wrong = {}
    for fatal in range(1, count + 1):
        if found := check(everything(), Storm(fatal, failing=failing), acts=as_told):
            wrong[fatal] = found
    assert wrong == {}


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**20),
    st.sets(st.integers(1, 300), max_size=10),
    st.booleans(),
    st.one_of(st.none(), st.floats(0.0, 20.0)),
)
def test_random_runs_in_random_storms_end_and_give_nothing_twice(seed, fatal, failing, cancel_at):
    storm = Storm(*fatal, failing=failing)
    assert check(random_workflow(seed), storm, seed=seed, cancel_at=cancel_at) == []


# planted bugs


def gives_before_the_page_stands(monkeypatch) -> None:
    async def intended(self) -> None: ...

    monkeypatch.setattr(Delegations, "_intended", intended)


def puts_off_what_is_not_pure(monkeypatch) -> None:
    monkeypatch.setattr(putting_off, "_pure_ones_begin", lambda *_: True)


def gives_at_once_what_was_given_before(monkeypatch) -> None:
    honest = WorkflowBook.open

    async def open_(*args, **more):
        book = await honest(*args, **more)
        book.begun_here = True
        return book

    monkeypatch.setattr(WorkflowBook, "open", open_)


def gives_every_carrier_keys_of_its_own(monkeypatch) -> None:
    honest = Delegations._errand

    def errand(self, place):
        agent, key, task = honest(self, place)
        return agent, f"{key}/{self._book._chain.epoch}", task

    monkeypatch.setattr(Delegations, "_errand", errand)


def undoes_the_oldest_first(monkeypatch) -> None:
    honest = folding._APPLIED[Undone]

    def next_undo(state, now_ms):
        state.completed.reverse()
        try:
            return saga.next_undo(state, now_ms)
        finally:
            state.completed.reverse()

    def undone(state, fact):
        state.completed.reverse()
        honest(state, fact)
        state.completed.reverse()

    monkeypatch.setattr(plan, "next_undo", next_undo)
    monkeypatch.setitem(folding._APPLIED, Undone, undone)


def undoes_only_what_is_done(monkeypatch) -> None:
    monkeypatch.setattr(branch_fold, "is_to_undo", lambda state, step, branch: branch.stage is Stage.DONE)


def does_not_turn_where_a_step_failed(monkeypatch) -> None:
    monkeypatch.setattr(plan, "_closing", lambda state, now_ms: None)


def begins_more_than_may_run(monkeypatch) -> None:
    honest = scheduling.scheduling
    monkeypatch.setattr(plan, "scheduling", lambda state, now_ms: honest(Roomy(state), now_ms))


class Roomy:
    """A state that says there is room for all."""

    def __init__(self, state: WorkflowState) -> None:
        self._state = state
        self.workflow = msgspec.structs.replace(state.workflow, max_parallel=1000)

    def __getattr__(self, name: str):
        return getattr(self._state, name)


def tries_blindly_again(monkeypatch) -> None:
    monkeypatch.setattr(setback, "_may_repeat", lambda step, failure: True)


def forgets_outcomes_when_it_reads_back(monkeypatch) -> None:
    honest = folding._APPLIED[Done]

    def fold(state, page):
        monkeypatch.setitem(folding._APPLIED, Done, lambda state, fact: None)
        try:
            return folding.fold(state, page)
        finally:
            monkeypatch.setitem(folding._APPLIED, Done, honest)

    monkeypatch.setattr(reading, "fold", fold)


def forgets_what_runs_when_it_takes_up(monkeypatch) -> None:
    monkeypatch.setattr(Engine, "_running", lambda self: [])


def keeps_no_room_after_a_snapshot(monkeypatch) -> None:
    monkeypatch.setattr(indexing, "_index_branches", lambda state, step_id, step: None)


@pytest.mark.parametrize(
    "bug",
    [
        gives_before_the_page_stands,
        puts_off_what_is_not_pure,
        gives_at_once_what_was_given_before,
        gives_every_carrier_keys_of_its_own,
        undoes_the_oldest_first,
        undoes_only_what_is_done,
        does_not_turn_where_a_step_failed,
        begins_more_than_may_run,
        tries_blindly_again,
        forgets_outcomes_when_it_reads_back,
        forgets_what_runs_when_it_takes_up,
        keeps_no_room_after_a_snapshot,
    ],
)
def test_a_planted_bug_is_found(bug, monkeypatch):
    bug(monkeypatch)
    for number in range(60):
        flows = (everything(), as_told), (random_workflow(number), moody), (pure_ones(), at_once)
        flow, acts = flows[number % 3]
        with suppress(KeyError, IndexError, AssertionError, InternalError):  # it may show in its own way
            if not check(flow, Storm(5 + number, 20 + number), acts=acts, seed=number):
                continue
        return
    pytest.fail("the check does not see it")
