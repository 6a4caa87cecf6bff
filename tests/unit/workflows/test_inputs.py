"""A run gets exactly what its workflow says it needs."""

import pytest

from actorium.actors.workflows.inputs import take_inputs
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.actors.workflows.reader import read_workflow

WORKFLOW = read_workflow(
    {
        "name": "w",
        "inputs": {
            "city": "string",
            "days": {"type": "integer", "default": 3, "schema": {"minimum": 1}},
            "note": {"type": "string", "required": False},
            "tags": {"type": "array", "required": False, "schema": {"items": {"type": "string"}}},
        },
    }
)


def test_what_is_left_out_has_its_default_or_is_null():
    assert take_inputs(WORKFLOW, {"city": "Bern"}) == {"city": "Bern", "days": 3, "note": None, "tags": None}


def test_what_is_given_counts():
    given = {"city": "Bern", "days": 1, "note": None, "tags": ["a"]}
    assert take_inputs(WORKFLOW, given) == given


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "inputs.city: it is missing"),
        ({"city": 3}, "inputs.city: it must be string"),
        ({"city": None}, "inputs.city: it must be string"),
        ({"city": "x", "cty": 1}, "inputs.cty: there is no such input, did you mean 'city'"),
        ({"city": "x", "days": 0}, "inputs.days: it must be, or have, at least 1"),
        ({"city": "x", "days": 1.5}, "inputs.days: it must be integer"),
        ({"city": "x", "tags": ["a", 1]}, r"inputs.tags: it\[1\] must be string"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given, told):
    with pytest.raises(InvalidWorkflow, match=told):
        take_inputs(WORKFLOW, given)


def test_all_of_it_is_told_at_once():
    with pytest.raises(InvalidWorkflow) as caught:
        take_inputs(WORKFLOW, {"days": 0, "x": 1})
    assert [problem.where for problem in caught.value.problems] == ["inputs.x", "inputs.city", "inputs.days"]
