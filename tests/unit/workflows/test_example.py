"""The example of a workflow can work as it stands."""

from pathlib import Path

from actorium.actors.workflows.drawing import drawing
from actorium.actors.workflows.inputs import take_inputs
from actorium.actors.workflows.source import load_workflow

PATH = Path(__file__).parents[3] / "examples" / "digest.toml"


def test_the_example_is_valid_and_short():
    made = load_workflow(PATH, agents=["reader", "writer", "site", "mailer"])
    assert len(PATH.read_text().splitlines()) < 80
    assert take_inputs(made, {"feeds": ["https://example.org/a.xml"]})["language"] == "en"
    assert drawing(made).startswith("digest: 5 steps in 5 layers")
