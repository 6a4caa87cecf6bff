"""A workflow run from its inputs to its end, over real pages in memory, with agents that are functions."""

import asyncio
from collections.abc import Iterator

import pytest

from actorium.actors.errors import Paused
from actorium.actors.runs.approval import Verdict
from actorium.actors.runs.effect import EffectClass
from actorium.actors.workflows.definition import Input, OnFailure, SharedBudget, Workflow
from actorium.actors.workflows.retry import Retry
from actorium.actors.workflows.step import Approval, ForEach, Step, Undo
from actorium.actors.workflows.timeline import show
from actorium.bus.errors import Effect, Failure
from actorium.bus.task import Metrics, Result, Status
from actorium.storage.errors import StoreUnavailable
from actorium.storage.verifier import verify
from simulation.clock import VirtualLoop
from simulation.workflow_world import SUBJECT, World, fails

SEQUENCE = ("one", "two", "three")


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def agent_step(step_id: str, *needs: str, **more) -> Step:
    effect = EffectClass(more.pop("effect", "irreversible"))
    return Step(id=step_id, agent="bob", action=step_id, depends_on=needs, effect=effect, **more)


def workflow(*steps: Step, **more) -> Workflow:
    return Workflow(name="wf", steps=steps, **more)


def ok(data: object = None, seconds: float = 0.0, **metrics) -> tuple[float, Result]:
    spent = Metrics(execution_time_ms=1, **metrics)
    return seconds, Result(status=Status.SUCCESS, data=data, metrics=spent)


def world_of(loop: VirtualLoop, flow: Workflow, **acts) -> World:
    """Agents do what is said for the step; all others answer with its name."""

    def act(agent, task, key, rng):
        said = acts.get(task.action, lambda task, key: ok(task.action))
        return said(task, key) if callable(said) else said

    return World(loop, flow, acts=act)


# the way of a run


def test_steps_run_in_the_order_of_what_they_need_and_hand_on_their_data(loop):
    flow = workflow(
        agent_step("sum", inputs={"of": ["${steps.fetch.data.n}", "${inputs.add}"]}),
        agent_step("fetch", spec="for ${inputs.add} in ${run.id}"),
        inputs={"add": Input()},
        outputs={"total": "${steps.sum.data}"},
    )
    world = world_of(loop, flow, fetch=ok({"n": 40}), sum=lambda task, key: ok(sum(task.inputs["of"])))
    ended = loop.play(world.carry(inputs={"add": 2}))
    assert (ended.why, ended.result.status, ended.result.data) == ("completed", "success", {"total": 42})
    assert world.jobs["run-1/fetch/1"].task.spec == "for 2 in run-1"
    assert world.given == ["run-1/fetch/1", "run-1/sum/1"]
    assert not world.wrong


def test_what_ended_and_what_begins_then_is_one_page(loop):
    steps = [agent_step(name, *SEQUENCE[:number][-1:]) for number, name in enumerate(SEQUENCE)]
    world = world_of(loop, workflow(*steps))
    loop.play(world.carry())
    facts = [[fact.__class__.__name__ for fact in page.facts] for page in world.pages()]
    assert facts == [
        ["Started"],
        ["Scheduled"],
        ["Done", "Scheduled"],
        ["Done", "Scheduled"],
        ["Done", "Ended"],
    ]
    records = [entry.value for entry in world.ledger._chains[SUBJECT]]
    assert verify(records, SUBJECT).count == 5


def test_without_outputs_the_data_is_that_of_the_last_steps(loop):
    world = world_of(loop, workflow(agent_step("a"), agent_step("b", "a"), agent_step("c", "a")))
    assert loop.play(world.carry()).result.data == {"b": "b", "c": "c"}


def test_no_more_run_at_a_time_than_are_allowed_and_by_priority(loop):
    steps = [agent_step(f"s{n}", priority=n) for n in range(6)]
    flow = workflow(*steps, max_parallel=2)
    world = world_of(loop, flow, **{f"s{n}": ok(seconds=1.0) for n in range(6)})
    ended = loop.play(world.carry())
    begun = [fact["step"] for fact in world.facts() if fact["type"] == "scheduled"]
    assert begun == ["s5", "s4", "s3", "s2", "s1", "s0"]
    assert ended.ms == 3000
    assert ended.steps["s0"].ms == 1000


