"""Code that a model wrote runs where the agent's mode says so, by the task or by the answer."""

import pytest

from actorium.actors.runs.config import AgentConfig
from actorium.actors.runs.execution import Execution, may_execute
from actorium.bus.task import Task

RUNS = ["execute", "run", "test", "build", "deploy", "install", "validate"]
READS = ["review", "analyze", "explain", "document", "generate", "refactor", "suggest", "plan"]


@pytest.mark.parametrize("action", [*RUNS, "RUN", "re-build", "run_tests", "review and deploy"])
def test_a_task_whose_action_executes_runs_its_code(action):
    assert may_execute(Execution.TASK, Task(action=action))


@pytest.mark.parametrize("action", [*READS, "", "pay"])
def test_any_other_task_does_not(action):
    assert not may_execute(Execution.TASK, Task(action=action), "[EXECUTE]")


@pytest.mark.parametrize("action", ["run", "review"])
def test_always_and_never_ask_nobody(action):
    assert may_execute(Execution.ALWAYS, Task(action=action), "[NO_EXECUTE]")
    assert not may_execute(Execution.NEVER, Task(action=action), "[EXECUTE]")


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("Here: [EXECUTE]", True),
        ("<!-- EXECUTE -->", True),
        ("[NO_EXECUTE]", False),
        ("[EXECUTE] but <!-- NO_EXECUTE -->", False),
        ("print(1)", False),
    ],
)
def test_with_auto_the_answer_says_so(said, runs):
    assert may_execute(Execution.AUTO, Task(action="run"), said) is runs


def test_an_agent_that_says_nothing_goes_by_the_task():
    assert AgentConfig(model="a:b").execution is Execution.TASK
