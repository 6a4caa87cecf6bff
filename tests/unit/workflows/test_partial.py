"""What does not fit hides nothing else that is wrong, and makes nothing up."""

import copy
import functools
import operator
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.actors.workflows.reader import read_workflow, scan_workflow
from actorium.actors.workflows.source import parse_source
from actorium.actors.workflows.validation.partial import problems_beside

ROOT = Path(__file__).parents[3]
BAD = """name = "w"
deadline = "soon"

[inputs]
n = { type = "number", default = "x" }

[[steps]]
id = "a"
agnet = "x"
spec = "${steps.zz.data}"

[[steps]]
id = "b"
agent = "y"
timeout = "late"
depends_on = ["c"]

[[steps]]
id = "c"
agent = "x"
depends_on = ["b"]

[[triggers]]
type = "schedule"
corn = "0 9 * * 1"
"""


def told(fields, **known):
    return [str(problem) for problem in problems_beside(*scan_workflow(fields), **known)]


def test_what_does_not_fit_and_what_is_wrong_beside_it_are_told_at_once_with_their_lines():
    with pytest.raises(InvalidWorkflow) as refused:
        parse_source(BAD, "w.toml")
    assert [problem.line for problem in refused.value.problems] == [2, 5, 9, 10, 15, 18, 23, 25]


def test_agents_are_looked_for_in_a_file_of_which_parts_do_not_fit():
    made, misfits = scan_workflow({"name": "w", "deadline": "soon", "steps": [{"id": "a", "agent": "z"}]})
    found = problems_beside(made, misfits, agents=["x"])
    assert [problem.where for problem in found] == ["deadline", "steps.a.agent"]


STEP = {"id": "a", "agent": "x"}
REFERS = {"id": "b", "agent": "x", "spec": "${inputs.n} ${steps.a.data}"}


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": [{"id": "a", "agnt": "x"}]},
        {"steps": [{**STEP, "effect": "compensabel", "undo": "y"}]},
        {"steps": [{**STEP, "effect": "compensable", "undo": {"spec": 1}}]},
        {"steps": [{**STEP, "for_each": {"limit": 3}}]},
        {"steps": [{**STEP, "sleep": -1}]},
        {"steps": [{"agent": "x"}, REFERS], "inputs": {"n": "any"}},
        {"steps": [{**STEP, "id": 7}, REFERS], "inputs": {"n": "any"}},
        {"steps": [STEP, REFERS], "inputs": ["n"]},
        {"steps": [STEP, REFERS], "input": {"n": "any"}},
        {"stepz": [STEP]},
        {"steps": [STEP, REFERS], "inputs": {"n": "numbr"}},
        {"steps": [STEP], "triggers": [{"type": "cron"}]},
        {"steps": [STEP], "triggers": [{"type": "schedule"}]},
        {"steps": [{**STEP, "depends_on": [5]}]},
        {"steps": ["a", REFERS], "inputs": {"n": "any"}},
        {
            "steps": [
                STEP,
                {**STEP, "id": "b", "when": False, "depends_on": ["a"]},
                {"id": "c", "workflow": "w", "depends_on": ["b"]},
            ]
        },
    ],
)
def test_nothing_is_told_that_only_follows_from_what_does_not_fit(fields):
    assert len(told({"name": "w", **fields}, agents=["x"])) == 1


def test_a_workflow_that_does_not_fit_is_not_returned():
    with pytest.raises(InvalidWorkflow, match=r"steps\.a\.retry: Expected|steps\.a\.retry\.max: Expected"):
        read_workflow({"name": "w", "steps": [{**STEP, "retry": "often"}]})


FILES = [
    tomllib.loads((ROOT / "examples/digest.toml").read_text()),
    tomllib.loads(BAD),
    {"name": "w", "steps": [{"id": "a", "workflow": "inner", "inputs": {"n": 1}, "for_each": [1]}]},
]
INNER = read_workflow({"name": "inner", "inputs": {"n": {"schema": {"maximum": 3}}}, "steps": [STEP]})
JUNK = st.sampled_from([None, True, -1, 1.5, "", "x", "${", "${steps.a}", [], {}, ["a"], {"a": 1}, [[]]])


def places(value, at=()):
    """Where anything stands in a file."""
    yield from [at] if at else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


@given(st.sampled_from(FILES), st.data())
def test_whatever_stands_in_a_file_is_told_and_told_once(fields, data):
    broken = copy.deepcopy(fields)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(list(places(broken))))
        table = functools.reduce(operator.getitem, way, broken)
        match data.draw(st.sampled_from(["other", "renamed", "gone"])):
            case "other":
                table[last] = copy.deepcopy(data.draw(JUNK))  # what is changed later is the copy
            case "renamed" if isinstance(table, dict):
                table[f"{last}z"] = table.pop(last)
            case _:
                del table[last]
        if not list(places(broken)):
            break
    found = told(broken, agents=["x"], workflows={"inner": INNER}, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(set(found)) == len(found)