def test_a_run_whose_agents_called_no_model_says_nothing_of_models(loop):
    world = world_of(loop, workflow(agent_step("a"), agent_step("b", "a")), a=ok(seconds=2.0))
    assert loop.play(world.carry()).result.metrics == Metrics(execution_time_ms=2000)
    world = world_of(loop, workflow(agent_step("a")), a=ok(steps=2, tokens_used=30, usd=0.5))
    told = loop.play(world.carry()).result.metrics
    assert (told.steps, told.tokens_used, told.usd) == (2, 30, 0.5)


def test_a_run_that_ended_is_not_carried_again(loop):
    world = world_of(loop, workflow(agent_step("a")))
    first = loop.play(world.carry())
    assert loop.play(world.carry()) == first
    assert world.given == ["run-1/a/1"]


def test_events_tell_the_end_of_each_step_as_the_seeds_do(loop):
    world = world_of(loop, workflow(agent_step("a"), agent_step("b", "a", when="steps.a.data == 'z'")))
    loop.play(world.carry())
    told = [
        (data["step_id"], data["status"]) for kind, data in world.events if kind == "workflow_step_completed"
    ]
    assert told == [("a", "success"), ("b", "skipped")]


# conditions


@pytest.mark.parametrize(
    ("when", "ran"),
    [("steps.a.data == 'a'", ["a", "b", "after", "join"]), ("${steps.a.data == 'z'}", ["a", "join"])],
)
def test_a_step_whose_condition_is_false_is_skipped_with_what_needs_only_it(loop, when, ran):
    flow = workflow(
        agent_step("a"),
        agent_step("b", when=when),
        agent_step("after", "b"),
        agent_step("join", "a", "after"),
    )
    world = world_of(loop, flow)
    ended = loop.play(world.carry())
    assert [key.split("/")[1] for key in world.given] == ran
    assert ended.result.status is Status.SUCCESS


def test_a_skipped_step_has_no_data_for_those_that_refer_to_it(loop):
    flow = workflow(
        agent_step("a"),
        agent_step("b", "a", when="steps.a.data == 'z'"),
        agent_step("c", "a", inputs={"b": "${steps.b.data}", "how": "${steps.b.status}"}),
    )
    world = world_of(loop, flow)
    loop.play(world.carry())
    assert world.jobs["run-1/c/1"].task.inputs == {"b": None, "how": "skipped"}


def test_a_template_without_a_value_fails_its_step_and_says_where(loop):
    flow = workflow(agent_step("a"), agent_step("b", inputs={"x": "${steps.a.data.nothing}"}))
    world = world_of(loop, flow, a=ok({}))
    ended = loop.play(world.carry())
    assert ended.result.failure.code == "expression_error"
    assert "steps.b.inputs.x" in ended.result.error


# fan-out


def test_a_fan_out_of_a_thousand_is_collected_in_order(loop):
    each = ForEach(items="${inputs.numbers}", item="number")
    flow = workflow(
        agent_step("double", for_each=each, inputs={"n": "${number}", "at": "${index}"}),
        inputs={"numbers": Input()},
        max_parallel=100,
        outputs={"all": "${steps.double.data}"},
    )
    world = world_of(
        loop, flow, double=lambda task, key: ok(task.inputs["n"] * 2, seconds=task.inputs["n"] % 7)
    )
    ended = loop.play(world.carry(inputs={"numbers": list(range(1000))}))
    assert ended.result.data == {"all": [2 * n for n in range(1000)]}
    assert len(world.given) == 1000
    assert "run-1/double/1/999" in world.given


def test_a_fan_out_runs_as_many_items_at_a_time_as_it_says(loop):
    each = ForEach(items=[1, 2, 3, 4], max_parallel=1)
    world = world_of(loop, workflow(agent_step("a", for_each=each)), a=ok(seconds=1.0))
    assert loop.play(world.carry()).ms == 4000


def test_a_fan_out_over_nothing_is_done(loop):
    world = world_of(loop, workflow(agent_step("a", for_each=ForEach(items=[])), agent_step("b", "a")))
    assert loop.play(world.carry()).result.data == {"b": "b"}


