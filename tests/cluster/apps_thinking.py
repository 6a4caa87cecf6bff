"""Thinking agents of the reliability tests: scripted models, and tools that leave a trace of what they do."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from actorium.actors.context import Context
from actorium.actors.models.port import ModelRequest, ModelResponse, Role, Text, Usage
from actorium.actors.models.scripted import call, say
from actorium.actors.models.tokens import tokens_of_request
from actorium.actors.runs.config import Agent
from actorium.actors.runs.tool import NOT_DONE, tool
from actorium.runtime.app import App

JOURNAL = re.compile(r"journal=(\S+)")


def write(journal: str, line: str) -> None:
    """Append a line; what is written when this returns survives kill -9."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def lines(journal: str) -> list[str]:
    """What stands in a journal."""
    path = Path(journal)
    return path.read_text().splitlines() if path.exists() else []


@tool(effect="pure", risk="low")
async def look(journal: str, ctx: Context, place: int = 0) -> str:
    """Look at something."""
    await asyncio.sleep(0.01)
    write(journal, f"look {ctx.task_id}")
    return f"seen {place}"


async def was_transferred(journal: str, ctx: Context) -> Any:
    """Whether the transfer of this key happened."""
    return "transferred" if f"transfer {ctx.task_id}" in lines(journal) else NOT_DONE


@tool(effect="irreversible", risk="medium", probe=was_transferred)
async def transfer(journal: str, ctx: Context) -> str:
    """Move money, once."""
    await asyncio.sleep(0.005)
    write(journal, f"transfer {ctx.task_id}")
    await asyncio.sleep(0.005)
    return "transferred"


async def unbook(journal: str, ctx: Context) -> None:
    """Take a booking back."""
    write(journal, f"unbook {ctx.task_id}")


@tool(effect="compensable", risk="medium", undo=unbook)
async def book(journal: str, ctx: Context) -> str:
    """Book a room."""
    write(journal, f"book {ctx.task_id}")
    await asyncio.sleep(0.01)
    return "booked"


@tool(effect="irreversible", risk="high")
async def pay(journal: str, amount: int, ctx: Context) -> str:
    """Pay an invoice."""
    write(journal, f"pay {amount} {ctx.task_id}")
    return f"paid {amount}"


def told(request: ModelRequest) -> tuple[str, int]:
    """The journal that the task names, and the number of answers so far."""
    text = " ".join(part.text for turn in request.turns for part in turn.parts if isinstance(part, Text))
    found = JOURNAL.search(text)
    return (found[1] if found else ""), sum(turn.role is Role.ASSISTANT for turn in request.turns)


async def clerk(request: ModelRequest) -> ModelResponse:
    """Looks, books and transfers, then reports."""
    journal, step = told(request)
    await asyncio.sleep(0.01)
    arguments = {"journal": journal}
    match step:
        case 0:
            return call(("look", arguments), ("book", arguments), text="First I look.")
        case 1:
            return call(("transfer", arguments), text="Now I transfer.")
        case 2:
            return call(("look", arguments), ("transfer", arguments))
        case _:
            return say("all done")


def payer(request: ModelRequest) -> ModelResponse:
    """Pays, which needs a person."""
    journal, step = told(request)
    return say("paid") if step else call(("pay", {"journal": journal, "amount": 17}), text="It is due.")


def spender(request: ModelRequest) -> ModelResponse:
    """Talks until somebody stops it: each of its turns says what it costs."""
    _, step = told(request)
    usage = Usage(input=1_000, output=0)
    return msgspec.structs.replace(look_elsewhere(step), usage=usage)


async def glutton(request: ModelRequest) -> ModelResponse:
    """Talks as the spender, but each turn takes its time, and costs half as much again as can be foreseen."""
    journal, step = told(request)
    cost = (tokens_of_request(request) + request.max_tokens) * 3 // 2
    write(journal, "begin 0")
    await asyncio.sleep(0.02)
    write(journal, f"end {cost}")
    return msgspec.structs.replace(look_elsewhere(step), usage=Usage(input=cost, output=0))


def look_elsewhere(step: int) -> ModelResponse:
    """A turn like no other: the same again and again would end the run as a loop."""
    return call(("look", {"journal": "/dev/null", "place": step}), text=f"turn {step}")


def chief(request: ModelRequest) -> ModelResponse:
    """Gives one task to each of three clerks, then reports."""
    journal, step = told(request)
    if step:
        return say("the clerks are done")
    names = ("clerk-0", "clerk-1", "clerk-2")
    return call(*(("delegate_task", {"agent": name, "task": f"journal={journal} work"}) for name in names))


HERE = "apps_thinking"
TOOLS = [look, transfer, book]
clerks = [Agent(f"clerk-{n}", model=f"scripted:{HERE}:clerk", tools=TOOLS) for n in range(4)]
alone = Agent("clerk-alone", model=f"scripted:{HERE}:clerk", tools=TOOLS, isolation="process")
app = App(
    *clerks,
    alone,
    *(
        Agent(f"spender-{n}", model=f"scripted:{HERE}:spender", tools=[look], max_tokens=256)
        for n in range(16)
    ),
    *(
        Agent(f"glutton-{n}", model=f"scripted:{HERE}:glutton", tools=[look], max_tokens=512)
        for n in range(16)
    ),
    Agent("payer", model=f"scripted:{HERE}:payer", tools=[pay]),
    Agent("chief", model=f"scripted:{HERE}:chief", delegates=["clerk-0", "clerk-1", "clerk-2"]),
)
