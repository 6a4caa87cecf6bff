"""What a run says next, and what each fact does to its state: pure, and the same on every worker."""

import msgspec
import pytest

from actorium.actors.runs.effect import EffectClass
from actorium.actors.workflows.beginning import beginning
from actorium.actors.workflows.branch import Place, Stage
from actorium.actors.workflows.definition import Input, OnFailure, Workflow
from actorium.actors.workflows.edition import edition
from actorium.actors.workflows.fact import Done, Failed, Retried, Scheduled
from actorium.actors.workflows.fold import apply, fold
from actorium.actors.workflows.plan import next_due, next_facts
from actorium.actors.workflows.record import Closing, Ended, Page, Paused, Signalled, Why
from actorium.actors.workflows.retry import Retry
from actorium.actors.workflows.setback import settled
from actorium.actors.workflows.snapshot import encode_snapshot
from actorium.actors.workflows.state import WorkflowState
from actorium.actors.workflows.step import ForEach, Step, Undo
from actorium.actors.workflows.timeline import show
from actorium.bus.errors import Failure
from actorium.bus.task import Result, Status

NOW = 1_800_000_000_000
OK = Result(status=Status.SUCCESS, data=1)
BAD = Result(status=Status.FAILURE, error="no", failure=Failure(code="error", message="no"))


def agent_step(step_id: str, *needs: str, **more) -> Step:
    return Step(id=step_id, agent="bob", action="act", depends_on=needs, **more)


def begun(*steps: Step, inputs: dict | None = None, **more) -> WorkflowState:
    """A run that has just begun."""
    names = {name: Input() for name in inputs or {}}
    flow = edition(Workflow(name="wf", steps=steps, inputs=names, **more))
    started = beginning("run-1", flow, inputs or {})
    return fold(WorkflowState(), Page(facts=(started,), at_ms=NOW))


def go_on(state: WorkflowState, now_ms: int = NOW) -> list:
    """Say all that can be said."""
    said = []
    while facts := next_facts(state, now_ms):
        said += facts
        for fact in facts:
            apply(state, fact)
    return said


def kinds(facts: list) -> list[tuple[str, str]]:
    return [(type(fact).__name__, getattr(fact, "step", "")) for fact in facts]


def test_to_ask_what_is_next_changes_nothing_and_gives_the_same_again():
    state = begun(agent_step("a"), agent_step("b", "a"), Step(id="c", sleep=1.0))
    before = encode_snapshot(state)
    assert next_facts(state, NOW) == next_facts(state, NOW)
    assert encode_snapshot(state) == before


def test_what_began_says_its_key_and_all_that_was_evaluated():
    state = begun(agent_step("a", inputs="${inputs.x}"), inputs={"x": [1, 2]})
    scheduled = go_on(state)[-1]
    assert (scheduled.key, scheduled.task.inputs) == ("run-1/a/1", [1, 2])


def test_a_very_long_run_id_gives_keys_that_still_travel():
    state = begun(agent_step("a"))
    state.started = msgspec.structs.replace(state.started, run="r" * 300)
    key = go_on(state)[-1].key
    assert len(key) <= 100
    assert key.endswith("/1")


def test_a_join_waits_for_the_last_of_a_thousand():
    middle = [agent_step(f"m{n}", "a") for n in range(1000)]
    state = begun(agent_step("a"), *middle, agent_step("z", *(step.id for step in middle)), max_parallel=2000)
    go_on(state)
    apply(state, Done(step="a", result=OK))
    assert len([fact for fact in go_on(state) if isinstance(fact, Scheduled)]) == 1000
    for step in middle[:-1]:
        apply(state, Done(step=step.id, result=OK))
    assert go_on(state) == []
    apply(state, Done(step=middle[-1].id, result=OK))
    assert kinds(go_on(state))[-1] == ("Scheduled", "z")


def test_a_due_retry_goes_before_what_never_began():
    state = begun(agent_step("a", retry=Retry()), agent_step("b"), agent_step("c"), max_parallel=1)
    assert kinds(go_on(state))[-1] == ("Scheduled", "a")
    apply(state, Retried(step="a", result=BAD, due_ms=NOW + 500))
    assert kinds(go_on(state)) == [("Scheduled", "b")]
    apply(state, Done(step="b", result=OK))
    assert kinds(go_on(state, NOW + 500)) == [("Scheduled", "a")]


