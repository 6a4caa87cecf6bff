"""The workflows that the benchmarks run: of steps that do nothing, and so are pure, and of steps that do not
say so: each of those is a durable task of its agent.
"""

import asyncio
from pathlib import Path

from profiled import Profiled

from actorium import Actor, App, Context, Task
from actorium.actors.workflows.builder import StepRef, workflow
from actorium.actors.workflows.definition import Workflow
from actorium.actors.workflows.runner import deployed

LANES = 64
STEPS = 5
WIDTH = 98  # of the diamond: with its two ends a hundred steps
WIDE = 1000
HELD = 8  # workflows whose runs are held, so that their runs have several owners' partitions


class Work(Actor):
    """Does nothing."""

    async def receive(self, message: Task, ctx: Context) -> object:
        return message.spec


class Gate(Actor):
    """Ends when a file is there."""

    async def receive(self, message: Task, ctx: Context) -> str:
        file = Path(str(message.spec))
        while not file.exists():  # noqa: ASYNC110, ASYNC240  # another process makes it; a look takes 2 us
            await asyncio.sleep(0.02)
        return "open"


def line(lane: int, name: str = "line", effect: str = "pure") -> Workflow:
    """Steps one after the other; those of another lane are done by others."""
    draft, before = workflow(f"{name}-{lane}"), list[StepRef]()
    for number in range(STEPS):
        agent = f"work-{(lane + number) % WIDTH}"
        before = [draft.step(f"s{number}", agent=agent, spec=number, depends_on=before, effect=effect)]
    return draft.build()


def diamond() -> Workflow:
    """One step, many side by side, one step."""
    draft = workflow("diamond", max_parallel=WIDTH)
    first = draft.step("first", agent="work-0", spec=-1, effect="pure")
    middle = [
        draft.step(f"m{number}", agent=f"work-{number}", spec=number, depends_on=[first], effect="pure")
        for number in range(WIDTH)
    ]
    draft.step("last", agent="work-1", spec=-2, depends_on=middle, effect="pure")
    return draft.build()


def fan(name: str = "fan", effect: str = "pure") -> Workflow:
    """A step for every item of its input."""
    draft = workflow(name, max_parallel=WIDE)
    numbers = draft.input("numbers", list)
    draft.step("one", agent="work-2", for_each=numbers, spec=draft.item, effect=effect)
    return draft.build()


def held(number: int) -> Workflow:
    """Its second step waits for a file."""
    draft = workflow(f"held-{number}")
    file = draft.input("file", str)
    first = draft.step("before", agent=f"work-{number}", spec=0)
    gate = draft.step("gate", agent=f"gate-{number}", spec=file, effect="pure", depends_on=[first])
    draft.step("after", agent=f"work-{number + HELD}", spec=1, depends_on=[gate])
    return draft.build()


app = App(
    [Work.named(f"work-{n}") for n in range(WIDTH)],
    [Gate.named(f"gate-{n}") for n in range(HELD)],
    [deployed(held(n)) for n in range(HELD)],
    [deployed(line(lane)) for lane in range(LANES)],
    [deployed(diamond()), deployed(fan())],
    [deployed(line(0, "stored", "irreversible")), deployed(fan("stored-fan", "irreversible"))],
    Profiled.named("profiled"),
)