def test_more_items_than_the_limit_fail_the_step_before_any_of_them_starts(loop):
    world = world_of(
        loop,
        workflow(agent_step("a", for_each=ForEach(items="${inputs.xs}", limit=2)), inputs={"xs": Input()}),
    )
    ended = loop.play(world.carry(inputs={"xs": [1, 2, 3]}))
    assert ended.result.failure.code == "too_many_items"
    assert world.given == []


def test_items_that_fail_leave_null_where_the_run_goes_on(loop):
    flow = workflow(
        agent_step("a", for_each=ForEach(items=[1, 2, 3]), inputs="${item}"),
        agent_step("b", inputs="${steps.a.data}"),
        on_failure=OnFailure.CONTINUE,
    )
    world = world_of(loop, flow, a=lambda task, key: (0.0, fails()) if task.inputs == 2 else ok(task.inputs))
    ended = loop.play(world.carry())
    assert world.jobs["run-1/b/1"].task.inputs == [1, None, 3]
    assert ended.result.status is Status.PARTIAL
    assert ended.steps["a"].error == "1 of 3 items failed: it failed: error"


# failures


def failing(loop: VirtualLoop, on_failure: OnFailure) -> World:
    """`a` was done, `slow` is running, `bad` fails, `after` needs it, `late` needs `slow`."""
    flow = workflow(
        agent_step("a"),
        agent_step("slow", "a"),
        agent_step("bad", "a"),
        agent_step("after", "bad"),
        agent_step("late", "slow"),
        on_failure=on_failure,
    )
    return world_of(loop, flow, slow=ok("slow", seconds=5.0), bad=(1.0, fails()))


def test_on_failure_fail_cancels_what_runs_and_skips_the_rest(loop):
    world = failing(loop, OnFailure.FAIL)
    ended = loop.play(world.carry())
    assert (ended.why, ended.result.status) == ("failed", Status.FAILURE)
    assert ended.result.error == "step bad failed: it failed: error"
    assert world.cancelled == ["run-1/slow/1"]
    stages = {step["id"]: step["stage"] for step in show(world.book.state, 0)["steps"]}
    assert stages == {
        "a": "done", "slow": "cancelled", "bad": "failed", "after": "skipped", "late": "skipped",
    }  # fmt: skip


def test_on_failure_continue_skips_what_needs_it_and_ends_partial(loop):
    world = failing(loop, OnFailure.CONTINUE)
    ended = loop.play(world.carry())
    assert (ended.why, ended.result.status) == ("completed", Status.PARTIAL)
    assert ended.result.data == {"late": "late"}
    assert ended.steps["after"].status == "skipped"
    assert world.cancelled == []


def test_where_every_step_fails_the_run_did(loop):
    world = world_of(loop, workflow(agent_step("a"), on_failure=OnFailure.CONTINUE), a=(0.0, fails()))
    assert loop.play(world.carry()).result.status is Status.FAILURE


# retry


RETRY = Retry(max=3, backoff=10.0, factor=2.0, jitter=0.0)


def test_a_failed_attempt_is_made_again_under_a_key_of_its_own_after_its_backoff(loop):
    flow = workflow(agent_step("a", retry=RETRY))
    world = world_of(loop, flow, a=lambda task, key: ok("at last") if key.endswith("/3") else (0.0, fails()))
    ended = loop.play(world.carry())
    assert world.given == ["run-1/a/1", "run-1/a/2", "run-1/a/3"]
    assert ended.ms == 30_000
    assert (ended.result.status, ended.steps["a"].attempts) == (Status.SUCCESS, 3)


def test_attempts_end_and_what_would_fail_again_is_not_tried_again(loop):
    for retry, code, attempts in [
        (RETRY, "error", 4),
        (RETRY, "rejected", 1),
        (Retry(max=3, backoff=0.1, non_retryable=("odd",)), "odd", 1),
    ]:
        world = world_of(loop, workflow(agent_step("a", retry=retry)), a=(0.0, fails(code)))
        assert loop.play(world.carry()).steps["a"].attempts == attempts


