"""A cluster of real processes for tests: nodes, their workers by pid, faults, and the histories they leave.

A fault goes to a pid that was read from the cluster itself. Checkers read the streams, never the runtime's
memory. Invariant: no process started here outlives its test.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from actorium.actors.supervision import Policy
from actorium.bus import subjects
from actorium.bus.codec import read_event, read_result
from actorium.bus.envelope import TASK_ID
from actorium.bus.errors import BusLost, DeadlineExceeded, NoOwner
from actorium.bus.task import Event, Result
from actorium.runtime.client import Client
from actorium.runtime.config import NatsSettings, Settings
from actorium.runtime.namespace import Namespace, connect
from actorium.storage.errors import StorageError
from actorium.storage.port import Session
from actorium.storage.record import Record
from actorium.storage.verifier import Verifier
from eventually import eventually

HERE = Path(__file__).parent
LEASE = 3.0  # seconds
SOON = 30.0  # seconds that a condition may take on a slow machine
FOREVER = Policy(intensity=10_000, period=60.0, backoff=0.02, backoff_max=0.05)  # a test kills often


class Node:
    """One NodeSupervisor and its workers, as processes. `start` it, and at last `end` it."""

    def __init__(
        self, url: str, home: Path, name: str = "node", *, policy: Policy = FOREVER, **settings: Any
    ) -> None:
        given = {"workers": 2, "lease": LEASE, "drain": 10.0} | settings
        self.name = name
        self.settings = Settings(nats=NatsSettings(url=url), node=name, **given)
        self._policy = policy
        self._log = home / f"{name}.log"
        self._source = str(HERE / "apps.py")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, source: str = "") -> "Node":
        """Start the supervisor; its workers follow."""
        order = {
            "source": source or self._source,
            "settings": msgspec.to_builtins(self.settings),
            "policy": msgspec.to_builtins(self._policy),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, HERE / "node.py", msgspec.json.encode(order)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def descendants(self) -> list[int]:
        """Pids of every process below the supervisor, the zygote first."""
        found, todo = [], [self.pid]
        while todo:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{todo[0]}/task/{todo[0]}/children").read_text().split()
                found += [int(child) for child in children]
                todo += [int(child) for child in children]
            todo.pop(0)
        return found

    def terminate(self) -> None:
        """SIGTERM to the supervisor: a planned stop."""
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, timeout: float = SOON) -> int:
        """The exit status, once it has one."""
        process = self._process
        await eventually(lambda: process.poll() is not None, timeout, what=f"node {self.name} ends")
        return process.returncode

    def crash(self) -> None:
        """SIGKILL to the supervisor and all below it, at once: as if the machine lost power."""
        everybody = [self.pid, *self.descendants()]
        for pid in everybody:
            kill(pid, signal.SIGSTOP)  # or the zygote would see its supervisor die, and drain
        for pid in everybody:
            kill(pid)
        self._process.wait()

    def end(self) -> None:
        """Whatever state it is in: nothing of it is left."""
        if self._process is None:
            return
        below = self.descendants()
        for pid in below:
            kill(pid, signal.SIGCONT)
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        for pid in [self.pid, *below]:
            kill(pid)
        self._process.wait()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to one process, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def alive(pid: int) -> bool:
    """Whether any thread of a process is: a dead one keeps no files, so its peers have seen the end."""
    try:
        stats = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return any(stat.rpartition(")")[2].split()[0] != "Z" for stat in stats)


def note(text: str) -> None:
    """Say what was measured; pytest shows it with -s, and when the test fails."""
    print(text)  # noqa: T201


class Cluster:
    """What a test sees of a running cluster, through a connection of its own."""

    def __init__(self, names: Namespace, settings: Settings) -> None:
        self.names = names
        self.client = Client.over(names)
        self.settings = settings

    async def sessions(self) -> dict[str, Session]:
        """Sessions of living and dying workers, by id."""
        return {seen.id: seen.session for seen in await self.names.leases.sessions() if seen.session}

    async def workers(self, node: str = "") -> dict[str, int]:
        """Pids of live workers by session; of one node where named."""
        found = {s.id: s.pid for s in (await self.sessions()).values() if not node or s.node == node}
        return {session: pid for session, pid in found.items() if alive(pid)}

    async def owners(self) -> dict[int, str]:
        """The session that owns each partition."""
        return {seen.part: seen.owner.session for seen in await self.names.leases.owners()}

    async def shares(self) -> Counter[str]:
        """How many partitions each session owns; "" for nobody."""
        owners = await self.owners()
        return Counter(owners.get(part, "") for part in range(self.settings.partitions))

    async def owner_of(self, agent: str) -> tuple[str, int]:
        """Session and pid of the worker that owns an agent now."""

        async def find() -> tuple[str, int] | None:
            session = (await self.owners()).get(subjects.partition(subjects.DEFAULT_TENANT, agent), "")
            pid = (await self.workers()).get(session)
            return (session, pid) if pid else None

        return await eventually(find, SOON, what=f"{agent} has an owner")

    async def settled(self, workers: int) -> None:
        """Wait until so many workers share every partition evenly."""

        async def even() -> bool:
            try:
                living, shares = set(await self.workers()), await self.shares()
            except StorageError:  # the node has made no buckets yet
                return False
            room = -(-self.settings.partitions // workers)
            assert len(living) == workers, living
            assert set(shares) == living, (shares, living)
            return max(shares.values()) <= room

        await eventually(even, SOON, every=0.05, what=f"{workers} workers share the partitions")

    async def results(self, agent: str) -> list[tuple[str, Result]]:
        """Task id and result of everything in an agent's outbox, oldest first."""
        found = await self._stored(subjects.OUTBOX, subjects.public(subjects.DEFAULT_TENANT, agent, "outbox"))
        return [
            ((past.message.headers or {}).get(TASK_ID, ""), read_result(past.message.payload))
            for past in found
        ]

    async def events(self, agent: str, kind: str = "") -> list[Event]:
        """Stored events of an agent, oldest first; of one kind where named."""
        subject = subjects.public(subjects.DEFAULT_TENANT, agent, "events")
        found = [read_event(past.message.payload) for past in await self._stored(subjects.EVENTS, subject)]
        return [event for event in found if not kind or event.kind == kind]

    async def started(self, agent: str, task_id: str) -> None:
        """Wait until the ledger says that a task has begun to run."""

        async def begun() -> bool:
            records = await self.records(agent)
            return any((r.body or {}).get("task_id") == task_id for r in records if r.kind == "started")

        await eventually(begun, SOON, what=f"{task_id} has started")

    async def records(self, agent: str) -> list[Record]:
        """The verified ledger of an agent: Corrupt where it is not whole."""
        subject = self.ledger(agent)
        verifier = Verifier(subject)
        return [verifier.feed(entry.value) async for entry in self.names.ledger.read(subject)]

    def ledger(self, agent: str) -> str:
        """The ledger subject of an agent."""
        part = subjects.partition(subjects.DEFAULT_TENANT, agent)
        return subjects.ledger(part, subjects.DEFAULT_TENANT, agent)

    async def answers(self, agent: str, message: object, timeout: float = SOON) -> Result:
        """The first answer of an agent whose owner may die: an ask that met its death is lost, by design."""

        async def once() -> Result | None:
            with contextlib.suppress(DeadlineExceeded, NoOwner, BusLost):
                return await self.client.ask(agent, message, timeout=0.5)
            return None

        return await eventually(once, timeout, what=f"{agent} answers")

    async def waiting(self, agent: str) -> int:
        """Stored tasks of an agent that nobody acknowledged yet."""
        part = subjects.partition(subjects.DEFAULT_TENANT, agent)
        subject = subjects.inbox(part, subjects.DEFAULT_TENANT, agent)
        return len(await self._stored(subjects.INBOX, subject))

    async def _stored(self, stream: str, subject: str) -> list[Any]:
        found: list[Any] = []
        while True:
            try:
                more = await self.names.bus.history(stream, subject, after=found[-1].seq if found else 0)
            except BusLost:  # the server was killed and is coming back: whoever waits has a deadline
                await asyncio.sleep(0.1)
                continue
            if not more:
                return found
            found += more


