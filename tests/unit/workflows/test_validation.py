"""Everything that cannot work is found before anything starts, all of it at once."""

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.workflows.order import cycles, layers, needs_of
from actorium.actors.workflows.reader import read_workflow
from actorium.actors.workflows.references import dependencies
from actorium.actors.workflows.source import parse_source
from actorium.actors.workflows.validation.validate import validate


def told(*steps, agents=None, workflows=None, **fields):
    """The problems of a workflow of these steps, a line each."""
    made = read_workflow({"name": "w", "inputs": {"n": "number"}, "steps": list(steps), **fields})
    return [str(problem) for problem in validate(made, agents, workflows)]


A = {"id": "a", "agent": "x"}


def b(**fields):
    return {"id": "b", "agent": "x", **fields}


def test_what_can_work_has_no_problems():
    assert told(A, b(inputs="${steps.a.data} ${inputs.n} ${run.id}"), agents=["x"]) == []


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (b(id="B"), "steps.B.id: 'B' must begin with a-z or '_'"),
        (b(id="a"), "steps.a.id: 2 steps have the id 'a': give each its own"),
        (
            {"id": "b"},
            "steps.b.id: it does nothing: give it agent, workflow, sleep, until, wait_signal or approve",
        ),
        (b(sleep=3), "steps.b.sleep: it does more than one thing, agent and sleep: make a step of each"),
        ({"id": "b", "sleep": 3, "until": "2027-01-01T00:00:00Z"}, "steps.b.until: it has sleep and until"),
        ({"id": "b", "sleep": 3, "action": "x"}, "steps.b.action: a step of this kind (sleep) has no action"),
        (
            {"id": "b", "wait_signal": "x", "inputs": 1},
            "steps.b.inputs: a step of this kind (signal) has no inputs",
        ),
        ({"id": "b", "workflow": "x", "spec": 1}, "steps.b.spec: a step of this kind (workflow) has no spec"),
        (b(undo="y"), 'steps.b.undo: it has an undo, so say effect = "compensable"'),
        (b(effect="compensable"), "steps.b.effect: it is compensable, so it needs undo"),
        (b(for_each={"items": [1], "item": "1"}), "steps.b.for_each.item: '1' must begin with a letter"),
        (
            b(for_each={"items": [1], "item": "steps"}),
            "steps.b.for_each.item: 'steps' means something else already",
        ),
        (
            b(for_each={"items": [1, 2], "limit": 1}),
            "steps.b.for_each.items: it has 2 items and the limit is 1",
        ),
        (b(for_each="x${inputs.n}"), "steps.b.for_each.items: it must be a list, or one ${...}"),
        (b(for_each={"items": 3}), "steps.b.for_each.items: it must be a list, or one ${...}"),
        (b(approve={"on_expiry": "escalate"}), "steps.b.approve.on_expiry: escalate needs escalate_to"),
        ({"id": "b", "sleep": "soon"}, "steps.b.sleep: 'soon' is no duration"),
        ({"id": "b", "until": "2027-01-01"}, "steps.b.until: '2027-01-01' is no moment with its zone"),
        ({"id": "b", "until": "monday"}, "steps.b.until: 'monday' is no moment with its zone"),
        (b(agent="X!"), "steps.b.agent: agent id 'X!' must be 1 to 63"),
        (b(agent="xx"), "steps.b.agent: there is no agent 'xx', did you mean 'x'?"),
        (
            b(effect="compensable", undo={"action": "u", "agent": "z"}),
            "steps.b.undo.agent: there is no agent 'z'",
        ),
        (b(depends_on=["aa"]), "steps.b.depends_on[0]: there is no step 'aa', did you mean 'a'?"),
        (b(depends_on=["b"]), "steps.b.depends_on[0]: a step cannot wait for itself: take it out"),
        (
            b(inputs={"x": ["${steps.aa.data}"]}),
            "steps.b.inputs.x[0]: in '${steps.aa.data}' at column 3: there is no step 'aa'",
        ),
        (
            b(spec="${inputs.m}"),
            "steps.b.spec: in '${inputs.m}' at column 3: there is no input 'm'; known are n",
        ),
        (
            b(spec="${step.a}"),
            "steps.b.spec: in '${step.a}' at column 3: there is no 'step' here, did you mean 'steps'?",
        ),
        (b(spec="${item.a}"), "steps.b.spec: in '${item.a}' at column 3: there is no 'item' here"),
        (b(when="item.x", for_each=[1]), "steps.b.when: in 'item.x' at column 1: there is no 'item' here"),
        (b(spec="${steps.b.data}"), "column 3: a step cannot refer to itself: it has no result yet"),
        (b(spec="${steps[inputs.n].data}"), "column 3: name the step: steps.<id>.data"),
        (b(spec="${steps.a}"), "column 3: say what of it: steps.a.data"),
        (b(spec="${steps.a.dada}"), "there is no steps.a.dada, did you mean 'data'?"),
        (b(spec="${run.name}"), "there is no run.name; known are id"),
        (b(spec="${steps.a.data"), "steps.b.spec: in '${steps.a.data' at column 15: '}' was expected"),
        (b(when="1 +"), "steps.b.when: in '1 +' at column 3: there is no arithmetic"),
        (b(when="1 > 2"), "steps.b.when: it is never true: the step never runs"),
        ({"id": "b", "workflow": "v"}, "steps.b.workflow: there is no workflow 'v'; known are other"),
        (
            {"id": "b", "workflow": "other"},
            "steps.b.inputs: workflow other needs the input 'city', which is missing",
        ),
        (
            {"id": "b", "workflow": "other", "inputs": {"city": 1, "cit": 2}},
            "steps.b.inputs.cit: workflow other has no input 'cit', did you mean 'city'?",
        ),
    ],
)
def test_what_is_wrong_with_a_step_is_told_with_what_to_do(step, wanted):
    other = read_workflow({"name": "other", "inputs": {"city": "string"}, "steps": [A]})
    found = told(A, step, agents=["x"], workflows={"other": other})
    assert any(wanted in problem for problem in found), found


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"name": "W!"}, "name: a workflow's name 'W!' must be"),
        ({"steps": []}, "steps: there are none"),
        ({"inputs": {"1": "any"}}, "inputs.1: the name '1' must begin with a letter"),
        (
            {"inputs": {"n": {"type": "number", "default": "x"}}},
            "inputs.n: its default does not fit: it must be number",
        ),
        (
            {"inputs": {"n": {"schema": {"not": {}}}}},
            "inputs.n: the output schema has not, which is not checked",
        ),
        (
            {"outputs": {"x": "${steps.b.data}"}},
            "outputs.x: in '${steps.b.data}' at column 3: there is no step 'b'",
        ),
        (
            {"triggers": [{"type": "schedule", "cron": "hourly", "inputs": {"n": 1}}]},
            "triggers[0].cron: 'hourly' has not five fields",
        ),
        (
            {
                "triggers": [
                    {"type": "schedule", "cron": "0 9 * * 1", "timezone": "Zurich", "inputs": {"n": 1}}
                ]
            },
            "triggers[0].timezone: there is no time zone 'Zurich'",
        ),
        (
            {"triggers": [{"type": "schedule", "cron": "0 9 * * 1"}]},
            "triggers[0].inputs: workflow w needs the input 'n'",
        ),
        ({"triggers": [{"type": "event", "subject": "a..b"}]}, "triggers[0].subject: 'a..b' is no subject"),
        ({"triggers": [{"type": "webhook", "path": "a/b"}]}, "triggers[0].path: 'a/b' must be 1 to 128"),
        (
            {"triggers": [{"type": "webhook", "inputs": {"m": 1}}]},
            "triggers[0].inputs.m: workflow w has no input 'm'",
        ),
        (
            {"triggers": [{"type": "event", "subject": "a.>", "inputs": {"n": "${inputs.n}"}}]},
            "triggers[0].inputs.n: in '${inputs.n}' at column 3: there is no 'inputs' here",
        ),
    ],
)
def test_what_is_wrong_around_the_steps_is_told(fields, wanted):
    found = told(**{"steps": [A], **fields}) if "steps" not in fields else told(**fields)
    assert any(wanted in problem for problem in found), found


