"""A workflow is drawn for terminals and for documents."""

import re

from actorium.actors.workflows.drawing import drawing
from actorium.actors.workflows.mermaid import mermaid
from actorium.actors.workflows.reader import read_workflow

WORKFLOW = read_workflow(
    {
        "name": "w",
        "steps": [
            {"id": "fetch", "agent": "web", "action": "get", "retry": 3},
            {"id": "rates", "agent": "bank", "for_each": ["chf", "eur"]},
            {"id": "nap", "sleep": "30s", "depends_on": "fetch"},
            {"id": "go", "wait_signal": "go", "depends_on": "fetch"},
            {"id": "ask", "approve": True, "when": 'steps.rates.status == "<ok>"', "depends_on": ["nap"]},
            {"id": "sub", "workflow": "other", "depends_on": ["ask", "go"]},
        ],
    }
)


def test_a_terminal_shows_layers_and_what_each_step_waits_for():
    assert drawing(WORKFLOW) == (
        "w: 6 steps in 4 layers, at most 10 at a time\n"
        "  1 ┬─ fetch  web.get  [retry 3]\n"
        "    └─ rates  bank  [each]\n"
        "  2 ┬─ nap    sleep 30 s  ← fetch\n"
        "    └─ go     signal go  ← fetch\n"
        "  3 ── ask    [approve, when]  ← nap, rates\n"
        "  4 ── sub    workflow other  ← ask, go\n"
    )


def test_a_hundred_steps_alike_are_one_line():
    many = [{"id": f"work-{n}", "agent": "w", "depends_on": "start"} for n in range(98)]
    last = {"id": "end", "agent": "w", "inputs": [f"${{steps.work-{n}.data}}" for n in range(98)]}
    made = read_workflow({"name": "w", "steps": [{"id": "start", "agent": "w"}, *many, last]})
    drawn = drawing(made)
    assert drawn.splitlines()[1:] == [
        "  1 ── start             w",
        "  2 ── work-0 … work-97  98 steps  w  ← start",
        "  3 ── end               w  ← work-0, work-1, work-2, … work-97 (98 in all)",
    ]


def test_no_line_is_wider_than_the_terminal():
    names = ["n" * 63, "m" * 63]
    steps = [{"id": names[0], "agent": "x" * 63}, {"id": names[1], "agent": "x", "depends_on": names[0]}]
    made = read_workflow({"name": "w", "steps": steps})
    for width in (20, 40, 80):
        assert max(map(len, drawing(made, width).splitlines())) == width


def test_a_cycle_is_drawn_as_one():
    steps = [{"id": "a", "agent": "x", "depends_on": "b"}, {"id": "b", "agent": "x", "depends_on": "a"}]
    assert drawing(read_workflow({"name": "w", "steps": steps})) == "cycle: a -> b -> a\n"


def test_mermaid_has_every_step_and_every_arrow():
    text = mermaid(WORKFLOW)
    assert text.startswith('flowchart TD\n    s0["fetch<br/>web.get<br/>retry 3"]\n')
    assert set(re.findall(r"s\d -\.?->? s\d", text)) == {
        "s0 --> s2", "s0 --> s3", "s2 -.-> s4", "s1 -.-> s4", "s4 --> s5", "s3 --> s5",
    }  # fmt: skip
    assert all(shape in text for shape in ("s2([", "s3>", "s4{{", "s5[["))


def test_mermaid_labels_cannot_end_their_box():
    label = next(line for line in mermaid(WORKFLOW).splitlines() if line.startswith("    s4"))
    assert label.count('"') == 2
    assert "#quot;#lt;ok#gt;#quot;" in label
