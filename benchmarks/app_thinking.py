"""The thinking agents that the benchmarks talk to. Their model is a function that answers at once."""

import os

from profiled import Profiled

from actorium import Agent, App, tool
from actorium.actors.models.port import ModelRequest, ModelResponse, Role
from actorium.actors.models.scripted import call, say

LANES = 64
ISOLATED = 40
HERE = "app_thinking"


@tool(effect="pure", risk="low")
def look(place: str) -> str:
    """Look at a place."""
    return f"sunny in {place}"


@tool(effect="pure", risk="low")
def where() -> int:
    """The process that this is called in."""
    return os.getpid()


@tool(effect="irreversible", risk="high")
def pay(amount: int) -> str:
    """Pay an invoice."""
    return f"paid {amount}"


def _answers(request: ModelRequest) -> int:
    return sum(turn.role is Role.ASSISTANT for turn in request.turns)


def saying(request: ModelRequest) -> ModelResponse:
    """One turn, no tool."""
    return say("done")


def looking(request: ModelRequest) -> ModelResponse:
    """Two turns and one tool."""
    return say("It is sunny in Bern.") if _answers(request) else call(("look", {"place": "Bern"}))


def locating(request: ModelRequest) -> ModelResponse:
    """Says in which process its tools run."""
    if not _answers(request):
        return call(("where", {}))
    return say(str(request.turns[-1].parts[0].content))  # type: ignore[union-attr]  # the answer of the tool


def paying(request: ModelRequest) -> ModelResponse:
    """Needs a person."""
    return say("paid") if _answers(request) else call(("pay", {"amount": 17}))


app = App(
    [Agent(f"sayer-{n}", model=f"scripted:{HERE}:saying") for n in range(LANES)],
    [Agent(f"looker-{n}", model=f"scripted:{HERE}:looking", tools=[look]) for n in range(LANES)],
    [Agent(f"payer-{n}", model=f"scripted:{HERE}:paying", tools=[pay]) for n in range(LANES)],
    [
        Agent(f"alone-{n}", model=f"scripted:{HERE}:locating", tools=[where], isolation="process")
        for n in range(ISOLATED)
    ],
    Profiled.named("profiled"),
)