def test_a_step_that_waits_for_nothing_but_steps_that_never_run_is_told():
    found = told(
        A,
        b(when="false"),
        {"id": "c", "agent": "x", "depends_on": "b"},
        {"id": "d", "agent": "x", "depends_on": ["a", "b"]},
    )
    assert found == [
        "steps.b.when: it is never true: the step never runs",
        "steps.c: it never runs, for nothing that it waits for does (b)",
    ]


def test_an_undo_may_name_its_own_step_and_what_ran_before_it():
    undo = {"action": "u", "spec": ["${steps.b.data}", "${steps.a.data}", "${steps.c.data}"]}
    steps = [A, b(depends_on="a", effect="compensable", undo=undo), {"id": "c", "agent": "x"}]
    found = told(*steps, on_failure="compensate")
    assert found == ["steps.b.undo.spec[2]: c may not have run by then: add it to the step's depends_on"]


def test_a_step_that_waits_for_itself_is_told_once():
    assert len(told(b(depends_on=["b"]))) == len(told(b(spec="${steps.b.data}"))) == 1


def test_a_reference_is_a_dependency_and_an_undo_is_none():
    step = b(
        depends_on=["d", "c"],
        spec=["${steps.a.data}", "${steps['c'].data}"],
        constraints=["${inputs.n} ${steps.a.data[len(steps.i.data)]}"],
        when="steps.e.data or exists(steps.f.data)",
        for_each="${steps.g.data}",
        approve={"question": "${steps.h.data}?"},
        undo={"action": "u", "spec": "${steps.late.data}"},
    )
    made = read_workflow({"name": "w", "steps": [step]})
    assert dependencies(made.steps[0]) == ("d", "c", "a", "i", "e", "f", "g", "h")


