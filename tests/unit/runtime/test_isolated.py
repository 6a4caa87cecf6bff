"""An agent in a process of its own answers as one that shares its worker's, whatever its code does.

This file is the program of those processes too: what has them forked here is no zygote, and all else is real.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actorium.actors.actor import Actor
from actorium.actors.behaviour import LocalBehaviour
from actorium.actors.carrier import Carrier, Order
from actorium.actors.context import Context
from actorium.actors.definition import Definition
from actorium.actors.errors import BadTask, HandlerFailed, Reject
from actorium.actors.outcome import Crash, failure
from actorium.actors.port import Behaviour, Outcome
from actorium.bus import subjects
from actorium.bus.codec import encode, read_result
from actorium.bus.envelope import Envelope
from actorium.bus.memory import MemoryBus
from actorium.bus.memory_hub import MemoryHub
from actorium.bus.task import Metrics, Result, Task
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.isolation.isolated import Isolated, IsolatedCarrier
from actorium.runtime.isolation.line import AgentLine
from actorium.runtime.isolation.process import serve
from actorium.runtime.isolation.watch import Watch
from actorium.runtime.reports import ForkAgent, Report, Reporter, Reports
from actorium.storage.errors import Fenced, StoreUnavailable
from eventually import eventually

ERRORS = {
    error.__name__: error for error in (KeyboardInterrupt, SystemExit, GeneratorExit, ValueError, Reject)
}


class Mute(Exception):
    """Cannot even say what happened."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Kept(msgspec.Struct):
    """What an Oddity keeps."""

    value: Any = None
    by_number: dict[int, str] = {}


class Oddity(Actor):
    """Does what its task says, most of it odd."""

    state: Kept = Kept()

    async def receive(self, message: Task, ctx: Context) -> object:
        match message.action:
            case "echo":
                return message.spec
            case "grow":
                return message.spec * 1_000_000
            case "deep":
                return nested(message.spec)
            case "nan":
                return [float("nan"), float("inf")]
            case "keys":
                return {1: "one", None: "nothing"} if message.spec else {(1, 2): "a pair"}
            case "keep":
                self.state.value, self.state.by_number = message.spec, {1: "one"}
            case "kept":
                return [msgspec.json.encode(self.state.value).decode(), self.state.by_number.get(1)]
            case "surrogate":
                raise ValueError("\ud800 is half a character")
            case "refuse-oddly":
                raise Reject("\ud800 is half a character", what="\ud800")
            case "mute":
                raise Mute
            case "cancelled":
                raise asyncio.CancelledError
            case "raise":
                raise ERRORS[message.spec](3)
        return None


class Blocker(Actor):
    """Takes its time in one of several ways, and says in which process."""

    async def receive(self, message: Task, ctx: Context) -> int:
        match message.action:
            case "hold-lock":
                ctypes.PyDLL(None).sleep(1000)  # native code that keeps the interpreter lock
            case "block":
                time.sleep(message.spec)  # noqa: ASYNC251  # the fault
            case "wait":
                await asyncio.sleep(message.spec)
        return os.getpid()


class Late(Actor):
    """Is made when a file is there, and keeps what it is told in spite of being cut short."""

    state: Kept = Kept()

    def __init__(self, gate: str) -> None:
        self.gate = Path(gate)

    async def on_start(self, ctx: Context) -> None:
        self.gate.with_suffix(".began").touch()
        await eventually(self.gate.exists, 30.0)

    async def receive(self, message: Task, ctx: Context) -> object:
        if message.action == "wait":
            self.gate.with_suffix(".waits").touch()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
            self.state.value = "late"
        return self.state.value


class PlainBlocker(Actor):
    """A plain function, which has a thread."""

    def receive(self, message: Task, ctx: Context) -> int:
        time.sleep(message.spec)
        return os.getpid()


class Errant(Carrier):
    """Runs that cannot be carried, for the reason that their task's id says."""

    async def carry(self, order: Order) -> Result:
        if order.card.task_id == "block":
            time.sleep(1000)  # noqa: ASYNC251  # the fault
        raise {"fenced": Fenced, "away": StoreUnavailable, "own": ValueError}[order.card.task_id]("as told")


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def definition(kind: type) -> Definition:
    return Definition(name="odd", kind=f"{Path(__file__).stem}:{kind.__name__}")