def test_what_may_have_happened_is_tried_again_only_where_that_does_no_harm(loop):
    for effect, attempts in [("irreversible", 1), ("compensable", 1), ("idempotent", 4), ("pure", 4)]:
        undo = Undo(action="undo") if effect == "compensable" else None
        on_failure = OnFailure.COMPENSATE if undo else OnFailure.FAIL
        flow = workflow(agent_step("a", retry=RETRY, effect=effect, undo=undo), on_failure=on_failure)
        world = world_of(loop, flow, a=(0.0, fails("handler_failed", Effect.UNKNOWN)))
        ended = loop.play(world.carry())
        assert ended.steps["a"].attempts == attempts
        assert ("whether it happened is not known" in ended.result.error) == (attempts == 1)


def test_jitter_is_drawn_once_and_stands(loop):
    flow = workflow(agent_step("a", retry=Retry(max=1, backoff=40.0, jitter=0.5)))
    world = world_of(loop, flow, a=(0.0, fails()))
    assert loop.play(world.carry(patient=False)) is None
    due_ms = next(fact["due_ms"] for fact in world.facts() if fact["type"] == "retried")
    assert world.engine.wake_at == due_ms / 1000
    assert 20_000 <= due_ms - world.book.state.began_ms <= 60_000
    assert due_ms - world.book.state.began_ms != 40_000


def test_an_attempt_that_takes_too_long_is_cancelled_and_its_timeout_is_a_failure(loop):
    world = world_of(loop, workflow(agent_step("a", timeout=3.0)), a=ok(seconds=60.0))
    ended = loop.play(world.carry())
    assert ended.result.failure.code == "deadline_exceeded"
    assert (ended.ms, world.cancelled) == (3000, ["run-1/a/1"])


# time, signals, people


def test_a_run_rests_while_a_step_sleeps_and_says_when_it_is_to_be_woken(loop):
    flow = workflow(Step(id="wait", sleep="2 h"), agent_step("after", "wait"))
    world = world_of(loop, flow)
    assert loop.play(world.carry(patient=False)) is None
    assert world.engine.wake_at == pytest.approx(world.wall() + 7200, abs=0.1)
    assert world.given == []
    ended = loop.play(world.carry())
    assert ended.ms == 7_200_000
    assert world.given == ["run-1/after/1"]


def test_a_short_sleep_is_waited_for_in_place(loop):
    world = world_of(loop, workflow(Step(id="wait", sleep=0.5), agent_step("after", "wait")))
    assert loop.play(world.carry(patient=False)).result.status is Status.SUCCESS


def test_a_step_sleeps_until_a_moment(loop):
    world = world_of(loop, workflow(Step(id="wait", until="2027-01-15T09:00:00+01:00")))  # WALL is 08:00 UTC
    assert loop.play(world.carry()).ms == 0


def test_a_deadline_ends_the_run_partial_with_what_there_is(loop):
    flow = workflow(agent_step("a"), agent_step("b", "a"), deadline=10.0)
    world = world_of(loop, flow, b=ok(seconds=60.0))
    ended = loop.play(world.carry())
    assert (ended.why, ended.result.status, ended.ms) == ("deadline", Status.PARTIAL, 10_000)
    assert ended.result.failure.code == "deadline_exceeded"
    assert world.cancelled == ["run-1/b/1"]


def test_a_step_waits_for_its_signal_which_may_come_before_it(loop):
    flow = workflow(agent_step("a"), Step(id="go", wait_signal="go", depends_on=("a",)))
    for early in (True, False):
        world = world_of(loop, flow, a=ok(seconds=1.0))

        async def play(world=world, early=early):
            carried = asyncio.create_task(world.process())
            await asyncio.sleep(0.5 if early else 5.0)
            assert await world.engine.signal("go", {"by": "ann"}, signal_id="s-1")
            if carried.done():
                assert await carried is None
                return await world.process()
            return await carried

        assert loop.play(play()).result.data == {"go": {"by": "ann"}}


def test_the_same_signal_twice_is_one_and_each_is_taken_by_one_step(loop):
    flow = workflow(Step(id="first", wait_signal="go"), Step(id="second", wait_signal="go"))
    world = world_of(loop, flow)
    assert loop.play(world.carry()) is None
    loop.play(world.engine.signal("go", 1, signal_id="s-1"))
    loop.play(world.engine.signal("go", 1, signal_id="s-1"))
    assert loop.play(world.engine.carry()) is None
    loop.play(world.engine.signal("go", 2, signal_id="s-2"))
    assert loop.play(world.engine.carry()).result.data == {"first": 1, "second": 2}
    assert loop.play(world.engine.signal("go", 3, signal_id="s-3")) is False