def test_the_next_moment_is_that_of_the_first_timer_or_the_deadline():
    state = begun(Step(id="a", sleep=20.0), Step(id="b", sleep=10.0), deadline=15.0)
    go_on(state)
    assert next_due(state, NOW) == NOW + 10_000
    assert next_due(state, NOW + 10_000) == NOW + 15_000
    apply(state, Paused())
    assert next_due(state, NOW) == NOW + 15_000


def test_nothing_begins_while_a_run_closes_and_it_ends_when_nothing_runs_any_more():
    state = begun(agent_step("a"), agent_step("b", "a"))
    go_on(state)
    apply(state, Closing(why=Why.CANCELLED, error="cancelled"))
    assert next_facts(state, NOW) == []
    apply(state, Done(step="a", result=OK))
    assert kinds(go_on(state)) == [("Ended", "")]
    assert next_facts(state, NOW) == []


def test_a_run_that_cannot_be_carried_on_takes_nothing_back_and_tells_what_is_left():
    step = agent_step("a", effect=EffectClass.COMPENSABLE, undo=Undo(action="undo"))
    state = begun(step, agent_step("b", "a"), on_failure=OnFailure.COMPENSATE)
    go_on(state)
    apply(state, Done(step="a", result=OK))
    apply(state, Closing(why=Why.FAULT, error="it does not read"))
    (ended,) = go_on(state)
    assert ended.result.failure.code == "run_fault"
    assert ended.result.error == "it does not read; a was not undone"


def test_chance_is_an_argument_and_what_it_decided_is_in_the_fact():
    state = begun(agent_step("a", retry=Retry(backoff=10.0, jitter=0.5)))
    go_on(state)
    moments = [settled(state, Place("a"), BAD, NOW, chance)[0].due_ms for chance in (0.0, 0.5, 1.0)]
    assert moments == [NOW + 5000, NOW + 10_000, NOW + 15_000]


def test_a_failure_is_final_while_a_run_closes():
    state = begun(agent_step("a", retry=Retry()))
    go_on(state)
    apply(state, Closing(why=Why.CANCELLED, error="cancelled"))
    assert isinstance(settled(state, Place("a"), BAD, NOW, 0.5)[0], Failed)


def test_pages_never_go_back_in_time_and_their_seconds_add_up():
    state = begun(Step(id="a", sleep=3600.0))
    fold(state, Page(facts=(Paused(),), at_ms=NOW - 5000, seconds=1.5))
    fold(state, Page(facts=(Signalled(name="x", id="1"),), at_ms=NOW + 7000, seconds=0.5))
    assert (state.at_ms, state.spent.seconds) == (NOW + 7000, 2.0)


def test_a_view_tells_what_each_step_waits_for():
    state = begun(
        agent_step("a"),
        agent_step("b", "a"),
        Step(id="go", wait_signal="go"),
        Step(id="nap", sleep=60.0),
        agent_step("many", for_each=ForEach(items=[1, 2, 3], max_parallel=1)),
    )
    go_on(state)
    apply(state, Failed(step="many", item=0, result=BAD))
    shown = {step["id"]: step for step in show(state, NOW + 5000)["steps"]}
    assert shown["a"]["stage"] == Stage.RUNNING
    assert (shown["a"]["ms"], shown["a"]["attempts"]) == (5000, 1)
    assert shown["b"]["waits_for"] == ["a"]
    assert shown["go"]["waits_for"]["signal"] == "go"
    assert shown["nap"]["waits_for"] == {"until_ms": NOW + 60_000}
    assert shown["many"]["open_items"] == [{"item": 0, "stage": "failed", "attempts": 1, "error": "no"}]
    assert msgspec.json.encode(show(state, NOW))


@pytest.mark.parametrize("nothing", [WorkflowState()])
def test_a_run_that_never_began_says_nothing(nothing):
    assert next_facts(nothing, NOW) == []
    assert show(nothing, NOW)["stage"] == "unknown"


def test_the_end_tells_the_times_of_all_steps():
    state = begun(agent_step("a"))
    go_on(state)
    fold(state, Page(facts=(Done(step="a", result=OK),), at_ms=NOW + 1200))
    (ended,) = go_on(state, NOW + 1300)
    assert isinstance(ended, Ended)
    assert (ended.ms, ended.steps["a"].ms, ended.result.metrics.execution_time_ms) == (1300, 1200, 1300)
