"""A workflow is data: the same after a round trip, with one hash, and durations as people write them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.budget import Budget, exceeded
from actorium.actors.runs.budget import Cost as Spent
from actorium.actors.workflows.definition import Input, InputType, SharedBudget, Workflow
from actorium.actors.workflows.duration import seconds
from actorium.actors.workflows.retry import Retry
from actorium.actors.workflows.step import Approval, Kind, Step


def test_what_is_stored_and_read_back_has_the_same_hash():
    made = Workflow(name="w", deadline=60, steps=(Step(id="a", agent="x", timeout=30, sleep=3),))
    read = msgspec.json.decode(msgspec.json.encode(made), type=Workflow)
    assert read == made
    assert read.hash == made.hash


def test_any_change_changes_the_hash():
    one = Workflow(name="w", steps=(Step(id="a", agent="x"),))
    assert one.hash != msgspec.structs.replace(one, max_parallel=11).hash
    assert one.hash != msgspec.structs.replace(one, steps=(Step(id="a", agent="y"),)).hash


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Step(id="a", agent="x", approve=Approval()), Kind.AGENT),
        (Step(id="a", workflow="w"), Kind.WORKFLOW),
        (Step(id="a", sleep=0.0), Kind.SLEEP),
        (Step(id="a", until="2027-01-01T00:00:00Z"), Kind.SLEEP),
        (Step(id="a", wait_signal="go"), Kind.SIGNAL),
        (Step(id="a", approve=Approval()), Kind.GATE),
    ],
)
def test_a_step_is_of_the_kind_that_its_fields_say(step, kind):
    assert step.kind is kind


def test_a_shared_budget_limits_only_what_it_says():
    spent = Spent(steps=10_000, tool_calls=10_000, seconds=1e6, usd=1.0)
    assert exceeded(SharedBudget(usd=1.0), spent, Spent()) is None
    assert exceeded(SharedBudget(usd=1.0), spent, Spent(usd=0.1)).limit == "usd"
    assert isinstance(SharedBudget(), Budget)


def test_the_schema_of_inputs_says_what_is_needed():
    made = Workflow(name="w", inputs={"city": Input(type=InputType.STRING), "n": Input(default=3)})
    assert made.inputs_schema == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "n": {"default": 3}},
        "required": ["city"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (3, 3.0),
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1h 30m", 5400),
        ("1w", 604800),
    ],
)
def test_a_duration_is_read_as_people_write_it(written, meant):
    assert seconds(written) == meant


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "soon",
        "5",
        "5 parsecs",
        "-3s",
        -1,
        True,
        None,
        float("nan"),
        10**400,
        "9" * 99 + "s",
        "9" * 30 + "w",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(wrong):
    with pytest.raises(ValueError, match="30s"):
        seconds(wrong)


def test_waits_grow_to_their_ceiling():
    retry = Retry(max=9, backoff=1.0, factor=2.0, max_delay=5.0, jitter=0.0)
    assert [retry.delay(attempt, 0.5) for attempt in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(1, 100), st.floats(0, 1))
def test_chance_changes_a_wait_by_its_part_only(attempt, chance, factor, jitter):
    retry = Retry(factor=factor, jitter=jitter)
    still = msgspec.structs.replace(retry, jitter=0.0).delay(attempt, chance)
    assert still * (1 - jitter) - 1e-9 <= retry.delay(attempt, chance) <= still * (1 + jitter) + 1e-9