@asynccontextmanager
async def attached(url: str, **settings: Any) -> AsyncIterator[Cluster]:
    """A cluster as one client sees it."""
    told = Settings(nats=NatsSettings(url=url), **settings)
    names = await connect(told, "test")
    cluster = Cluster(names, told)
    async with cluster.client:
        yield cluster


async def each_once(cluster: Cluster, agent: str, acked: list[str], timeout: float = SOON) -> list[Result]:
    """Wait until every acknowledged task has a result; each has exactly one. Results in outbox order."""

    async def all_there() -> bool:
        told = {task_id for task_id, _ in await cluster.results(agent)}
        missing = [task_id for task_id in acked if task_id not in told]
        assert not missing, f"{agent}: {len(missing)} of {len(acked)} have no result, as {missing[:3]}"
        return True

    await eventually(all_there, timeout, every=0.2, what=f"{agent} has all results")
    found = [(task_id, result) for task_id, result in await cluster.results(agent) if task_id in set(acked)]
    twice = [task_id for task_id, times in Counter(task_id for task_id, _ in found).items() if times > 1]
    assert not twice, f"{agent}: {twice} have more than one result"
    return [result for _, result in found]


async def whole(cluster: Cluster, *agents: str) -> None:
    """Every ledger verifies, and every task in it has one outcome."""
    for agent in agents:
        records = await cluster.records(agent)
        ended = Counter(
            (record.body or {}).get("task_id") for record in records if record.kind in ("completed", "buried")
        )
        assert not [task for task, times in ended.items() if times > 1 and task], f"{agent}: {ended}"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun


async def chance_pause(seconds: float) -> None:
    """The moment of a fault: a random pause, not a wait for something."""
    await asyncio.sleep(seconds)