def test_a_signal_that_does_not_come_in_time_fails_its_step(loop):
    world = world_of(loop, workflow(Step(id="go", wait_signal="go", timeout=60.0)))
    ended = loop.play(world.carry())
    assert (ended.result.failure.code, ended.ms) == ("deadline_exceeded", 60_000)


def test_a_paused_run_begins_nothing_until_it_is_resumed(loop):
    world = world_of(loop, workflow(agent_step("a"), agent_step("b", "a")), a=ok(seconds=5.0))

    async def play():
        carried = asyncio.create_task(world.process())
        await asyncio.sleep(1.0)
        assert await world.engine.pause("ann")
        assert await carried is None
        assert world.given == ["run-1/a/1"]
        assert show(world.book.state, 0)["stage"] == "paused"
        await world.engine.resume("ann")
        return await world.engine.carry()

    assert loop.play(play()).result.status is Status.SUCCESS


def approved(**more) -> Workflow:
    return workflow(agent_step("pay", approve=Approval(approver="ann", **more), inputs={"n": 17}))


@pytest.mark.parametrize(
    ("verdict", "more", "status", "data"),
    [
        (Verdict.ACCEPT, {}, "success", {"pay": 17}),
        (Verdict.EDIT, {"arguments": {"action": "pay", "inputs": {"n": 18}}}, "success", {"pay": 18}),
        (Verdict.RESPOND, {"text": "I paid"}, "success", {"pay": "I paid"}),
        (Verdict.DENY, {"text": "no"}, "failure", {}),
    ],
)
def test_a_step_waits_for_a_person_and_does_what_he_says(loop, verdict, more, status, data):
    world = world_of(loop, approved(), pay=lambda task, key: ok(task.inputs["n"]))
    assert loop.play(world.carry(patient=False)) is None
    assert world.given == []
    loop.play(world.answer(verdict, **more))
    ended = loop.play(world.carry(patient=False))
    assert ended.result.status == status
    if status == "success":
        assert ended.result.data == data
    else:
        assert ended.result.failure.code == "denied"
        assert "denied by ann. no" in ended.result.error


@pytest.mark.parametrize(("on_expiry", "why"), [("deny", "failed"), ("halt", "expired")])
def test_a_question_that_nobody_answers_expires(loop, on_expiry, why):
    world = world_of(loop, approved(ttl=3600.0, on_expiry=on_expiry))
    assert loop.play(world.carry(patient=False)) is None
    assert world.engine.wake_at == pytest.approx(world.wall() + 3600, abs=0.1)
    loop.play(asyncio.sleep(3601))
    assert loop.play(world.carry(patient=False)).why == why
    assert world.given == []


def test_a_gate_lets_the_run_pass_and_says_who_opened_it(loop):
    world = world_of(
        loop,
        workflow(
            Step(id="gate", approve=Approval(question="Is it ${inputs.what}?")), inputs={"what": Input()}
        ),
    )
    assert loop.play(world.carry(patient=False, inputs={"what": "good"})) is None
    (pending,) = loop.play(world.approvals().list())
    assert pending.question.reasoning == "Is it good?"
    assert loop.play(world.carry()).result.data == {"gate": {"by": "ann", "text": ""}}


def test_a_fan_out_asks_once_for_all_its_items(loop):
    flow = workflow(
        agent_step("pay", approve=Approval(), for_each=ForEach(items=[1, 2, 3]), inputs="${item}")
    )
    world = world_of(loop, flow, pay=lambda task, key: ok(task.inputs))
    assert loop.play(world.carry(patient=False)) is None
    assert loop.play(world.answer(Verdict.EDIT, arguments={"items": [1, 3]})) == 1
    assert loop.play(world.carry()).result.data == {"pay": [1, 3]}