@pytest.fixture
async def make_reporter(tmp_path: Path) -> AsyncIterator[Callable[..., Reporter]]:
    """Makes what has processes forked; every one ends with its test."""
    started: list[subprocess.Popen[bytes]] = []
    open_reports: list[Reports] = []
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    async def make(url: str = "") -> Reporter:
        def receive(report: Report) -> None:
            assert isinstance(report, ForkAgent)
            command = [sys.executable, __file__, report.path, url]
            started.append(subprocess.Popen(command, env=os.environ | paths))

        reports = Reports(tmp_path / "reports.sock", receive)
        await reports.open()
        open_reports.append(reports)
        return Reporter(str(reports.path), "session")

    yield make
    for process in started:
        process.kill()
        process.wait()
    for reports in open_reports:
        await reports.close()


async def did(behaviour: Behaviour, task: Task) -> Result | str:
    """What its owner makes of a message: a result as others read it, or the text of its failure."""
    try:
        outcome = await behaviour.handle(task, Envelope(), "t1", 1)
    except (BadTask, Reject) as error:
        outcome = Outcome(failure(error))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # as the boundary of its owner does
        return str(Crash(error)).removeprefix("HandlerFailed: ")
    result = read_result(encode(outcome.result))
    return msgspec.structs.replace(result, metrics=Metrics(execution_time_ms=0))


def shared() -> LocalBehaviour:
    return LocalBehaviour(definition(Oddity), Oddity, AgentLine(Settings()))


ODD = [
    Task(action="echo", spec=10**40),
    Task(action="echo", spec={"wei": -(10**20), "half": 2**64, "empty": "", "text": "\N{SNOWMAN}\0"}),
    Task(action="grow", spec="x"),
    Task(action="deep", spec=30),
    Task(action="deep", spec=40),
    Task(action="deep", spec=5000),
    Task(action="nan"),
    Task(action="keys", spec=True),
    Task(action="keys", spec=False),
    Task(action="surrogate"),
    Task(action="refuse-oddly"),
    Task(action="mute"),
    Task(action="cancelled"),
    Task(action="raise", spec="ValueError"),
    Task(action="raise", spec="Reject"),
]


async def test_odd_values_and_errors_are_answered_as_by_a_shared_agent(make_reporter) -> None:
    behaviours = shared(), Isolated(definition(Oddity), await make_reporter())
    for behaviour in behaviours:
        await behaviour.start(None)
    for task in ODD:
        own, other = [await did(behaviour, task) for behaviour in behaviours]
        assert other == own, task
        for behaviour in behaviours if isinstance(own, str) else ():
            behaviour.discard()
            await behaviour.start(None)
    for behaviour in behaviours:
        await behaviour.stop()


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
async def test_what_would_end_a_program_is_a_failure_of_the_handler(make_reporter, kind: str) -> None:
    """And is told by its name, not as a death."""
    isolated = Isolated(definition(Oddity), await make_reporter())
    await isolated.start(None)
    assert await did(isolated, Task(action="raise", spec=kind)) == f"{kind}: 3"
    assert isinstance(await did(isolated, Task(action="echo", spec=1)), Result)
    await isolated.stop()


async def test_state_of_any_shape_goes_to_the_next_process(make_reporter) -> None:
    isolated = Isolated(definition(Oddity), await make_reporter())
    await isolated.start(None)
    for value in (10**40, "\N{SNOWMAN}", nested(200)):
        outcome = await isolated.handle(Task(action="keep", spec=value), Envelope(), "t1", 1)
        kept = [msgspec.json.encode(value).decode(), "one"]
        isolated.discard()  # it is made again with what it left
        assert (await isolated.handle(Task(action="kept"), Envelope(), "t2", 1)).result.data == kept
        await isolated.start(msgspec.json.decode(outcome.state))  # and with what its owner kept
        assert (await isolated.handle(Task(action="kept"), Envelope(), "t3", 1)).result.data == kept
    await isolated.stop()


@pytest.mark.parametrize("way", ["block", "hold-lock"])
async def test_a_process_that_blocks_for_ever_is_ended_at_the_limit_and_told(make_reporter, way: str) -> None:
    bus, told = MemoryBus(MemoryHub()), []
    await bus.subscribe(
        subjects.SYSTEM_EVENTS, lambda message: told.append(msgspec.json.decode(message.payload))
    )
    isolated = Isolated(definition(Blocker), await make_reporter(), Watch(1.2, bus, node="n1"))
    await isolated.start(None)
    pid = (await isolated.handle(Task(), Envelope(), "t1", 1)).result.data
    with pytest.raises(HandlerFailed, match="blocked"):
        await isolated.handle(Task(action=way, spec=1000), Envelope(), "t2", 1)
    isolated.discard()
    other = (await isolated.handle(Task(), Envelope(), "t2", 2)).result.data
    assert other != pid
    assert ended(pid)
    assert told == [{"kind": "loop_lag", "node": "n1", "agent": "default.odd", "seconds": 1.0}]
    await isolated.stop()