def test_problems_come_in_the_order_of_the_file():
    text = """name = "w"
[[steps]]
id = "a"
agent = "y"
spec = "${steps.b}"
[[steps]]
id = "a"
agent = "z"
"""
    found = parse_source(text, "w.toml").problems(agents=["x"])
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)
    assert {problem.line for problem in found} == {3, 4, 5, 7, 8}
    assert str(found[-1]) == "w.toml:8: steps.a.agent: there is no agent 'z'; known are x"


@st.composite
def dags(draw, most=30):
    """Steps of a random DAG in a random order, that wait by `depends_on` or by reference."""
    count = draw(st.integers(2, most))
    steps = []
    for number in range(count):
        before = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        plain = {one for one in before if draw(st.booleans())}
        used = [f"${{steps.s{one}.data}}" for one in sorted(before - plain)]
        waits = [f"s{one}" for one in sorted(plain)]
        steps.append({"id": f"s{number}", "agent": "x", "depends_on": waits, "inputs": used})
    return draw(st.permutations(steps))


@given(dags())
def test_a_dag_is_valid_and_its_layers_are_in_order(steps):
    made = read_workflow({"name": "w", "steps": steps})
    assert validate(made, agents=["x"]) == []
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made
    layer = {step: number for number, layer in enumerate(layers(needs_of(made))) for step in layer}
    needs = needs_of(made)
    assert set(layer) == {step.id for step in made.steps}
    assert all(
        layer[step] == 1 + max((layer[one] for one in before), default=-1) for step, before in needs.items()
    )


@given(dags(), st.data())
def test_an_inserted_cycle_is_found_with_its_path(steps, data):
    needs = needs_of(read_workflow({"name": "w", "steps": steps}))
    pairs = [(one, step) for step in needs for one in needs[step]]
    if not pairs:
        return
    early, late = data.draw(st.sampled_from(pairs))
    closed = [
        {**step, "when": f"${{exists(steps.{late}.data)}}"} if step["id"] == early else step for step in steps
    ]
    made = read_workflow({"name": "w", "steps": closed})
    found = cycles(needs_of(made))
    assert found
    for path in found:
        assert path[0] == path[-1]
        assert all(before in needs_of(made)[step] for before, step in pairwise(path))
    assert any(
        "part of a cycle" in problem.message and " -> " in problem.message for problem in validate(made)
    )


def test_several_cycles_are_told_at_once():
    ring = [{"id": one, "agent": "x", "depends_on": [other]} for one, other in ("ab", "ba", "cd", "dc", "ea")]
    found = [one for one in told(*ring) if "cycle" in one]
    assert found == [
        "steps.b: it is part of a cycle: a -> b -> a, each runs before the next; take one out",
        "steps.d: it is part of a cycle: c -> d -> c, each runs before the next; take one out",
    ]


def inner(**inputs):
    """A workflow that others can run."""
    return read_workflow({"name": "inner", "inputs": inputs, "steps": [A]})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"n": "three"}, "steps.b.inputs.n: input 'n' of workflow inner: it must be integer"),
        ({"n": "${inputs.n}"}, "it must be integer, and that is number"),
        ({"n": "no ${inputs.n}"}, "it must be integer, not text"),
        ([3], "steps.b.inputs: the inputs of workflow inner are a table, by name, not [3]"),
        ("n=${inputs.n}", "steps.b.inputs: the inputs of workflow inner are a table, by name"),
        ({"n": 3}, ""),
        ({"n": "${steps.a.data.count}"}, ""),
        ({"n": 3, "text": "no ${inputs.n}", "size": "${inputs.n}"}, ""),
        ("${steps.a.data}", ""),
    ],
)
def test_what_another_workflow_is_given_is_held_against_its_inputs(given, wanted):
    other = inner(n="integer", text={"type": "string", "default": ""}, size={"type": "number", "default": 0})
    found = told(A, {"id": "b", "workflow": "inner", "inputs": given}, workflows={"inner": other})
    assert (len(found), wanted in "".join(found)) == (bool(wanted), True), found


