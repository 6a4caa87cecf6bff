"""Execution: whether code that a model wrote may run, by the agent's mode and the task.

Not responsible for running it, nor for what it may reach: see `sandbox/`. Invariant: where nothing says that
it may, it may not.
"""

from enum import StrEnum
from typing import Final, assert_never

from ...bus.task import Task

EXECUTABLE: Final = ("execute", "run", "test", "build", "deploy", "install", "validate")
_RUN_MARKS: Final = ("[EXECUTE]", "<!-- EXECUTE -->")
_KEEP_MARKS: Final = ("[NO_EXECUTE]", "<!-- NO_EXECUTE -->")


class Execution(StrEnum):
    """When code that the model wrote runs.

    `auto`: where its answer says so, with `[EXECUTE]` and without `[NO_EXECUTE]`. `task`: where the task's
    action holds one of the words of EXECUTABLE; review, analyze, explain, document, generate, refactor,
    suggest, plan and whatever else there is do not execute.
    """

    ALWAYS = "always"
    NEVER = "never"
    AUTO = "auto"
    TASK = "task"


def may_execute(mode: Execution, task: Task, said: str = "") -> bool:
    """Whether the code of an answer may run.

    Args:
        said: The answer, which decides with `auto`.
    """
    match mode:
        case Execution.ALWAYS:
            return True
        case Execution.NEVER:
            return False
        case Execution.AUTO:
            return _has(said, _RUN_MARKS) and not _has(said, _KEEP_MARKS)
        case Execution.TASK:
            return _has(task.action.lower(), EXECUTABLE)
        case _:
            assert_never(mode)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)
