"""Agents that are given tasks and are not there are named, with the one that was probably meant."""

import pytest

from actorium.actors.definition import Definition
from actorium.actors.runs.config import KIND, Agent
from actorium.actors.runs.strangers import Stranger, strangers, unknown

SCRIPT = "scripted:anywhere:script"


def test_a_stranger_is_called_and_not_in_the_program() -> None:
    """Delegates and agents as tools alike, each once; a config that does not read is the other check's."""
    clerk = Definition(name="clerk", kind="program:Clerk")
    writer = Agent(
        "writer", model=SCRIPT, delegates=["clerk", "critic"], tools=["agent:critic", "agent:boss"]
    )
    torn = Definition(name="torn", kind=KIND, config={"model": 5, "delegates": ["gone"]})
    assert strangers([clerk, writer, torn]) == [Stranger("writer", "critic"), Stranger("writer", "boss")]


@pytest.mark.parametrize("fatal", [True, False])
def test_who_is_nowhere_is_told_with_the_nearest_name(fatal: bool) -> None:
    found = [Stranger("writer", "critik"), Stranger("writer", "boss")]
    (problem,) = unknown(found, ["writer", "critic", "boss"], fatal=fatal)
    assert str(problem).startswith("agent writer: it gives tasks to 'critik', and there is no such agent")
    assert problem.says.endswith(", did you mean 'critic'?")
    assert problem.fatal is fatal
