"""The thinking agents of the demo: an editor that plans, delegates, asks a person and reports; and a critic.

With a key in the environment they think with a real model; without one with a scripted model, which is a
Python function in this file. Both call the same tools, on the same text.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...actors.definition import Definition
from ...actors.models.port import ModelRequest, ModelResponse, Role, Text, ToolResult
from ...actors.models.scripted import call, say
from ...actors.runs.budget import Budget
from ...actors.runs.config import Agent
from ...actors.runs.tool import tool

REAL = {"ANTHROPIC_API_KEY": "anthropic:claude-sonnet-5-5", "OPENAI_API_KEY": "openai:gpt-5.1"}
HEAD = 300  # characters

EDITOR = """\
You are an editor. You get the path of a text and the path of a report. Work in these steps, and say in a
sentence before each what you do: (1) look at the text with look_at; (2) in one turn, delegate to librarian
(the task is the path of the text and nothing else: it counts words) and to critic (ask for the three longest
sentences of that path); (3) write a report of at most eight lines from what they found and publish it with
publish; (4) answer with the report."""
CRITIC = """\
You are a critic. Find the longest sentences of the given text with longest_sentences, and quote them."""


@tool(effect="pure", risk="low")
def look_at(path: str) -> dict[str, Any]:
    """Look at a text file before reading it.

    Args:
        path: Where it is.
    """
    text = Path(path).read_text(errors="replace")
    return {"characters": len(text), "lines": text.count("\n"), "begins": text[:HEAD]}


@tool(effect="pure", risk="low")
def longest_sentences(path: str, count: int = 3) -> list[str]:
    """The longest sentences of a text file, shortened to a line each.

    Args:
        path: Where it is.
        count: How many.
    """
    sentences = " ".join(Path(path).read_text(errors="replace").split()).split(". ")
    return [sentence[:160] for sentence in sorted(sentences, key=len, reverse=True)[:count]]


def _published(path: str, report: str) -> object:
    """Whether exactly this report was published there."""
    return f"published {path}" if Path(path).exists() and Path(path).read_text() == report else None


@tool(effect="irreversible", risk="high", probe=_published)
def publish(path: str, report: str) -> str:
    """Publish a report. It cannot be taken back, so a person is asked first.

    Args:
        path: The file it is written to.
        report: The whole text.
    """
    Path(path).write_text(report)
    return f"published {path}"


def think_as_editor(request: ModelRequest) -> ModelResponse:
    """What the editor does without a key: the same steps, from what the tools really found."""
    task, found = _heard(request)
    text, report = task.split()[-3], task.split()[-1]
    match _answers(request):
        case 0:
            return call(("look_at", {"path": text}), text="I look at the text first.")
        case 1:
            librarian = ("delegate_task", {"agent": "librarian", "task": text})
            critic = ("delegate_task", {"agent": "critic", "task": f"The three longest sentences of {text}"})
            return call(librarian, critic, text="The librarian counts and the critic reads, side by side.")
        case 2:
            written = _report(text, *found[1:3])
            arguments = {"path": report, "report": written}
            return call(("publish", arguments), text="Both have answered. I publish the report.")
        case _:
            refused = "" if found[-1].startswith("published") else f"It was not published: {found[-1]}"
            return say(_report(text, *found[1:3]) + refused)


def think_as_critic(request: ModelRequest) -> ModelResponse:
    """What the critic does without a key."""
    task, found = _heard(request)
    if found:
        return say("\n".join(f"- {sentence}" for sentence in msgspec.json.decode(found[-1])))
    return call(("longest_sentences", {"path": task.split()[-1]}), text="I look for them.")


def _report(text: str, counted: str, criticism: str) -> str:
    """A report out of what the librarian counted, which is JSON, and what the critic quoted."""
    numbers = msgspec.json.decode(counted)
    common = ", ".join(f"{word} ({times})" for word, times in list(numbers["common"].items())[:5])
    return (
        f"{Path(text).name}: {numbers['words']} words in {numbers['lines']} lines,"
        f" the longest {numbers['longest']!r}.\n"
        f"Most common: {common}.\nLongest sentences:\n{criticism}\n"
    )


def _heard(request: ModelRequest) -> tuple[str, list[str]]:
    """The task in words, and what the tools returned so far."""
    task = next(part.text for part in request.turns[0].parts if isinstance(part, Text))
    results = [part.content for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]
    return task.partition("\n\n")[0], results  # what an earlier run left stands behind the task


def _answers(request: ModelRequest) -> int:
    return sum(turn.role is Role.ASSISTANT for turn in request.turns)


def model(function: str, environment: Mapping[str, str] = os.environ) -> str:
    """The model an agent of the demo thinks with: a real one where there is a key, else that function."""
    real = next((name for variable, name in REAL.items() if environment.get(variable)), "")
    return real or f"scripted:{__name__}:{function}"


def thinkers(environment: Mapping[str, str] = os.environ) -> tuple[Definition, ...]:
    """The editor and the critic."""
    editor = Agent(
        "editor",
        model=model("think_as_editor", environment),
        prompt=EDITOR,
        tools=[look_at, publish],
        delegates=["librarian", "critic"],
        budget=Budget(steps=12),
    )
    critic = Agent(
        "critic", model=model("think_as_critic", environment), prompt=CRITIC, tools=[longest_sentences]
    )
    return editor, critic


THINKS_WITH = next(
    (f"{name}, by {variable}" for variable, name in REAL.items() if os.environ.get(variable)),
    f"scripted, for there is no key: set one of {', '.join(REAL)} and real models think instead",
)