def test_cancel_reaches_what_runs_and_withdraws_what_is_asked(loop):
    world = world_of(
        loop, workflow(agent_step("a"), agent_step("pay", approve=Approval())), a=ok(seconds=60.0)
    )

    async def play():
        carried = asyncio.create_task(world.process())
        await asyncio.sleep(1.0)
        await world.engine.cancel("I changed my mind")
        return await carried

    ended = loop.play(play())
    assert (ended.why, ended.result.failure.code) == ("cancelled", "cancelled")
    assert ended.result.error == "cancelled: I changed my mind"
    assert world.cancelled == ["run-1/a/1"]
    assert [receipt.task_id for receipt in world.engine.receipts] == ["run-1/a/1"]
    assert loop.play(world.approvals().list()) == []


def test_a_run_that_nobody_carries_can_be_cancelled(loop):
    world = world_of(loop, workflow(Step(id="wait", sleep=3600.0)))
    assert loop.play(world.carry(patient=False)) is None
    assert loop.play(world.engine.cancel()).why == "cancelled"
    assert loop.play(world.engine.cancel("again")).result.error == "cancelled"


def test_to_rest_lets_what_runs_go_on_and_the_next_carrier_finds_it(loop):
    world = world_of(loop, workflow(agent_step("a")), a=ok("done", seconds=60.0))

    async def play():
        carried = asyncio.create_task(world.process())
        await asyncio.sleep(1.0)
        world.engine.rest()
        assert await carried is None
        return await world.process()

    assert loop.play(play()).result.data == {"a": "done"}
    assert (world.cancelled, world.given) == ([], ["run-1/a/1"])


# sub-workflows and budgets


def test_another_workflow_is_a_step_like_any_other(loop):
    flow = workflow(Step(id="sub", workflow="child", inputs={"x": "${inputs.x}"}), inputs={"x": Input()})
    world = world_of(loop, flow, execute_workflow=lambda task, key: ok({"out": task.inputs["x"]}))
    ended = loop.play(world.carry(inputs={"x": 7}))
    job = world.jobs["run-1/sub/1"]
    assert (job.agent, job.task.spec["workflow_id"]) == ("child", "child")
    assert ended.result.data == {"sub": {"out": 7}}


def test_steps_pay_from_one_account_and_a_limit_that_is_used_up_ends_the_run_partial(loop):
    steps = [agent_step(name, *SEQUENCE[:number][-1:]) for number, name in enumerate(SEQUENCE)]
    flow = workflow(*steps, budget=SharedBudget(tokens=100, depth=2))
    world = world_of(loop, flow, one=ok(tokens_used=40, usd=0.5), two=ok(tokens_used=60))
    ended = loop.play(world.carry())
    assert (ended.why, ended.limit, ended.result.status) == ("budget", "tokens", Status.PARTIAL)
    assert ended.result.metrics.tokens_used == 100
    accounts = {grant.account for grant in world.grants.values()}
    assert len(accounts) == 1
    assert accounts != {""}
    assert {grant.budget.depth for grant in world.grants.values()} == {1}


def test_an_agent_that_finds_the_account_used_up_ends_the_run_and_says_which_limit(loop):
    failure = Failure(code="run_account", message="no usd left", fields={"limit": "usd"})
    partial = Result(status=Status.PARTIAL, data="half", error="no usd left", failure=failure)
    flow = workflow(agent_step("a"), agent_step("b", "a"), budget=SharedBudget(usd=1.0))
    world = world_of(loop, flow, a=(0.0, partial))
    ended = loop.play(world.carry())
    assert (ended.why, ended.limit, ended.result.status) == ("account", "usd", Status.PARTIAL)
    assert ended.result.failure.code == "run_account"
    assert world.given == ["run-1/a/1"]


def test_without_limits_there_is_no_account(loop):
    world = world_of(loop, workflow(agent_step("a")))
    loop.play(world.carry())
    assert world.grants["run-1/a/1"].account == ""
    assert loop.play(world.state.keys("budget")) == []


# sagas


