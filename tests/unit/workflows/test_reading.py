"""What people write is read with its shorter forms, and all that does not fit is told with its line."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorium.actors.workflows.definition import Workflow
from actorium.actors.workflows.problem import InvalidWorkflow
from actorium.actors.workflows.reader import read_workflow
from actorium.actors.workflows.source import LARGEST, load_workflow, parse_source, read_source
from actorium.actors.workflows.trigger import Published, Schedule
from actorium.bus.errors import ActoriumError, ConfigError


def step(**fields):
    return {"name": "w", "steps": [{"id": "a", **fields}]}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"retry": 3}, {"retry": {"max": 3}}),
        ({"timeout": "1m30s"}, {"timeout": 90}),
        ({"sleep": "5m"}, {"sleep": 300}),
        ({"approve": True}, {"approve": {}}),
        ({"approve": "alice"}, {"approve": {"approver": "alice"}}),
        ({"for_each": "${inputs.x}"}, {"for_each": {"items": "${inputs.x}"}}),
        ({"for_each": [1, 2]}, {"for_each": {"items": [1, 2]}}),
        ({"depends_on": "b"}, {"depends_on": ["b"]}),
        ({"undo": "refund"}, {"undo": {"action": "refund"}}),
        ({"retry": {"max": 1, "backoff": "2s"}}, {"retry": {"max": 1, "backoff": 2.0}}),
        ({"until": datetime(2027, 1, 31, 9, tzinfo=UTC)}, {"until": "2027-01-31T09:00:00+00:00"}),
    ],
)
def test_what_is_shorter_means_the_same(short, long):
    assert read_workflow(step(**short)) == read_workflow(step(**long))
    assert read_workflow(step(**short)).hash == read_workflow(step(**long)).hash


def test_a_workflow_in_short_is_the_one_written_out():
    short = {"name": "w", "inputs": {"n": "integer"}, "triggers": ["manual"], "budget": {"seconds": "5m"}}
    long = {
        "name": "w",
        "inputs": {"n": {"type": "integer"}},
        "triggers": [{"type": "manual"}],
        "budget": {"seconds": 300},
    }
    assert read_workflow(short) == read_workflow(long)


def test_triggers_are_of_the_type_they_say():
    read = read_workflow(
        {"name": "w", "triggers": [{"type": "event", "subject": "a.>"}, {"type": "schedule", "cron": "x"}]}
    )
    assert [type(trigger) for trigger in read.triggers] == [Published, Schedule]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "name is missing"),
        ({"name": 3}, "name: Expected `str`, got `int`"),
        ({"name": "w", "stepz": []}, "stepz: there is no such field, did you mean 'steps'"),
        ({"name": "w", "steps": [{"agent": "x"}]}, r"steps\[0\]: id is missing"),
        ({"name": "w", "steps": ["a"]}, r"steps\[0\]: it must be a table, not 'a'"),
        ({"name": "w", "budget": {"dollars": 3}}, "budget.dollars: there is no such field"),
        ({"name": "w", "budget": {"usd": "5m"}}, "budget.usd: Expected `float"),
        (
            {"name": "w", "on_failure": "compensat"},
            "on_failure: 'compensat' is not possible, did you mean 'compensate'",
        ),
        ({"name": "w", "deadline": "soon"}, "deadline: 'soon' is no duration"),
        ({"name": "w", "deadline": -1}, "deadline: Expected `float` >= 0"),
        ({"name": "w", "triggers": [{"type": "cron"}]}, r"triggers\[0\].type: there is no type 'cron'"),
        (
            {"name": "w", "triggers": [{"cron": "x"}]},
            r"triggers\[0\].type: type is missing: manual, schedule",
        ),
        ({"name": "w", "inputs": {"a": "text"}}, "inputs.a.type: 'text' is not possible"),
        (step(retry={"max": -1}), "steps.a.retry.max: Expected `int` >= 0"),
        (step(spec=float("inf")), "steps.a.spec: inf is no number"),
        (step(spec=2**63), "steps.a.spec: the number is too large"),
        (step(spec="\ud800"), "steps.a.spec: the text holds half a character"),
        (step(spec={"\ud800": 1}), "steps.a.spec: the text holds half a character"),
        (step(spec={1, 2}), "steps.a.spec: {1, 2} cannot be said in JSON"),
        (step(for_each={"items": [], "limit": 0}), "steps.a.for_each.limit: Expected `int` >= 1"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(fields, told):
    with pytest.raises(InvalidWorkflow, match=told):
        read_workflow(fields)


def test_a_value_that_is_too_deep_is_refused():
    deep = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(InvalidWorkflow, match="more than 32 levels"):
        read_workflow(step(spec=deep))


TOML = '''name = "w"
on_failure = "never"

[[steps]]
id = "a"
timeout = "soon"
spec = """
many
lines"""
inputs = { list = [
  1,
  nan,
] }

[[steps]]
id = "b"
[steps.retry]
maximum = 3

[[steps]]
id = "c"
undo.action = 4
'''


def test_all_that_does_not_fit_is_told_at_once_with_file_and_line():
    with pytest.raises(InvalidWorkflow, match="workflow w has 5 problems") as caught:
        parse_source(TOML, "w.toml")
    told = {(problem.where, problem.line) for problem in caught.value.problems}
    assert told == {
        ("on_failure", 2),
        ("steps.a.timeout", 6),
        ("steps.a.inputs.list[1]", 12),
        ("steps.b.retry.maximum", 18),
        ("steps.c.undo.action", 22),
    }
    assert "w.toml:18: steps.b.retry.maximum: there is no such field" in str(caught.value)


def test_json_has_lines_as_well():
    text = json.dumps({"name": "w", "steps": [{"id": "a", "retry": {"maximum": 3}}]}, indent=1)
    with pytest.raises(InvalidWorkflow, match=r"w.json:7: steps.a.retry.maximum"):
        parse_source(text, "w.json")


@pytest.mark.parametrize(
    ("text", "file", "told"),
    [
        ("a = 1\nname = ", "w.toml", r"w.toml:2 is no TOML: Invalid value"),
        ("a = 1\nb = [1 2]\n", "w.toml", r"w.toml:2 is no TOML: Unclosed array$"),
        ('{\n"name" 3}', "w.json", r"w.json:2 is no JSON"),
        ("[1]", "w.json", "a workflow must be an object"),
        ("x" * (LARGEST + 1), "w.toml", "no workflow needs so many"),
        ("[" * 100_000, "w.json", "nested too deep"),
        ("x = " + "[" * 100_000, "w.toml", "w.toml"),
        ('{"a": ' + "9" * 5000 + "}", "w.json", "cannot be read: Exceeds the limit"),
    ],
)
def test_a_text_that_is_no_workflow_names_its_file(text, file, told):
    with pytest.raises(ConfigError, match=told):
        parse_source(text, file)


def test_a_file_is_read_by_its_ending(tmp_path):
    toml, as_json = tmp_path / "w.toml", tmp_path / "w.json"
    toml.write_bytes(b'name = "w"\r\n[[steps]]\r\nid = "a"\r\nagent = "x"\r\n')
    read = read_source(toml).workflow
    as_json.write_bytes(msgspec.json.encode(read))
    assert load_workflow(as_json, agents=["x"]) == read


def test_a_file_that_cannot_work_is_not_loaded(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text('name = "w"\n[[steps]]\nid = "a"\n\nagent = "y"\n')
    with pytest.raises(InvalidWorkflow, match=r"w.toml:5: steps.a.agent: there is no agent 'y'"):
        load_workflow(path, agents=["x"])


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*missing.toml: No such file"):
        read_source(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(ConfigError, match="is no UTF-8"):
        read_source(tmp_path / "latin.toml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Workflow.__struct_fields__, "id", "max"]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(Workflow.__struct_fields__), JSON))
@example({"name": "w", "steps": {"id": "a"}})
@example({"name": "w", "steps": [{"id": []}]})
def test_nothing_that_is_handed_in_does_worse_than_an_error_of_ours(fields):
    try:
        read = read_workflow(fields)
    except ActoriumError:
        return
    assert msgspec.json.decode(msgspec.json.encode(read), type=Workflow) == read