def ended(pid: int) -> bool:
    """Whether a process runs no more; nobody has reaped it yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        (Blocker, Task(action="block", spec=1.5)),
        (Blocker, Task(action="wait", spec=4.0)),
        (PlainBlocker, Task(spec=4.0)),
    ],
)
async def test_work_that_blocks_for_less_than_the_limit_or_not_at_all_is_let_alone(
    make_reporter, kind: type[Actor], task: Task
) -> None:
    isolated = Isolated(definition(kind), await make_reporter(), Watch(2.0))
    await isolated.start(None)
    pid = (await isolated.handle(task, Envelope(), "t1", 1)).result.data
    assert (await isolated.handle(Task(spec=0.0), Envelope(), "t2", 1)).result.data == pid
    await isolated.stop()


async def test_an_owner_that_was_stopped_does_not_take_its_pause_for_the_agents(make_reporter) -> None:
    """As where both were stopped, and the owner is the first to go on."""
    isolated = Isolated(definition(Blocker), await make_reporter(), Watch(1.2))
    await isolated.start(None)
    pid = (await isolated.handle(Task(), Envelope(), "t1", 1)).result.data
    async with asyncio.timeout(30.0), asyncio.TaskGroup() as tasks:
        answered = tasks.create_task(isolated.handle(Task(action="wait", spec=4.0), Envelope(), "t2", 1))
        for _ in range(2):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.7)  # within this it is asked
            time.sleep(2.0)  # noqa: ASYNC251  # the fault
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.1)
    assert answered.result().result.data == pid
    await isolated.stop()


async def test_a_process_that_does_not_obey_a_cancellation_is_ended(make_reporter) -> None:
    """Also one whose threads see nothing of it."""
    isolated = Isolated(definition(Blocker), await make_reporter())
    await isolated.start(None)
    pid = (await isolated.handle(Task(), Envelope(), "t1", 1)).result.data
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await isolated.handle(Task(action="hold-lock"), Envelope(), "t2", 1)
    other = (await isolated.handle(Task(), Envelope(), "t3", 1)).result.data
    assert other != pid
    assert ended(pid)
    await isolated.stop()


async def test_a_message_that_was_cut_short_leaves_nothing_behind(make_reporter, tmp_path: Path) -> None:
    """Neither a process whose actor was never made, nor a change that its owner has not heard of."""
    gate = tmp_path / "gate"
    late = msgspec.structs.replace(definition(Late), config={"gate": str(gate)})
    isolated = Isolated(late, await make_reporter())
    await cut_short(isolated.start(None), gate.with_suffix(".began"))
    gate.touch()
    assert (await isolated.handle(Task(), Envelope(), "t1", 1)).result.data is None
    await cut_short(isolated.handle(Task(action="wait"), Envelope(), "t2", 1), gate.with_suffix(".waits"))
    assert (await isolated.handle(Task(), Envelope(), "t3", 1)).result.data is None
    await isolated.stop()


async def cut_short(work: Coroutine[object, object, object], sign: Path) -> None:
    """Cancel what is done as soon as a file is there."""
    task = asyncio.create_task(work)
    await eventually(sign.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
async def carrier(make_reporter: Callable[..., Any], nats_url: str) -> AsyncIterator[IsolatedCarrier]:
    """Carries runs of an Errant in a process of its own."""
    settings = Settings(nats=NatsSettings(url=nats_url))
    line = AgentLine(settings)
    here = Errant(definition(Errant), await line.ports())
    carrier = IsolatedCarrier(here, await make_reporter(nats_url), Watch(1.2))
    yield carrier
    await carrier.stop()
    await line.close()


async def test_what_keeps_a_run_from_being_carried_reaches_its_owner_as_it_is(carrier) -> None:
    """That storage is away is no failure of the run, and a newer owner is no reason to try again."""
    for task_id, kind in (("fenced", Fenced), ("away", StoreUnavailable), ("own", HandlerFailed)):
        with pytest.raises(kind, match="as told"):
            await carrier.carry(order(task_id))


async def test_a_run_that_blocks_its_process_for_ever_is_ended_at_the_limit(carrier) -> None:
    with pytest.raises(HandlerFailed, match="blocked"):
        await carrier.carry(order("block"))
    with pytest.raises(Fenced):
        await carrier.carry(order("fenced"))


def order(task_id: str) -> Order:
    return msgspec.convert(
        {"card": {"agent": "odd", "task_id": task_id}, "subject": "led.0.default.odd", "epoch": 1}, Order
    )


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Settings(nats=NatsSettings(url=sys.argv[2]))))