def test_a_saga_takes_back_what_was_done_the_latest_first_one_at_a_time(loop):
    steps = [
        agent_step(
            name,
            *SEQUENCE[:number][-1:],
            effect="compensable",
            undo=Undo(action="un" + name, inputs={"did": f"${{steps.{name}.data}}"}),
        )
        for number, name in enumerate(SEQUENCE)
    ]
    flow = workflow(*steps, agent_step("bad", "three"), on_failure=OnFailure.COMPENSATE)
    world = world_of(loop, flow, bad=(0.0, fails()), unthree=ok(seconds=2.0), untwo=ok(seconds=2.0))
    ended = loop.play(world.carry())
    undone = [key for key in world.given if "undo" in key]
    assert undone == ["run-1/three/undo-1", "run-1/two/undo-1", "run-1/one/undo-1"]
    assert world.jobs["run-1/two/undo-1"].task.inputs == {"did": "two"}
    assert (ended.result.status, ended.ms) == (Status.FAILURE, 4000)


def test_items_of_a_fan_out_are_taken_back_one_by_one(loop):
    undo = Undo(action="undo", inputs={"item": "${item}", "did": "${steps.book.data}"})
    flow = workflow(
        agent_step("book", for_each=ForEach(items=["x", "y"]), effect="compensable", undo=undo),
        agent_step("bad", "book"),
        on_failure=OnFailure.COMPENSATE,
    )
    world = world_of(loop, flow, book=lambda task, key: ok(key), bad=(0.0, fails()))
    loop.play(world.carry())
    tasks = [world.jobs[key].task.inputs for key in world.given if "undo" in key]
    assert tasks == [{"item": "y", "did": "run-1/book/1/1"}, {"item": "x", "did": "run-1/book/1/0"}]


def test_an_undo_that_fails_is_tried_again_and_then_told(loop):
    undo = Undo(action="undo", retry=Retry(max=1, backoff=30.0, jitter=0.0))
    flow = workflow(
        agent_step("a", effect="compensable", undo=undo),
        agent_step("bad", "a"),
        on_failure=OnFailure.COMPENSATE,
    )
    world = world_of(loop, flow, bad=(0.0, fails()), undo=(0.0, fails("error")))
    ended = loop.play(world.carry())
    assert [key for key in world.given if "undo" in key] == ["run-1/a/undo-1", "run-1/a/undo-2"]
    assert ended.result.error == "step bad failed: it failed: error; a could not be undone: it failed: error"
    assert ended.ms == 30_000


def test_what_may_have_happened_is_taken_back_too(loop):
    undo = Undo(action="undo")
    for bad in [(0.0, fails("handler_failed", Effect.UNKNOWN)), ok(seconds=60.0)]:
        flow = workflow(
            agent_step("a", effect="compensable", undo=undo, timeout=5.0), on_failure=OnFailure.COMPENSATE
        )
        world = world_of(loop, flow, a=bad)
        loop.play(world.carry())
        assert [key for key in world.given if "undo" in key] == ["run-1/a/undo-1"]


def test_what_surely_did_not_happen_is_not_taken_back(loop):
    undo = Undo(action="undo")
    flow = workflow(agent_step("a", effect="compensable", undo=undo), on_failure=OnFailure.COMPENSATE)
    world = world_of(loop, flow, a=(0.0, fails()))
    loop.play(world.carry())
    assert world.given == ["run-1/a/1"]


def test_a_run_rests_while_its_agent_waits_for_people_and_gives_the_same_task_again(loop):
    world = world_of(loop, workflow(agent_step("a"), agent_step("b")))
    honest, paused = world.delegate, [True]

    async def delegate(agent, task, *, key, timeout, grant, once=False):
        if key == "run-1/a/1" and paused[0]:
            raise Paused("somebody is asked")
        return await honest(agent, task, key=key, timeout=timeout, grant=grant)

    world.delegate = delegate
    assert loop.play(world.carry(patient=False)) is None
    assert world.given == ["run-1/b/1"]
    paused.clear()
    paused.append(False)
    assert loop.play(world.carry(patient=False)).result.data == {"a": "a", "b": "b"}
    assert world.given == ["run-1/b/1", "run-1/a/1"]


def test_an_error_of_the_store_ends_the_carrying_and_not_the_step(loop):
    world = world_of(loop, workflow(agent_step("a")))
    honest, broken = world.delegate, [StoreUnavailable("the server did not answer")]

    async def delegate(agent, task, **more):
        if broken:
            raise broken.pop()
        return await honest(agent, task, **more)

    world.delegate = delegate
    with pytest.raises(StoreUnavailable):
        loop.play(world.process())
    assert loop.play(world.carry()).result.status is Status.SUCCESS
