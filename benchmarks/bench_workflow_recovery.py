"""How long after kill -9 of a worker are a thousand live workflow runs carried on, and how fast is one read?

The runs stand in the middle of a step that waits for a file. One worker carries them all; it is killed, and
its supervisor starts another one. A run counts as carried on when its new owner has fenced the old one in its
ledger, which is seen as it is written, by a subscription of nats-py.
"""

import asyncio
import itertools
import time
from contextlib import suppress
from pathlib import Path

from app_flows import HELD, WIDE
from heard import Said, hearing
from interleave import quantile
from metric import Metric, Run
from nats.aio.msg import Msg
from node import FLOWS, Node, node
from process import kill

from actorium import Client, Handle, Task
from actorium.actors.card import run_ledger
from actorium.actors.workflows.branch import Stage
from actorium.actors.workflows.reading import EPOCH, read_state
from actorium.bus.subjects import DEFAULT_TENANT
from actorium.storage.errors import NotFound

LIMIT = 150.0  # seconds
PATIENCE = 60.0
LANES = 64


async def measure(run: Run) -> list[Metric]:
    async with node(source=FLOWS, first="work-0") as here, Client(here.url) as client:
        found = await _resume(here, client, run.count(1000, 200))
        return [*found, await _replay(client, run.count(WIDE, 200), run.count(5, 3))]


async def _resume(here: Node, client: Client, count: int) -> list[Metric]:
    gate = here.home / "gate"
    handles = await _started(client, count, gate)
    await _held(client, handles)
    async with hearing(here.url, "led.>", _fenced_run) as fenced:
        begun = time.perf_counter()
        kill(here.workers[0])
        await fenced.wait(count, PATIENCE)
    gate.touch()
    opened = time.perf_counter()
    for handle in handles:
        (await handle.result(timeout=PATIENCE)).unwrap()
    ended = time.perf_counter()
    after = sorted(at - begun for at in fenced.at.values())
    return [
        Metric(
            name=f"kill -9 with {count:,} live runs: all carried on", value=after[-1], unit="s",
            detail={"first_s": after[0], "p50_s": quantile(after, 0.5)},
        ),
        Metric(
            name="the same: all ended, from the moment they could", value=ended - opened, unit="s",
            detail={"steps": 2 * count, "from_the_kill_s": ended - begun},
        ),
    ]  # fmt: skip


def _fenced_run(message: Msg, said: Said) -> str | None:
    return message.subject if said.kind == EPOCH and ".run-" in message.subject else None


async def _started(client: Client, count: int, gate: Path) -> list[Handle]:
    numbers, handles = itertools.count(), list[Handle]()

    async def lane() -> None:
        while (number := next(numbers)) < count:
            handles.append(await client.tell(f"held-{number % HELD}", Task(inputs={"file": str(gate)})))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(LANES):
            tasks.create_task(lane())
    return handles


async def _held(client: Client, handles: list[Handle]) -> None:
    """Return when every run has given its second step away."""
    left = {(handle.agent, handle.id) for handle in handles}
    async with asyncio.timeout(PATIENCE):
        while left:
            with suppress(NotFound):  # it has not begun
                for flow, run_id in list(left):
                    state = await client.workflows.state(flow, run_id)
                    if state.steps["gate"].stage is not Stage.RUNNING:
                        break
                    left.discard((flow, run_id))
            await asyncio.sleep(0.05)


async def _replay(client: Client, width: int, rounds: int) -> Metric:
    """Read a run that is over: from the server, verified, and folded into its state."""
    handle = await client.tell("fan", Task(inputs={"numbers": list(range(width))}))
    (await handle.result(timeout=PATIENCE)).unwrap()
    names = client.names
    subject = run_ledger(names.partitions, DEFAULT_TENANT, handle.agent, handle.id)
    pages = [entry async for entry in names.ledger.read(subject)]
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        state = await read_state(names.ledger, names.blobs, subject)
        taken.append(time.perf_counter() - begun)
    facts = 2 * width  # each step is scheduled, and ends
    assert state.ended is not None
    middle = quantile(taken, 0.5)
    return Metric(
        name="replay of a run: steps read and folded", value=width / middle, unit="/s",
        detail={
            "records": len(pages), "records_per_s": len(pages) / middle, "facts_per_s": facts / middle,
            "bytes": sum(len(page.value) for page in pages),
        },
    )  # fmt: skip
