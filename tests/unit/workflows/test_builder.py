"""A workflow written in Python is the same data as the one in TOML, and mistakes are loud."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.budget import Budget
from actorium.actors.workflows.builder import StepRef, workflow
from actorium.actors.workflows.definition import SharedBudget
from actorium.actors.workflows.expressions.evaluation import evaluate
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.actors.workflows.ref import Ref, default, exists, length, literal
from actorium.actors.workflows.retry import Retry
from actorium.actors.workflows.source import parse_source
from actorium.actors.workflows.step import Approval, ForEach, Undo
from actorium.actors.workflows.trigger import Schedule
from actorium.bus.errors import ConfigError

TOML = """
name = "report"
deadline = "1h"
on_failure = "compensate"
budget = { usd = 2.0 }
[inputs]
url = "string"
urls = { type = "array", default = ["a"] }
[[triggers]]
type = "schedule"
cron = "0 9 * * 1"
inputs = { url = "x" }
[[steps]]
id = "fetch"
agent = "crawler"
inputs = { url = "${inputs.url}" }
retry = { max = 2, backoff = "2s" }
timeout = "30s"
[[steps]]
id = "part"
agent = "writer"
for_each = { items = "${steps.fetch.data.parts}", limit = 20 }
spec = "Part ${index}: ${item.title}"
[[steps]]
id = "pay"
agent = "bank"
action = "pay"
spec = { sums = "${steps.part.data[*].sum}", first = "${steps.part.data[0]['odd key']}" }
when = "${((len(steps.part.data) > 3) and (not (steps.fetch.status == 'partial')))}"
depends_on = ["fetch"]
effect = "compensable"
undo = { action = "refund", spec = "${steps.pay.data.id}" }
approve = { approver = "alice" }
[outputs]
text = "${default(steps.pay.data.text, null)}"
"""


def test_what_python_builds_is_what_toml_says():
    wf = workflow(
        "report",
        deadline="1h",
        on_failure="compensate",
        budget=SharedBudget(usd=2),
        triggers=[Schedule(cron="0 9 * * 1", inputs={"url": "x"})],
    )
    wf.input("urls", list, default=["a"])
    page = wf.step(
        "fetch",
        agent="crawler",
        inputs={"url": wf.input("url", str)},
        retry=Retry(max=2, backoff=2),
        timeout="30s",
    )
    part = wf.step(
        "part",
        agent="writer",
        for_each=ForEach(items=page.data.parts, limit=20),
        spec=f"Part {wf.index}: {wf.item.title}",
    )
    pay = wf.step(
        "pay",
        agent="bank",
        action="pay",
        spec={"sums": part.data[...].sum, "first": part.data[0]["odd key"]},
        when=(length(part.data) > 3) & ~(page.status == "partial"),
        depends_on=[page],
        effect="compensable",
        undo=Undo(action="refund", spec=StepRef("pay").data.id),
        approve=Approval(approver="alice"),
    )
    wf.output("text", default(pay.data.text, None))
    built = wf.build(agents=["crawler", "writer", "bank"])
    written = parse_source(TOML, "report.toml").workflow
    assert {step.id: step for step in built.steps} == {step.id: step for step in written.steps}
    assert (built.triggers, built.outputs, built.budget) == (
        written.triggers,
        written.outputs,
        written.budget,
    )
    assert built.hash == written.hash


def test_a_plain_budget_keeps_the_limits_it_has_by_default():
    wf = workflow("w", budget=Budget(usd=1))
    wf.step("a", agent="x")
    built = wf.build().budget
    assert (built.usd, built.steps, built.tool_calls, built.depth) == (1.0, 20, 50, 1)


def test_what_cannot_work_is_refused_when_it_is_built():
    wf = workflow("w")
    wf.step("a", agent="x", inputs=[Ref("steps").b.data, wf.input("n")], timeout="soon")
    with pytest.raises(InvalidWorkflow, match=r"steps.a.timeout: 'soon'"):
        wf.build()
    wf = workflow("w")
    wf.step("a", agent="x", inputs=Ref("steps").b.data)
    wf.step("a", agent="y")
    with pytest.raises(InvalidWorkflow, match="workflow w has 4 problems"):
        wf.build(agents=["x"])


def test_an_input_is_declared_once():
    wf = workflow("w")
    assert str(wf.input("n", int, default=3)) == str(wf.input("n")) == "${inputs.n}"
    with pytest.raises(ConfigError, match="declared twice"):
        wf.input("n", str)
    with pytest.raises(ConfigError, match="none of str"):
        wf.input("m", set)


def test_a_step_itself_is_no_value():
    wf = workflow("w")
    one = wf.step("a", agent="x")
    wf.step("b", agent="x", inputs=one)
    with pytest.raises(ConfigError, match=r"say what of step a is meant: .data"):
        wf.build()
    wf = workflow("w")
    wf.step("a", agent="x", inputs=object())
    with pytest.raises(ConfigError, match="cannot stand in a workflow"):
        wf.build()


A = Ref("a")


@pytest.mark.parametrize(
    "decides_at_once",
    [
        lambda: A.x and A.y,
        lambda: not A.x,
        lambda: A.x in [1, 2],
        lambda: 1 < A.x < 3,
        lambda: 1 in A.x,
        lambda: list(A.x),
        lambda: {A.x: 1},
        lambda: literal({1: 2}),
    ],
)
def test_python_cannot_decide_what_only_the_run_knows(decides_at_once):
    with pytest.raises(TypeError):
        decides_at_once()


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (A.n == 3, True),
        (A.n != 3, False),
        (A.n < 3, False),
        (A.n <= 3, True),
        (A.n > 2, True),
        (A.n >= 4, False),
        ((A.n == 1) | (A.n == 3), True),
        (A.n & A.zero, False),
        (~A.zero, True),
        (A.name.in_(["it's", None]), True),
        (exists(A.q), False),
        (default(A.q, A.n), 3),
        (length(A.name), 4),
        (A["odd key"], 1),
        (A["n"], 3),
        (A.rows[...].x, [1, 2]),
        (A.rows[-1]["x"], 2),
    ],
)
def test_a_term_means_what_python_would(term, value):
    scope = {"a": {"n": 3, "zero": 0, "name": "it's", "odd key": 1, "rows": [{"x": 1}, {"x": 2}]}}
    assert evaluate(str(term)[2:-1], scope) == value


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=8))
def test_a_literal_is_read_as_what_it_was(value):
    assert evaluate(literal(value), {}) == value


def test_what_is_wrong_is_told_with_the_line_of_the_python_file():
    first = sys._getframe().f_lineno
    wf = workflow("w", deadline="soon")
    wf.step("a", agent="x", inputs=wf.input("n"))
    wf.step(
        "b",
        agent="X!",
    )
    wf.output("text", Ref("steps").c.data)
    with pytest.raises(InvalidWorkflow) as refused:
        wf.build()
    told = {problem.where: problem.line - first for problem in refused.value.problems}
    assert told == {"deadline": 1, "steps.b.agent": 3, "outputs.text": 7}
    assert {problem.file for problem in refused.value.problems} == {__file__}
