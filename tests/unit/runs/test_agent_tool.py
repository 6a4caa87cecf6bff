"""An agent stands among the tools of another, and a call of it is a task for it."""

from actorium.actors.context import Context
from actorium.actors.runs.agent_tool import agent_tool, agents_in
from actorium.actors.runs.delegation import LONGEST
from actorium.actors.runs.effect import EffectClass, Risk
from actorium.bus.envelope import Envelope
from actorium.bus.task import Status, Task


async def test_a_call_gives_the_task_to_that_agent_and_answers_its_result(stage):
    tool = agent_tool("researcher")
    result = await tool.call(
        tool.read({"task": "Find it"}), Context("it", Envelope(), "run/1/0", stage.office)
    )
    assert (result.status, result.data) == (Status.SUCCESS, "researcher did it")
    assert list(stage.office.delegated.values()) == [("researcher", Task(spec="Find it"))]


def test_it_is_called_as_the_agent_and_says_what_it_can_do():
    spec = agent_tool("researcher", "  Finds things.\n\nIn books.\n").spec
    assert (spec.name, spec.description) == ("researcher", "Finds things.\n\nIn books.")
    assert (spec.effect, spec.risk, spec.timeout) == (EffectClass.IDEMPOTENT, Risk.LOW, LONGEST)
    assert spec.schema["required"] == ["task"]
    assert "whole task" in spec.schema["properties"]["task"]["description"]
    assert "researcher" in agent_tool("researcher").spec.description


def test_agents_are_told_from_other_tools_by_their_prefix():
    assert agents_in(("shop:find", "agent:clerk", "agent:boss")) == ("clerk", "boss")
