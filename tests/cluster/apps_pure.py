"""Pure steps for the reliability tests: work that may happen twice, and work that ends its process."""

import asyncio
import os
import signal
from pathlib import Path

from actorium import Actor, App, Context, Options, Policy, Task, Workflow, workflow

OFTEN = Policy(intensity=10_000, period=60.0, backoff=0.01, backoff_max=0.02)  # failures are no news here
STEPS = 16


class Adder(Actor):
    """Adds one, and takes a moment for it."""

    options = Options(attempts=100, policy=OFTEN)

    async def receive(self, message: Task, ctx: Context) -> int:
        await asyncio.sleep(0.01)
        return int(message.spec) + 1


class Killer(Actor):
    """Ends its process, and leaves a line first."""

    options = Options(attempts=2, policy=OFTEN)

    async def receive(self, message: Task, ctx: Context) -> None:
        if message.action == "warm":
            return
        with Path(str(message.spec)).open("a") as journal:  # noqa: ASYNC230  # its last word
            journal.write(f"{ctx.task_id}\n")
        os.kill(os.getpid(), signal.SIGKILL)


class Writer(Actor):
    """Leaves a line, takes its time, and is killed or stopped meanwhile, or raises."""

    options = Options(attempts=5, policy=OFTEN)

    async def receive(self, message: Task, ctx: Context) -> str:
        with Path(str(message.spec)).open("a") as journal:  # noqa: ASYNC230  # a line, at once
            journal.write(f"{os.getpid()}\n")
        if message.action == "raise":
            raise ValueError("behind the line")
        await asyncio.sleep(3.0)
        return "done"


def writing(action: str) -> Workflow:
    """One step that says nothing of its effect, and so is irreversible."""
    draft = workflow(f"writing-{action}")
    draft.step("write", agent="writer", action=action, spec=draft.input("journal", str), retry={"max": 3})
    return draft.build()


def adding() -> Workflow:
    """Steps one after the other, each of which adds one."""
    draft = workflow("adding")
    last = draft.input("n", int, default=0)
    for number in range(STEPS):
        step = draft.step(f"s{number}", agent=f"adder-{number}", spec=last, effect="pure")
        last = step.data
    draft.output("total", last)
    return draft.build()


def killing() -> Workflow:
    """One step whose agent is alive, and that ends its process."""
    draft = workflow("killing")
    warm = draft.step("warm", agent="killer", action="warm")
    journal = draft.input("journal", str)
    draft.step("kill", agent="killer", action="kill", spec=journal, effect="pure", depends_on=[warm])
    return draft.build()


app = App(
    [Adder.named(f"adder-{n}") for n in range(STEPS)],
    Killer.named("killer"),
    Writer.named("writer"),
    adding(),
    killing(),
    writing("slowly"),
    writing("raise"),
)
