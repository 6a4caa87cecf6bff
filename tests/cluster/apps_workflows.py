"""Workflows of the reliability tests, and an agent whose every effect leaves a line in its run's journal."""

import asyncio
import os
from pathlib import Path
from typing import Any

from actorium import Actor, App, Context, Options, Policy, Reject, Task, Workflow, workflow

OFTEN = Policy(intensity=10_000, period=60.0, backoff=0.01, backoff_max=0.02)  # failures are no news here


class Doer(Actor):
    """Does what a step says, once by the task's id: as an agent must whose effects are outside.

    What was done and undone stands in the journal that the run is given, a line each.
    """

    options = Options(attempts=100, policy=OFTEN)

    async def receive(self, message: Task, ctx: Context) -> Any:
        inputs: dict[str, Any] = message.inputs
        await asyncio.sleep(0.005)
        if message.action == "fail":
            raise Reject("this never works")
        write_once(inputs, f"{'undid' if message.action == 'undo' else 'did'} {ctx.task_id}")
        await asyncio.sleep(0.005)
        return sum(inputs["numbers"]) if message.action == "sum" else inputs.get("n", 0) + 1


class Flaky(Actor):
    """Fails at the first attempt of each step, and when it is killed; does things once by the step."""

    options = Options(attempts=1, policy=OFTEN)

    async def receive(self, message: Task, ctx: Context) -> Any:
        step, attempt = ctx.task_id.rsplit("/", 1)
        await asyncio.sleep(0.005)
        if attempt == "1":
            raise ValueError("the first attempt never works")
        write_once(message.inputs, f"did {step}")
        return message.inputs["n"] + 1


def write_once(inputs: dict[str, Any], line: str) -> None:
    """Leave a line in the journal, unless it stands there; when this returns it survives kill -9."""
    if line not in lines(inputs["journal"]):
        descriptor = os.open(inputs["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)


def lines(journal: str) -> list[str]:
    """What stands in a journal."""
    path = Path(journal)
    return path.read_text().splitlines() if path.exists() else []


def chain() -> Workflow:
    """Five steps, each of which adds one."""
    draft = workflow("chain")
    journal, last = draft.input("journal", str), draft.input("n", int, default=0)
    for number in range(1, 6):
        inputs = {"journal": journal, "n": last}
        last = draft.step(
            f"s{number}", agent=f"doer-{number % 3}", action="add", effect="idempotent", inputs=inputs
        ).data
    draft.output("total", last)
    return draft.build()


def fan() -> Workflow:
    """Twelve items side by side, and their sum."""
    draft = workflow("fan", max_parallel=6)
    journal = draft.input("journal", str)
    inputs = {"journal": journal, "n": draft.item}
    each = draft.step(
        "each", agent="doer-0", action="add", effect="idempotent", for_each=list(range(12)), inputs=inputs
    )
    total = draft.step(
        "sum",
        agent="doer-1",
        action="sum",
        effect="idempotent",
        inputs={"journal": journal, "numbers": each.data},
    )
    draft.output("total", total.data)
    return draft.build()


def diamond() -> Workflow:
    """One, then four side by side of which two fail at first, then one."""
    draft = workflow("diamond")
    journal = draft.input("journal", str)
    top = draft.step("top", agent="doer-0", action="add", effect="idempotent", inputs={"journal": journal})
    sides = [
        draft.step(
            f"side{number}",
            agent="flaky" if number % 2 else "doer-1",
            inputs={"journal": journal, "n": top.data},
            retry={"max": 100, "backoff": "20ms", "factor": 1},
            effect="idempotent",
        )
        for number in range(4)
    ]
    numbers = [side.data for side in sides]
    bottom = draft.step(
        "bottom",
        agent="doer-2",
        action="sum",
        effect="idempotent",
        inputs={"journal": journal, "numbers": numbers},
    )
    draft.output("total", bottom.data)
    return draft.build()


def saga() -> Workflow:
    """Three bookings and a payment that never works: all bookings are taken back, the last one first."""
    draft = workflow("saga", on_failure="compensate")
    journal = draft.input("journal", str)
    before: list[str] = []
    for number in range(1, 4):
        draft.step(
            f"book{number}",
            agent=f"doer-{number % 3}",
            action="add",
            inputs={"journal": journal},
            depends_on=before,
            effect="compensable",
            undo={"action": "undo", "inputs": {"journal": "${inputs.journal}"}},
        )
        before = [f"book{number}"]
    draft.step("pay", agent="doer-0", action="fail", inputs={"journal": journal}, depends_on=before)
    return draft.build()


def patient() -> Workflow:
    """Waits for a signal, then sleeps, then adds what the signal brought."""
    draft = workflow("patient")
    journal = draft.input("journal", str)
    draft.step("first", agent="doer-0", action="add", effect="idempotent", inputs={"journal": journal})
    heard = draft.step("hear", wait_signal="go", depends_on=["first"])
    draft.step("rest", sleep="1s", depends_on=[heard])
    last = draft.step(
        "last",
        agent="doer-1",
        action="add",
        effect="idempotent",
        inputs={"journal": journal, "n": heard.data},
        depends_on=["rest"],
    )
    draft.output("total", last.data)
    return draft.build()


def outer() -> Workflow:
    """Runs two of the above."""
    draft = workflow("outer")
    journal = draft.input("journal", str)
    inner = draft.step("inner", workflow="chain", inputs={"journal": journal, "n": 10})
    wide = draft.step("wide", workflow="fan", inputs={"journal": journal})
    inputs = {"journal": journal, "numbers": [inner.data.total, wide.data.total]}
    total = draft.step("sum", agent="doer-1", action="sum", effect="idempotent", inputs=inputs)
    draft.output("total", total.data)
    return draft.build()


app = App(
    *(Doer.named(f"doer-{number}") for number in range(3)),
    Flaky.named("flaky"),
    *(flow() for flow in (chain, fan, diamond, saga, patient, outer)),
)