def test_what_a_trigger_gives_is_held_against_the_inputs():
    trigger = {"type": "schedule", "cron": "0 9 * * 1", "inputs": {"n": "many"}}
    assert told(A, triggers=[trigger]) == ["triggers[0].inputs.n: input 'n' of workflow w: it must be number"]


def runs(name, other, **fields):
    return read_workflow({"name": name, "steps": [A, {"id": "r", "workflow": other, **fields}]})


def test_a_workflow_that_runs_itself_is_refused():
    wanted = "steps.b.workflow: it never ends: w -> w; give a step on the way a `when`"
    assert told(A, {"id": "b", "workflow": "w", "inputs": {"n": 1}}) == [wanted]


def test_a_workflow_that_runs_itself_by_way_of_others_is_refused():
    there = {"v": runs("v", "u"), "u": runs("u", "w")}
    (found,) = told({"id": "b", "workflow": "v"}, workflows=there)
    assert "it never ends: w -> v -> u -> w;" in found


@pytest.mark.parametrize("guard", [{"when": "inputs.n > 1"}, {"for_each": [1, 2]}, {"approve": True}])
def test_a_workflow_may_run_itself_where_something_can_keep_it_from_doing_so(guard):
    itself = {"id": "b", "workflow": "w", "inputs": {"n": 1}}
    assert told(A, {**itself, **guard}) == []
    assert told({**A, **guard}, {**itself, "depends_on": ["a"]}) == []


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ({"id": "b", "sleep": 3, "retry": 2}, "steps.b.retry: a step of this kind (sleep) has no retry"),
        (
            {"id": "b", "sleep": 3, "timeout": 2},
            "steps.b.timeout: a step of this kind (sleep) has no timeout",
        ),
        ({"id": "b", "wait_signal": "go", "effect": "pure"}, "steps.b.effect: a step of this kind (signal)"),
        ({"id": "b", "wait_signal": "go", "retry": 2}, "its timeout says how long it waits"),
        ({"id": "b", "approve": True, "timeout": 2}, "approve.ttl says how long it waits"),
        (
            b(effect="compensable", undo={"action": "u"}),
            'never be undone, for on_failure is fail: say on_failure = "compensate"',
        ),
        (b(action="${inputs.n}"), "steps.b.action: '${inputs.n}' would be taken as it stands"),
        ({"id": "b", "wait_signal": "x-${inputs.n}"}, "steps.b.wait_signal: 'x-${inputs.n}' would be taken"),
        (b(approve="${inputs.n}"), "steps.b.approve.approver: '${inputs.n}' would be taken as it stands"),
    ],
)
def test_what_nothing_would_read_is_refused(step, wanted):
    (found,) = told(A, step)
    assert wanted in found


@pytest.mark.parametrize(
    ("trigger", "wanted"),
    [
        ({"type": "schedule", "cron": "0 0 30 2 *"}, "triggers[0].cron: cron '0 0 30 2 *'"),
        ({"type": "schedule", "cron": "61 * * * *"}, "triggers[0].cron: cron '61 * * * *'"),
        ({"type": "event", "subject": "$JS.>"}, "triggers[0].subject: nothing on '$JS.>' starts it"),
        ({"type": "event", "subject": "inp.>"}, "triggers[0].subject: nothing on 'inp.>' starts it"),
        ({"type": "event", "subject": "agents.w.events"}, "that is our own traffic, or its own events"),
    ],
)
def test_a_trigger_that_would_never_start_anything_is_refused(trigger, wanted):
    (found,) = told(A, inputs={}, triggers=[trigger])
    assert wanted in found


def test_two_webhooks_of_one_workflow_cannot_share_an_address():
    found = told(A, inputs={}, triggers=[{"type": "webhook"}, {"type": "webhook", "path": "w"}])
    assert found == ["triggers[1].path: a webhook of workflow w has the path 'w' already: choose another"]


def test_a_webhook_cannot_have_the_address_of_another_workflows():
    other = read_workflow({"name": "other", "steps": [A], "triggers": [{"type": "webhook", "path": "p"}]})
    hook = {"type": "webhook", "path": "p"}
    (found,) = told(A, inputs={}, triggers=[hook], workflows={"other": other})
    assert "a webhook of workflow other has the path 'p' already" in found
    assert told(A, inputs={}, triggers=[{**hook, "enabled": False}], workflows={"other": other}) == []


def test_a_moment_that_has_passed_is_told_to_whoever_says_what_is_now():
    made = read_workflow({"name": "w", "steps": [{"id": "a", "until": "2026-01-31T09:00:00+01:00"}]})
    before, after = datetime(2026, 1, 31, 7, tzinfo=UTC), datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert validate(made) == validate(made, now=before) == []
    (found,) = validate(made, now=after)
    assert (found.where, "has passed" in found.message) == ("steps.a.until", True)
